"""SimpleSliceNet: features of slices, averaged over neighbouring slices, and a flow that is pushed.

Zhang and Mohsenzadeh, "Efficient Slice Anomaly Detection Network for 3D Brain MRI Volume", written
from the paper and from facts of its code. Features of two stages of a network for photographs,
averaged over 3x3, brought to a number of channels, then averaged over slices; a flow conditioned on
the place in the slice; anomalies are the features with Gaussian noise. The loss is
-log sigmoid(log p / C) and one of three that push anomalies away up to a margin (`--push`). The
network may first be tuned by EDC (`--tuning-steps`).

Theirs is tuned on MRI of another set than the flow is trained on; here on the scans of the store.
Their slices are averaged in threes without overlap, which divides the depth by three; so here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.flow import Flow, FlowSettings
from ctscreener.preprocess import PreprocessSettings
from training.baselines.edc import contrast_of, decoder_of, settled
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.efficientnet import features_file
from training.baselines.parts.semi_push_pull import (
    boundary_guided,
    ranking,
    triplet,
    triplet_of_batches,
)
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures, inside_of
from training.baselines.parts.slice_rows import LOOKS, Standard, encode, places_of
from training.baselines.parts.slice_scorer import SliceScorer
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.flags import FLAT
from training.loop import processes
from training.loop.loop import LoopSettings, Task

Push = Literal["triplet", "triplet-of-batches", "ranking", "boundary", "none"]
"""Triplet loss over rows, the same as the authors' code has it, pair-wise ranking, BG-SPP."""


