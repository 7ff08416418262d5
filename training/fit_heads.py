"""Fitting what reads scores off features: many small discriminators, and a Gaussian."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.heads import Discriminator, Gaussian, GaussianSettings, HeadSettings, Source

PROCESSOR = torch.device("cpu")
NEVER_SMALLER = 1e-2
"""Added to the deviation of a feature: one that hardly varies is not blown up."""


@dataclass(frozen=True)
class FitSettings:
    """How one discriminator is trained: lightly, or it learns what synthetic anomalies are like.

    The two-phase paper finds the same: one epoch is best, more overfit.
    """

    hidden: int = 128
    """Channels of the hidden layer of one network."""
    epochs: int = 3
    """How often all rows are seen."""
    batch: int = 2048
    """Rows a step."""
    rate: float = 1e-3
    """Highest learning rate; it rises for a while, and falls to 0."""
    decay: float = 1e-2
    """Weight decay of AdamW."""
    dropout: float = 0.3
    """Share of the hidden layer that is left out at random."""
    evenness: float = 0.5
    """How far small anomalies count as much as large ones, which have more rows: 0 counts rows,
    1 anomalies."""
    others: float = 1.0
    """How much anomalies count that are not of the families of `insert`, beside these. Far below
    1, networks learn what inserted lesions are like, and miss others: the less, the more
    families there are (LOG.md)."""

    def __post_init__(self) -> None:
        """Raise ValueError where anomalies would count for nothing."""
        if not 0 < self.others < float("inf"):
            raise ValueError(f"Expected others above 0, found {self.others}.")


@dataclass(frozen=True)
class Fitted:
    """A trained discriminator on features as they are.

    Arguments:
        weight: `(hidden, C)`.
        bias: `(hidden,)`.
        out: `(hidden,)`.
        out_bias: `(1,)`.
        loss: Mean loss of its last epoch.
    """

    weight: Tensor
    bias: Tensor
    out: Tensor
    out_bias: Tensor
    loss: float


def fit_discriminator(
    features: Tensor,
    anomalous: Tensor,
    weights: Tensor,
    settings: FitSettings,
    seed: int,
    device: torch.device = PROCESSOR,
) -> Fitted:
    """Train one discriminator.

    Arguments:
        features: Rows, float16, `(n, C)`.
        anomalous: 1 for those of anomalies, 0 for others, `(n,)`.
        weights: How much each row counts among those of its class, `(n,)`.
        settings: How.
        seed: Decides first weights, order and dropout.
        device: Where to train; all rows go there once.

    Returns:
        The network, the standardization of its input folded into it.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mean, deviation = _moments(features)
        first, last = nn.Linear(features.shape[1], settings.hidden), nn.Linear(settings.hidden, 1)
        counts = evened(weights, anomalous)
        there = Table(*(part.to(device) for part in (features, anomalous.float(), counts)))
        reader = Reader(first, last, mean, deviation, settings.dropout).to(device)
        card = device.type == "cuda"
        trained = [*reader.first.parameters(), *reader.last.parameters()]
        optimiser = torch.optim.AdamW(
            trained, settings.rate, weight_decay=settings.decay, fused=card or None
        )
        size = min(settings.batch, len(features))
        steps = len(features) // size
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.rate, total_steps=steps * settings.epochs, pct_start=0.15
        )
        losses = []
        for _ in range(settings.epochs):
            losses.clear()
            # The order of an epoch goes to a card at once.
            order = torch.randperm(len(features)).to(device)
            for rows in order[: steps * size].split(size):
                losses.append(fit_step(reader, there, rows, optimiser))
                schedule.step()
    loss = float(torch.stack(losses).double().mean())
    first, last = reader.first.cpu(), reader.last.cpu()
    weight = first.weight.detach() / deviation
    bias = first.bias.detach() - weight @ mean
    out, out_bias = last.weight.detach()[0], last.bias.detach()
    return Fitted(weight, bias, out.clone(), out_bias.clone(), loss)


@dataclass(frozen=True)
class Table:
    """All rows, on a device.

    Arguments:
        features: Float16, `(n, C)`.
        labels: 1 for rows of anomalies, 0 for others, float32, `(n,)`.
        counts: How much each counts, float32, `(n,)`.
    """

    features: Tensor
    labels: Tensor
    counts: Tensor


