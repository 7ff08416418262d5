"""Scoring by tiles: a prepared scan in overlapping boxes through the networks, and joined again."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ctscreener import tiles
from ctscreener.conditions import tile_positions
from ctscreener.device import sent
from ctscreener.fallback import Notice, Plan, plans
from ctscreener.preprocess import Prepared
from ctscreener.progress import Progress
from ctscreener.resampling import pooled_affine
from ctscreener.scorer import Scored, Tiled, TiledScorer

PROCESSOR = torch.device("cpu")


def score_tiled(
    prepared: Prepared,
    networks: TiledScorer,
    ways: "Ways",
    device: torch.device,
    progress: Progress,
    notice: Notice,
) -> Scored:
    """Score a prepared scan by tiles, with less memory where there is too little.

    Raises:
        torch.OutOfMemoryError: The last plan has too little memory as well.
    """
    *others, last = plans(device, ways.batch, networks.settings)
    for plan in others:
        try:
            return score_by(plan, prepared, networks, ways, progress, notice)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    return score_by(last, prepared, networks, ways, progress, notice)


@dataclass(frozen=True)
class Ways:
    """How tiles go through the networks.

    Arguments:
        overlap: Share of a tile that the next one covers again, in 0..0.9.
        batch: Tiles that go through together.
        reduced: Networks in bfloat16.
    """

    overlap: float
    batch: int
    reduced: bool


def score_by(
    plan: Plan,
    prepared: Prepared,
    networks: TiledScorer,
    ways: Ways,
    progress: Progress,
    notice: Notice,
) -> Scored:
    """Score by one plan; the map is that of the scan, without the padding to a whole tile."""
    if plan.code:
        notice(plan.code, plan.message)
    model = networks.settings.with_tile(plan.tile)
    image, body = padded(prepared, model)
    where = pooled_mask(body, model.pool)
    average = tiles.Average(where.shape)
    wanted = part_of(body, prepared.region)
    boxes = body_tiles(wanted, model, ways.overlap)
    networks.ready(plan.device)
    done = 0
    for batch in batched(boxes, plan.batch):
        progress("scoring", done, len(boxes))
        parts = batch_of(batch, image, where, prepared.shape, model, plan.device)
        with torch.inference_mode(), autocast(plan.device, ways.reduced):
            scores = networks.scores(*parts)
        for box, values in zip(batch, scores.cpu().numpy(), strict=True):
            average.add(tiles.pooled(box, model.pool), values)
        done += len(batch)
    progress("scoring", len(boxes), len(boxes))
    d, h, w = (n // unit for n, unit in zip(prepared.shape, model.pool, strict=True))
    # Conditions and blur see the body around the region, as they do without one.
    scores = smoothed(average.mean(), model.smooth / model.voxel)
    scores[~pooled_mask(wanted, model.pool)] = np.nan
    affine = pooled_affine(prepared.affine, model.pool)
    return Scored(scores[:d, :h, :w], affine, len(boxes), plan.device)


def part_of(body: np.ndarray, region: np.ndarray | None) -> np.ndarray:
    """The body inside a region, which may be smaller than a padded body; all of it for None."""
    if region is None:
        return body
    pads = [(0, n - m) for n, m in zip(body.shape, region.shape, strict=True)]
    return body & np.pad(region, pads)


def smoothed(scores: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Blur scores over the scored voxels alone.

    Arguments:
        scores: NaN where there is none, `(D, H, W)`.
        sigma: Standard deviation of the Gaussian in voxels, `(3,)`; zeros change nothing.

    Returns:
        float32, NaN where `scores` is.
    """
    if not sigma.any():
        return scores
    scored = np.isfinite(scores)
    total = ndimage.gaussian_filter(np.where(scored, scores, 0).astype(np.float64), sigma)
    weight = ndimage.gaussian_filter(scored.astype(np.float64), sigma)
    return np.where(scored, total / np.maximum(weight, 1e-6), np.nan).astype(np.float32)


def padded(prepared: Prepared, model: Tiled) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask, at least a tile large: edges of the image repeated, nothing there scored."""
    short = [max(0, n - m) for n, m in zip(model.tile, prepared.image.shape, strict=True)]
    pads = [(0, n) for n in short]
    return np.pad(prepared.image, pads, mode="edge"), np.pad(prepared.body, pads)


def pooled_mask(body: np.ndarray, stride: tuple[int, int, int]) -> np.ndarray:
    """Blocks of `stride` voxels that hold any body."""
    split = [m for n, unit in zip(body.shape, stride, strict=True) for m in (n // unit, unit)]
    return np.asarray(body.reshape(split).any(axis=(1, 3, 5)))


def body_tiles(body: np.ndarray, model: Tiled, overlap: float) -> list[tiles.Box]:
    """The tiles that hold any body."""
    stride = tiles.step(model.tile, overlap, model.pool)
    return [box for box in tiles.boxes(body.shape, model.tile, stride) if body[box].any()]


def batch_of(
    batch: list[tiles.Box],
    image: np.ndarray,
    where: np.ndarray,
    shape: tiles.Shape,
    model: Tiled,
    device: torch.device = PROCESSOR,
) -> tuple[Tensor, Tensor, Tensor]:
    """Images `(B, 1, D, H, W)`, positions `(B, 3, d, h, w)` and masks `(B, d, h, w)` of tiles."""
    # Grey values go to a card as they are stored, a byte each, and are scaled there.
    x = sent(torch.stack([torch.from_numpy(image[box]) for box in batch])[:, None], device)
    x = x.float() / 255
    positions = torch.stack(
        [
            tile_positions(
                (box[0].start, box[1].start, box[2].start), model.tile, shape, model.pool, device
            )
            for box in batch
        ]
    )
    mask = torch.stack(
        [torch.from_numpy(where[tiles.pooled(box, model.pool)].copy()) for box in batch]
    )
    return x.contiguous(memory_format=torch.channels_last_3d), positions, sent(mask, device)


def batched(boxes: list[tiles.Box], size: int) -> Iterator[list[tiles.Box]]:
    """The boxes in groups of `size`."""
    for start in range(0, len(boxes), size):
        yield boxes[start : start + size]


def autocast(device: torch.device, reduced: bool) -> torch.autocast:
    """Networks in bfloat16 where asked for."""
    return torch.autocast(device.type, torch.bfloat16, enabled=reduced)
