"""Screening: one scan and one model in, an anomaly map on the scan's grid and findings out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ctscreener import tiles
from ctscreener.conditions import tile_positions
from ctscreener.device import find_device
from ctscreener.errors import InputError
from ctscreener.fallback import Notice, Plan, plans, unheard
from ctscreener.findings import Finding, FindingSettings, find
from ctscreener.model import Model, ModelSettings, Scorer
from ctscreener.preprocess import Prepared, prepare, restore
from ctscreener.progress import Progress, silent
from ctscreener.scan import Scan


@dataclass(frozen=True)
class ScreenSettings:
    """How a scan is screened; only `findings` changes what is found."""

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


@dataclass(frozen=True)
class Screened:
    """The result for one scan.

    Arguments:
        rarity: -log10 of the share of reference voxels that are at least as rare, float32, on
            the scan's grid, NaN where not scored.
        findings: Regions above the threshold, rarest first.
        seconds: Time of each stage.
        device: Where the networks ran.
        tiles: Tiles that went through the networks.
        notices: What was not done as asked for, such as smaller tiles for want of memory.
    """

    rarity: np.ndarray
    findings: list[Finding]
    seconds: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"
    tiles: int = 0
    notices: tuple[str, ...] = ()


def screen(
    scan: Scan,
    model: Model,
    settings: ScreenSettings = ScreenSettings(),
    progress: Progress = silent,
    notice: Notice = unheard,
) -> Screened:
    """Show what is unusual in a CT.

    Arguments:
        scan: The scan, in HU.
        model: What it is compared with.
        settings: How.
        progress: Told about every step.
        notice: Told what is not done as it was asked for.

    Raises:
        InputError: `scan.no_body`, `region.empty`, `device.unavailable` and others of
            preprocessing.
    """
    device = torch.device(find_device(settings.device))
    clock, notices = Clock(), list[str]()

    def announce(code: str, message: str) -> None:
        notices.append(message)
        notice(code, message)

    with clock.measure("preparing"):
        progress("preparing", 0, 1)
        prepared = within(prepare(scan, model.settings.preprocess), settings.region)
        for code, message in prepared.notices:
            announce(code, message)
        progress("preparing", 1, 1)
    with clock.measure("scoring"):
        scored = score(prepared, model.networks, settings, device, progress, announce)
    with clock.measure("restoring"):
        progress("restoring", 0, 1)
        shown = replace(prepared, body=part_of(prepared.body, prepared.region))
        rarity = restore(scored.nll, shown, model.settings.pool, scan)
        known = np.isfinite(rarity)
        rarity[known] = model.scale(settings.overlap).rarity(rarity[known])
        progress("restoring", 1, 1)
    with clock.measure("findings"):
        progress("findings", 0, 1)
        findings = find(rarity, scan, settings.findings)
        progress("findings", 1, 1)
    where = str(scored.device)
    return Screened(rarity, findings, clock.seconds, where, scored.tiles, tuple(notices))


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


@dataclass(frozen=True)
class Scored:
    """Scores of a prepared scan.

    Arguments:
        nll: In nats, float32, on the pooled grid, `(D, H, W)`, NaN where not scored.
        tiles: Tiles that went through the networks.
        device: Where the networks ran in the end.
    """

    nll: np.ndarray
    tiles: int
    device: torch.device


def score(
    prepared: Prepared,
    networks: Scorer,
    settings: ScreenSettings,
    device: torch.device,
    progress: Progress = silent,
    notice: Notice = unheard,
) -> Scored:
    """Nll of a prepared scan on the pooled grid, with less memory where there is too little.

    Raises:
        torch.OutOfMemoryError: The last plan has too little memory as well.
    """
    *others, last = plans(device, settings.batch, networks.settings)
    for plan in others:
        try:
            return score_by(plan, prepared, networks, settings, progress, notice)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    return score_by(last, prepared, networks, settings, progress, notice)


def score_by(
    plan: Plan,
    prepared: Prepared,
    networks: Scorer,
    settings: ScreenSettings,
    progress: Progress,
    notice: Notice,
) -> Scored:
    """Score by one plan; the map is that of the scan, without the padding to a whole tile."""
    if plan.code:
        notice(plan.code, plan.message)
    model = replace(networks.settings, tile=plan.tile)
    image, body = padded(prepared, model)
    where = pooled_mask(body, model.pool)
    average = tiles.Average(where.shape)
    wanted = part_of(body, prepared.region)
    boxes = body_tiles(wanted, model, settings.overlap)
    # Weights in the order of the images: a tenth faster on processors.
    order = torch.channels_last_3d
    networks.to(plan.device, memory_format=order).eval()  # pyright: ignore[reportCallIssue]
    done = 0
    for batch in batched(boxes, plan.batch):
        progress("scoring", done, len(boxes))
        x, positions, mask = batch_of(batch, image, where, prepared.shape, model)
        with torch.inference_mode(), autocast(plan.device, settings.reduced):
            nll = networks.nll(*(part.to(plan.device) for part in (x, positions, mask)))
        for box, values in zip(batch, nll.cpu().numpy(), strict=True):
            average.add(tiles.pooled(box, model.pool), values)
        done += len(batch)
    progress("scoring", len(boxes), len(boxes))
    extent = [n // unit for n, unit in zip(prepared.shape, model.pool, strict=True)]
    # Conditions and blur see the body around the region, as they do without one.
    nll = smoothed(average.mean(), model.smooth / model.voxel)
    nll[~pooled_mask(wanted, model.pool)] = np.nan
    return Scored(nll[: extent[0], : extent[1], : extent[2]], len(boxes), plan.device)


def part_of(body: np.ndarray, region: np.ndarray | None) -> np.ndarray:
    """The body inside a region, which may be smaller than a padded body; all of it for None."""
    if region is None:
        return body
    pads = [(0, n - m) for n, m in zip(body.shape, region.shape, strict=True)]
    return body & np.pad(region, pads)


def smoothed(nll: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Blur scores over the scored voxels alone.

    Arguments:
        nll: Scores, NaN where there is none, `(D, H, W)`.
        sigma: Standard deviation of the Gaussian in voxels, `(3,)`; zeros change nothing.

    Returns:
        float32, NaN where `nll` is.
    """
    if not sigma.any():
        return nll
    scored = np.isfinite(nll)
    total = ndimage.gaussian_filter(np.where(scored, nll, 0).astype(np.float64), sigma)
    weight = ndimage.gaussian_filter(scored.astype(np.float64), sigma)
    return np.where(scored, total / np.maximum(weight, 1e-6), np.nan).astype(np.float32)


