"""BGAD: CFLOW whose likelihoods are pushed apart at a boundary drawn through the normal ones.

Yao et al., "Explicit Boundary Guided Semi-Push-Pull Contrastive Learning for Supervised Anomaly
Detection", CVPR 2023, slice by slice, written from the paper and from facts of its code, which has
no licence. The flows are those of CFLOW. After a first part on normal features alone, a boundary is
taken at a quantile of their likelihoods; those below it are pulled up, and anomalous ones pushed
below it by a margin, no farther. They have a few annotated anomalies, and paste them into normal
pictures; here nobody has annotated any, so that anomalies are foreign blobs in the shapes of the
project's own synthetic ones. Without them (`--anomalous 0`) it is their unsupervised row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.flow import FlowSettings
from training.baselines.cflow import Cflow, CflowSettings, build, stages, standardized
from training.baselines.method import Method, Phase
from training.baselines.parts.blobs import draw_blobs, with_blobs
from training.baselines.parts.efficientnet import features_file
from training.baselines.parts.semi_push_pull import (
    boundary_guided,
    focal_anomalous,
    focal_normal,
)
from training.baselines.parts.slice_rows import SliceRows, encode
from training.data.parcel import Parcel
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop import processes
from training.loop.loop import LoopSettings, Task


@dataclass(frozen=True)
class BgadSettings(CflowSettings):
    """Train BGAD on a store."""

    anomalous: int = 512
    """Anomalous features of each stage in one step; 0 for none."""
    radii: tuple[float, float] = (4.0, 30.0)
    """Least and largest radius in mm of a made-up anomaly."""
    beta: float = 0.05
    """Share of normal features that lie below the boundary."""
    margin: float = 0.1
    """Between the boundary and the anomalous features, in scaled likelihoods."""
    scale: float = 10.0
    """What likelihoods of a channel are divided by before they are compared."""
    focal: bool = True
    """Whether hard features weigh more."""
    plain_share: float = 0.1
    """Share of the steps that see normal features alone, at the beginning."""


class Boundary(nn.Module):
    """The flows with their loss.

    Arguments:
        flows: One for each stage.
        settings: Boundary and weights.
    """

    def __init__(self, flows: nn.ModuleList, settings: BgadSettings) -> None:
        super().__init__()
        self.flows, self.settings = flows, settings

    def forward(self, pushes: Tensor, there: Tensor, *levels: Tensor) -> dict[str, Tensor]:
        """Fit normal features, and push anomalous ones away.

        Arguments:
            pushes: Whether anomalies count by now, bool, a scalar on the host.
            there: Whether the crops have any, bool, a scalar; without one anomalous features are
                none.
            levels: For each stage standardized features `(n, C)` and conditions `(n, k)`, normal
                ones, then anomalous ones.
        """
        likelihoods, pushed = [], []
        for number, flow in enumerate(stages(self.flows)):
            rows, where, odd, place = levels[4 * number : 4 * number + 4]
            normal = -flow.nll(rows, where) / rows.shape[1]
            weight = focal_normal(normal, self.settings.scale) if self._focal else 1.0
            likelihoods.append((-F.logsigmoid(normal) * weight).mean())
            if pushes and len(odd):
                anomalous = -flow.nll(odd, place) / odd.shape[1]
                pushed.append(self._pushed(normal, anomalous))
        likelihood = torch.stack(likelihoods).mean()
        push = torch.zeros_like(likelihood)
        if pushed:
            push = torch.where(there, torch.stack(pushed).mean(), push)
        return {
            "loss": likelihood + push,
            "likelihood": likelihood.detach(),
            "push": push.detach(),
        }

    @property
    def _focal(self) -> bool:
        return self.settings.focal

    def _pushed(self, normal: Tensor, anomalous: Tensor) -> Tensor:
        """The semi-push-pull loss."""
        settings = self.settings
        weights = None
        if self._focal:
            weights = (
                focal_normal(normal, settings.scale),
                focal_anomalous(anomalous, settings.scale),
            )
        return boundary_guided(
            normal, anomalous, settings.beta, settings.margin, settings.scale, weights
        )


def phases(settings: BgadSettings, rival: Cflow, store: Store) -> Iterator[Phase]:
    """Train the flows on frozen features of crops with and without anomalies."""
    check_patches(settings.patches, (1,), settings.loop)
    rival.describe.load(settings.features)
    spacing = np.array(rival.settings.preprocess.spacing)

    def blobs(seed: int, count: int) -> Parcel:
        rng = np.random.default_rng(seed)
        return draw_blobs(count, settings.patches.size, spacing, settings.radii, rng)

    beside = blobs if settings.anomalous else None
    source = PatchSource(store, settings.patches, settings.seed, beside)
    rows = SliceRows(source, rival.describe, settings.rows)
    odd = SliceRows(source, rival.describe, settings.anomalous)
    standardized(rival, rows)
    plain = round(settings.plain_share * settings.loop.steps)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        normal, anomalous = rows.levels(drawn, device), []
        there = torch.zeros((), dtype=torch.bool, device=device)
        if drawn.beside:
            clean, body = (f(settings.patches.size, device) for f in (drawn.images, drawn.bodies))
            changed, mask = with_blobs(clean, body, drawn.beside)
            anomalous, there = odd.levels_of(drawn, changed, mask[:, 0]), mask.any()
        batch = [torch.tensor(drawn.index // processes.count() >= plain), there]
        for number, standard in enumerate(rival.standard):
            for found, places in (normal[number], *anomalous[number : number + 1]):
                batch += [standard.to(device)(found), encode(places, settings.condition)]
            if not anomalous:
                batch += [batch[-2][:0], batch[-1][:0]]
        return tuple(batch)

    task = Task(Boundary(rival.flows, settings), source.load, render, source.need(render))
    yield Phase("bgad", task, settings.loop)


PRESETS = {
    "tiny": BgadSettings(
        patches=PatchSettings(size=(4, 96, 96), count=2),
        rows=1024,
        anomalous=128,
        flow=FlowSettings(blocks=4, hidden=64),
        condition=32,
        loop=LoopSettings(steps=500, lr=1e-3, warmup=20, average=0.99, precision="32-true"),
    ),
    "small": BgadSettings(
        loop=LoopSettings(steps=10_000, lr=5e-4, warmup=100, precision="32-true", workers=8),
    ),
    # Yao et al.: eight blocks, a condition of 128, beta .05, margin .1, scale 10, Adam at 2e-4.
    "paper": BgadSettings(
        patches=PatchSettings(size=(8, 192, 192), count=4),
        rows=16_384,
        anomalous=4096,
        flow=FlowSettings(blocks=8, hidden=512),
        loop=LoopSettings(
            steps=50_000, lr=2e-4, warmup=500, weight_decay=0.0, precision="32-true", workers=12
        ),
    ),
}
METHOD = Method(
    "BGAD, Yao et al. 2023 by slices: CFLOW, with made-up anomalies pushed below a boundary",
    BgadSettings,
    PRESETS,
    build,
    phases,
    files=lambda settings: {"features": features_file(settings.features.features)},
)
