"""Screening: one scan and one model in, an anomaly map on the scan's grid and findings out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from ctscreener.device import find_device
from ctscreener.errors import InputError
from ctscreener.fallback import Notice, unheard
from ctscreener.findings import FindingSettings, told_of_limit, told_of_parts
from ctscreener.model import Model
from ctscreener.parts import Parts, found_by
from ctscreener.preprocess import Prepared, prepare, restore
from ctscreener.progress import Progress, silent
from ctscreener.scan import Scan
from ctscreener.score_whole import score_whole
from ctscreener.scorer import Scored, Scorer, TiledScorer, WholeScorer
from ctscreener.screened import Screened
from ctscreener.tiled import Ways, part_of, score_tiled


@dataclass(frozen=True)
class ScreenSettings:
    """How a scan is screened; only `findings` and `all_parts` change what is found."""

    findings: FindingSettings = FindingSettings()
    """What counts as a finding."""
    overlap: float = 0.5
    """Share of a tile that the next one covers again, in 0..0.9."""
    region: tuple[float, float, float, float, float, float] | None = None
    """The only part that is scored, RAS mm: lowest and highest R, A, S; None for all of it."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    batch: int = 1
    """Tiles that go through the networks together."""
    reduced: bool = True
    """Networks in bfloat16, with sums, density and log-determinants in float32."""
    all_parts: bool = False
    """List findings of arms, head and legs, too."""


def screen(
    scan: Scan,
    model: Model,
    settings: ScreenSettings = ScreenSettings(),
    progress: Progress = silent,
    notice: Notice = unheard,
    look: Callable[[Prepared], object] = lambda _prepared: None,
) -> Screened:
    """Show what is unusual in a CT.

    Arguments:
        scan: The scan, in HU.
        model: What it is compared with.
        settings: How.
        progress: Told about every step.
        notice: Told what is not done as it was asked for.
        look: Shown the prepared scan before it is scored.

    Returns:
        The map on the scan's grid, the findings, and how they came about.

    Raises:
        InputError: `scan.no_body`, `region.empty`, `device.unavailable` and others of
            preprocessing.
    """
    device = torch.device(find_device(settings.device))
    clock, notices = StageSeconds(), list[str]()

    def announce(code: str, message: str) -> None:
        notices.append(message)
        notice(code, message)

    scale = model.scale(settings.overlap)
    if settings.findings.threshold >= scale.highest:
        announce(
            "threshold.beyond",
            f"No voxel reaches a threshold of {settings.findings.threshold:g}: rarities of this "
            f"model stay below {scale.highest:.2f}, and were counted up to "
            f"{scale.measured_up_to:.2f}.",
        )
    with clock.measure("preparing"):
        progress("preparing", 0, 1)
        prepared = within(prepare(scan, model.settings.preprocess), settings.region)
        for code, message in prepared.notices:
            announce(code, message)
        look(prepared)
        progress("preparing", 1, 1)
    with clock.measure("scoring"):
        scored = score(prepared, model.networks, settings, device, progress, announce)
    with clock.measure("restoring"):
        progress("restoring", 0, 1)
        shown = replace(prepared, body=part_of(prepared.body, prepared.region))
        rarity = restore(scored.scores, scored.affine, shown, scan)
        for part in rarity:
            # Slice by slice: all scored voxels at once would be a second map.
            known = np.isfinite(part)
            part[known] = scale.rarity(part[known])
        progress("restoring", 1, 1)
    with clock.measure("findings"):
        progress("findings", 0, 1)
        assert prepared.parts is not None, "preparing a scan finds its parts"
        parts = Parts(prepared.parts, prepared.affine)
        everything = found_by(rarity, scan, parts, settings.findings, settings.all_parts)
        findings, total = everything.findings, everything.total
        if total > len(findings):
            announce("findings.limit", told_of_limit(len(findings), total))
        if everything.elsewhere:
            announce("findings.parts", told_of_parts(everything.elsewhere))
        progress("findings", 1, 1)
    return Screened(
        scan=scan,
        model=model.name,
        rarity=rarity,
        findings=findings,
        seconds=clock.seconds,
        device=str(scored.device),
        tiles=scored.tiles,
        notices=tuple(notices),
        found=total,
        counted_up_to=scale.measured_up_to,
        elsewhere=everything.elsewhere,
        parts=parts,
        below=scale.highest,
    )


def within(prepared: Prepared, region: tuple[float, ...] | None) -> Prepared:
    """Score the body in a region alone; what the networks see of the rest stays.

    Arguments:
        prepared: The scan.
        region: Lowest and highest R, A, S of the centres of scored voxels, mm; None for all.

    Raises:
        InputError: `region.empty` where the region holds no body.
    """
    if region is None:
        return prepared
    inside = np.ones(prepared.shape, bool)
    for axis in range(3):
        # The canonical frame is parallel to the patient's axes.
        ras = int(np.flatnonzero(prepared.affine[:3, axis])[0])
        step, start = prepared.affine[ras, axis], prepared.affine[ras, 3]
        at = start + step * np.arange(prepared.shape[axis])
        outside = (at < region[2 * ras]) | (at > region[2 * ras + 1])
        np.moveaxis(inside, axis, 0)[outside] = False
    if not (inside & prepared.body).any():
        raise InputError(
            "region.empty",
            f"Expected a region that holds body, found none in R, A, S {region} mm.",
            "Move the region, or screen the whole scan.",
        )
    return replace(prepared, region=inside)


def score(
    prepared: Prepared,
    networks: Scorer,
    settings: ScreenSettings,
    device: torch.device,
    progress: Progress = silent,
    notice: Notice = unheard,
) -> Scored:
    """Score a prepared scan, by tiles or as a whole, as its scorer can.

    Raises:
        torch.OutOfMemoryError: There is too little memory in every way that was tried.
    """
    if isinstance(networks, WholeScorer):
        return score_whole(prepared, networks, settings.reduced, device, progress, notice)
    assert isinstance(networks, TiledScorer), "there is no third kind"
    ways = Ways(settings.overlap, settings.batch, settings.reduced)
    return score_tiled(prepared, networks, ways, device, progress, notice)


class StageSeconds:
    """Seconds of named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Measure one stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)