def padded(prepared: Prepared, model: ModelSettings) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask, at least a tile large: edges of the image repeated, nothing there scored."""
    short = [max(0, n - m) for n, m in zip(model.tile, prepared.image.shape, strict=True)]
    pads = [(0, n) for n in short]
    return np.pad(prepared.image, pads, mode="edge"), np.pad(prepared.body, pads)


def pooled_mask(body: np.ndarray, stride: tuple[int, int, int]) -> np.ndarray:
    """Blocks of `stride` voxels that hold any body."""
    split = [m for n, unit in zip(body.shape, stride, strict=True) for m in (n // unit, unit)]
    return np.asarray(body.reshape(split).any(axis=(1, 3, 5)))


def body_tiles(body: np.ndarray, model: ModelSettings, overlap: float) -> list[tiles.Box]:
    """The tiles that hold any body."""
    stride = tiles.step(model.tile, overlap, model.pool)
    return [box for box in tiles.boxes(body.shape, model.tile, stride) if body[box].any()]


def batch_of(
    batch: list[tiles.Box],
    image: np.ndarray,
    where: np.ndarray,
    shape: tiles.Shape,
    model: ModelSettings,
) -> tuple[Tensor, Tensor, Tensor]:
    """Images `(B, 1, D, H, W)`, positions `(B, 3, d, h, w)` and masks `(B, d, h, w)` of tiles."""
    x = torch.stack([torch.from_numpy(image[box]) for box in batch])[:, None].float() / 255
    positions = torch.stack(
        [
            tile_positions(
                (box[0].start, box[1].start, box[2].start), model.tile, shape, model.pool
            )
            for box in batch
        ]
    )
    mask = torch.stack(
        [torch.from_numpy(where[tiles.pooled(box, model.pool)].copy()) for box in batch]
    )
    return x.contiguous(memory_format=torch.channels_last_3d), positions, mask


def batched(boxes: list[tiles.Box], size: int) -> Iterator[list[tiles.Box]]:
    """The boxes in groups of `size`."""
    for start in range(0, len(boxes), size):
        yield boxes[start : start + size]


def autocast(device: torch.device, reduced: bool) -> torch.autocast:
    """Networks in bfloat16 where asked for."""
    return torch.autocast(device.type, torch.bfloat16, enabled=reduced)


class Clock:
    """Seconds of named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Measure one stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)
