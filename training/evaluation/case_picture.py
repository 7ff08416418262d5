"""A picture of one scan: the slice that holds most of its lesions, bare and with the map."""

import numpy as np
from PIL import Image

from ctscreener.colours import rarity_to_rgba
from ctscreener.scan import Scan, reoriented_to_canonical

WINDOW = (-1000.0, 400.0)
"""HU from black to white: lungs and organs in one picture."""
WIDTH = 360
"""Pixels across one of the two panels."""
FINEST, SAMPLE = 5.0, 1_000_000
"""Highest rarity that is told within a scan, and voxels that it is measured on."""
OUTLINE = (64, 220, 255)
"""Colour of the edge of a lesion, which no rarity has."""


def draw_case(scan: Scan, rarity: np.ndarray, lesion: np.ndarray) -> Image.Image:
    """Draw an axial slice twice: with the edge of the lesions, and with the heat map.

    Arguments:
        scan: The scan.
        rarity: Its rarity, NaN where not scored, in the scan's shape.
        lesion: Its lesions, bool, in the scan's shape.

    Returns:
        An RGB picture of two panels, the patient's right on the left of each.
    """
    hu, heat, marked = (
        reoriented_to_canonical(Scan(values, scan.affine))
        for values in (scan.hu, rarity, lesion.astype(np.uint8))
    )
    at = chosen_slice(heat.hu, marked.hu > 0)
    # Canonical W runs to the left of the patient, so that the right stands on the left.
    grey = np.clip((hu.hu[at] - WINDOW[0]) / (WINDOW[1] - WINDOW[0]), 0, 1)
    plain = np.repeat(np.rint(255 * grey).astype(np.uint8)[..., None], 3, axis=2)
    rgba = rarity_to_rgba(heat.hu[at])
    opacity = rgba[..., 3:] / 255
    warm = np.rint(plain * (1 - opacity) + rgba[..., :3] * opacity).astype(np.uint8)
    _, high, across = hu.spacing
    size = WIDTH, max(1, round(WIDTH * plain.shape[0] * high / (plain.shape[1] * across)))
    edge = outline(scaled(marked.hu[at] * 255, size, Image.Resampling.NEAREST) > 0)
    panels = [scaled(panel, size, Image.Resampling.BILINEAR) for panel in (plain, warm)]
    for panel in panels:
        panel[edge] = OUTLINE
    gap = np.full((size[1], 4, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([panels[0], gap, panels[1]], axis=1))


def ranked(scores: np.ndarray) -> np.ndarray:
    """Scores of any kind as rarities within their own scan, for a picture.

    A voxel has rarity r where a share of 10^-r of the scored voxels has a higher score.

    Arguments:
        scores: Higher is rarer, NaN where not scored, `(D, H, W)`.

    Returns:
        float32, 0 to `FINEST`, NaN where `scores` is.
    """
    known = scores[np.isfinite(scores)]
    if not len(known):
        return np.full(scores.shape, np.nan, np.float32)
    levels = np.linspace(0, FINEST, 100)
    limits = np.quantile(known[:: max(1, len(known) // SAMPLE)], 1 - 10**-levels)
    # Of equal limits the last counts: what has the highest score of all is the rarest.
    limits, first = np.unique(limits[::-1], return_index=True)
    return np.interp(scores, limits, levels[::-1][first]).astype(np.float32)


def chosen_slice(rarity: np.ndarray, lesion: np.ndarray) -> int:
    """The slice with most lesion voxels; without any, the one with the rarest voxel.

    Arguments:
        rarity: `(D, H, W)`, NaN where not scored.
        lesion: bool, `(D, H, W)`.
    """
    inside = lesion.sum(axis=(1, 2))
    if inside.any():
        return int(inside.argmax())
    known = np.where(np.isnan(rarity), -np.inf, rarity)
    return int(known.max(axis=(1, 2)).argmax())


def beside_of(score: str) -> str:
    """What the name of a picture has more than that of the model's, with the map of a score."""
    return f"--{score}"


def outline(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask that touch the outside by a side, bool, `(H, W)`."""
    room = np.pad(mask, 1)
    inner = room[:-2, 1:-1] & room[2:, 1:-1] & room[1:-1, :-2] & room[1:-1, 2:]
    return mask & ~inner


def scaled(values: np.ndarray, size: tuple[int, int], method: Image.Resampling) -> np.ndarray:
    """Bring a picture to `(width, height)` pixels."""
    return np.array(Image.fromarray(values).resize(size, method))