class Reader(nn.Module):
    """A discriminator while it is trained, on features that it standardizes.

    Arguments:
        first: Its first layer.
        last: Its last one.
        mean: Of the features, `(C,)`.
        deviation: Of the features, `(C,)`.
        dropout: Share of the hidden layer that is left out at random.
    """

    def __init__(
        self, first: nn.Linear, last: nn.Linear, mean: Tensor, deviation: Tensor, dropout: float
    ) -> None:
        super().__init__()
        self.first, self.last, self.dropout = first, last, dropout
        self.mean, self.deviation = nn.Buffer(mean), nn.Buffer(deviation)

    def forward(self, features: Tensor) -> Tensor:
        """Log odds of an anomaly, float32, `(n,)`."""
        x = (features.float() - self.mean) / self.deviation
        with torch.autocast(features.device.type, torch.bfloat16):
            hidden = F.dropout(F.relu(self.first(x)), self.dropout)
            return self.last(hidden)[:, 0].float()


def fit_step(
    reader: Reader, table: Table, rows: Tensor, optimiser: torch.optim.Optimizer
) -> Tensor:
    """Train on some rows, and wait for nothing.

    Returns:
        The loss, a scalar.
    """
    odds = reader(table.features[rows])
    loss = F.binary_cross_entropy_with_logits(odds, table.labels[rows], table.counts[rows])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()


def evened(weights: Tensor, anomalous: Tensor) -> Tensor:
    """Weights whose mean is 1 among the anomalies' rows, and among the others, float32, `(n,)`."""
    found = weights.float().clone()
    for chosen in (anomalous == 1, anomalous == 0):
        if chosen.any():
            found[chosen] /= found[chosen].mean()
    return found


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the columns, from some of the rows."""
    some = features[torch.randperm(len(features))[:20000]].float()
    return some.mean(0), some.std(0) + NEVER_SMALLER


def side_by_side(
    fitted: Sequence[Fitted], sources: Sequence[Source], channels: Mapping[Source, int]
) -> Discriminator:
    """One discriminator whose score is the mean of several.

    Arguments:
        fitted: Networks on the same features.
        sources: Maps that the features were read from, in the order of their columns.
        channels: Channels of each.
    """
    hidden = sum(len(some.out) for some in fitted)
    head = Discriminator(HeadSettings(tuple(sources), hidden), channels)
    weight = torch.cat([some.weight for some in fitted])
    state, start = {}, 0
    for source in sources:
        stop = start + channels[source]
        state[f"inputs.{source.name}.weight"] = weight[:, start:stop, None, None, None]
        start = stop
    state["bias"] = torch.cat([some.bias for some in fitted])
    state["out"] = torch.cat([some.out for some in fitted]) / len(fitted)
    state["out_bias"] = torch.stack([some.out_bias for some in fitted]).mean(0)
    head.load_state_dict(state)
    return head.eval().requires_grad_(False)


def fit_gaussian(
    features: Tensor, settings: GaussianSettings, channels: Mapping[Source, int]
) -> Gaussian:
    """Fit a Gaussian to features, in closed form.

    Arguments:
        features: Rows without anomalies, `(n, C)`.
        settings: Its sources and how many principal components it keeps.
        channels: Channels of each map.
    """
    mean, scaled, log_det = principal(features, settings.components)
    gaussian = Gaussian(settings, channels)
    whiten = torch.zeros_like(gaussian.whiten)
    whiten[: len(scaled)] = scaled
    log_det += 0.5 * len(scaled) * np.log(2 * np.pi)
    gaussian.load_state_dict(
        {"mean": mean, "whiten": whiten, "log_det": torch.tensor([log_det]).float()}
    )
    return gaussian.eval().requires_grad_(False)


def principal(features: Tensor, most: int) -> tuple[Tensor, Tensor, float]:
    """The principal components of features.

    Arguments:
        features: Rows, `(n, C)`.
        most: How many components are kept at most.

    Returns:
        The mean, `(C,)`; what makes of a row less the mean its K components, of deviation 1 each,
        `(K, C)`; and minus the logarithm of the volume that it scales by.
    """
    x = features.double()
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((x - mean).T))
    kept = min(most, len(values))
    values, vectors = values[-kept:].clamp_min(1e-12), vectors[:, -kept:]
    scaled = (vectors / values.sqrt()).T
    return mean.float(), scaled.float(), 0.5 * float(values.log().sum())