@dataclass(frozen=True)
class SliceNetSettings(TrainedSettings):
    """Train SimpleSliceNet on a store."""

    features: Annotated[FeatureSettings, FLAT] = field(default_factory=FeatureSettings)
    """Which features of slices."""
    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(9, 192, 192), count=2)
    )
    """How crops are drawn; a screening sees tiles of their size."""
    slices: int = 3
    """Slices whose features are averaged."""
    width: int = 128
    """Channels that features are brought to; no more than they have."""
    rows: int = 4096
    """Features of one step."""
    flow: FlowSettings = field(default_factory=lambda: FlowSettings(blocks=8, hidden=256))
    """Sizes of the flow."""
    condition: int = 128
    """Sines and cosines of the position within the slice, a multiple of 4."""
    push: Push = "triplet"
    """How anomalies are pushed away; `none` leaves the likelihood alone."""
    noise: float = 0.06
    """Standard deviation of the noise that makes an anomaly, in deviations of the features."""
    beta: float = 0.05
    """Share of normal features below the boundary (`boundary`)."""
    margin: float = 0.1
    """Between boundary and anomalies, in scaled likelihoods (`boundary`)."""
    scale: float = 10.0
    """What likelihoods of a channel are divided by (`boundary`)."""
    tuning_steps: int = 0
    """Steps of EDC on the network before all; 0 for none."""
    tuning_lr: float = 5e-4
    """Learning rate of EDC's decoder; the network has a tenth of it."""
    smooth: float = 6.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class SliceNet(SliceScorer):
    """Scores by -log p for each channel.

    Arguments:
        settings: Sizes of the networks.
        tiling: How it sees scans.
    """

    def __init__(self, settings: SliceNetSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.describe = SliceFeatures(settings.features)
        self.slices, self.condition = settings.slices, settings.condition
        self.width = min(settings.width, sum(self.describe.channels))
        self.standard = Standard(self.width)
        generator = torch.Generator().manual_seed(settings.seed)
        self.flow = Flow(self.width, settings.condition, settings.flow, generator)

    def volume(self, x: Tensor) -> Tensor:
        """Features averaged over slices, not standardized, `(B, D / slices, H', W', width)`."""
        found = self.describe.joined(x)
        narrow = F.adaptive_avg_pool1d(found.flatten(0, 2).contiguous(), self.width)
        narrow = narrow.unflatten(0, tuple(found.shape[:3]))
        return narrow.unflatten(1, (-1, self.slices)).mean(dim=2)

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Scores of the averaged features."""
        found = self.volume(x)
        shape = tuple(found.shape[1:4])
        inside = inside_of(where, shape)
        scores = torch.full(inside.shape, torch.nan, device=x.device)
        code = encode(places_of(positions, shape)[inside], self.condition)
        scores[inside] = self.flow.nll(self.standard(found[inside]), code) / self.width
        return scores


class SemiPushPull(nn.Module):
    """The flow with its loss.

    Arguments:
        flow: What is trained.
        settings: Which loss.
    """

    def __init__(self, flow: Flow, settings: SliceNetSettings) -> None:
        super().__init__()
        self.flow, self.settings = flow, settings

    def forward(
        self, rows: Tensor, code: Tensor, noise: Tensor, order: Tensor
    ) -> dict[str, Tensor]:
        """Fit normal features and push noisy ones away.

        Arguments:
            rows: Standardized features, `(n, C)`.
            code: Their conditions, `(n, k)`.
            noise: Standard Gaussian, as `rows`.
            order: Another row for each, int64, `(n,)`.
        """
        settings = self.settings
        normal = -self.flow.nll(rows, code) / rows.shape[1]
        likelihood = -F.logsigmoid(normal).mean()
        push = torch.zeros_like(likelihood)
        if settings.push != "none":
            odd = -self.flow.nll(rows + settings.noise * noise, code) / rows.shape[1]
            push = pushed(normal, odd, order, settings)
        return {
            "loss": likelihood + push,
            "likelihood": likelihood.detach(),
            "push": push.detach(),
        }


def pushed(normal: Tensor, odd: Tensor, order: Tensor, settings: SliceNetSettings) -> Tensor:
    """The loss that pushes anomalies away."""
    if settings.push == "boundary":
        return boundary_guided(normal, odd, settings.beta, settings.margin, settings.scale)
    if settings.push == "ranking":
        return ranking(normal, odd)
    if settings.push == "triplet":
        return triplet(normal, odd, order)
    return triplet_of_batches(normal, odd, order)


def build(settings: SliceNetSettings, preprocess: PreprocessSettings) -> SliceNet:
    """Make an untrained flow."""
    if settings.condition < 4 or settings.condition % 4:
        raise ValueError(f"a condition of {settings.condition} numbers is no multiple of 4")
    tiling = Tiling(
        preprocess,
        settings.patches.size,
        smooth=settings.smooth,
        multiple=(settings.slices, 1, 1),
    )
    return SliceNet(settings, tiling)


def phases(settings: SliceNetSettings, rival: SliceNet, store: Store) -> Iterator[Phase]:
    """Tune the network, where asked for; then train the flow."""
    check_patches(settings.patches, (1,), settings.loop)
    rival.describe.load(settings.features)
    source = PatchSource(store, settings.patches, settings.seed)
    share = settings.tuning_steps / (settings.tuning_steps + settings.loop.steps)
    if settings.tuning_steps:
        yield replace(tuning(settings, rival, source), share=share)
        settled(rival.describe)
    yield replace(training(settings, rival, source), share=1 - share)


def tuning(settings: SliceNetSettings, rival: SliceNet, source: PatchSource) -> Phase:
    """The phase that tunes the network."""
    decoder = decoder_of(rival.describe, 2 * settings.width)
    objective = contrast_of(rival.describe, decoder, tuned=True)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        rival.describe.to(device)
        return (rival.describe.pictures(drawn.images(settings.patches.size, device)),)

    task = Task(objective, source.load, render, source.need(render), shares={"encoder.": 0.1})
    loop = replace(settings.loop, steps=settings.tuning_steps, lr=settings.tuning_lr)
    return Phase("tuning", task, loop)


def training(settings: SliceNetSettings, rival: SliceNet, source: PatchSource) -> Phase:
    """The phase that trains the flow."""
    device, size = processes.device(), settings.patches.size

    def drawn_rows(drawn: Drawn, device: torch.device) -> tuple[Tensor, Tensor]:
        rival.describe.to(device)
        found = rival.volume(drawn.images(size, device))
        shape = tuple(found.shape[1:4])
        inside = inside_of(drawn.bodies(size, device)[:, 0], shape)
        places = places_of(drawn.positions(size, device), shape)
        chosen = drawn.chances(device).some_of(inside, settings.rows)
        return found.flatten(0, 3)[chosen], places.flatten(0, 3)[chosen]

    looks = [drawn_rows(source.load(index), device)[0].cpu() for index in range(LOOKS)]
    rival.standard.fit(torch.cat(looks))

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        rows, places = drawn_rows(drawn, device)
        rows = rival.standard.to(device)(rows)
        chances = drawn.chances(device)
        noise, order = chances.normal(rows.shape), chances.order(len(rows))
        return rows, encode(places, settings.condition), noise, order

    objective = SemiPushPull(rival.flow, settings)
    return Phase("flow", Task(objective, source.load, render, source.need(render)), settings.loop)


PRESETS = {
    "tiny": SliceNetSettings(
        patches=PatchSettings(size=(6, 96, 96), count=2),
        width=64,
        rows=1024,
        flow=FlowSettings(blocks=4, hidden=64),
        condition=32,
        loop=LoopSettings(steps=500, lr=1e-3, warmup=20, average=0.99, precision="32-true"),
    ),
    "small": SliceNetSettings(
        tuning_steps=4_000,
        loop=LoopSettings(steps=10_000, lr=1e-3, warmup=100, precision="32-true", workers=8),
    ),
    # Zhang and Mohsenzadeh: eight blocks, a condition of 128, 512 to 1024 channels, noise of .06,
    # Adam at 1e-3, 30 epochs; EDC for 4,000 steps.
    "paper": SliceNetSettings(
        patches=PatchSettings(size=(9, 192, 192), count=4),
        width=512,
        flow=FlowSettings(blocks=8, hidden=512),
        tuning_steps=4_000,
        loop=LoopSettings(
            steps=50_000, lr=1e-3, warmup=0, weight_decay=0.0, precision="32-true", workers=12
        ),
    ),
}
METHOD = Method(
    "SimpleSliceNet, Zhang and Mohsenzadeh: a flow over features averaged over slices, pushed",
    SliceNetSettings,
    PRESETS,
    build,
    phases,
    files=lambda settings: {"features": features_file(settings.features.features)},
)
