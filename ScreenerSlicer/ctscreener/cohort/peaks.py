"""Small pictures of the rarest findings of a scan, for the report of a cohort."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ctscreener.findings import Finding
from ctscreener.planes import PLANES, Plane, View, Window
from ctscreener.scan import Scan

MOST = 3
"""Findings of a scan that are shown, the rarest."""
SIDE = 128
"""Pixels of a picture along each side."""
SIDE_MM = 120.0
"""What it shows, around the peak."""


def draw_peaks(scan: Scan, rarity: np.ndarray, findings: Sequence[Finding]) -> Image.Image:
    """Draw the surroundings of the first findings with the map over them.

    Arguments:
        scan: The scan.
        rarity: Its rarity, `(D, H, W)`; NaN where not scored.
        findings: What was found, highest rank first; at least one.

    Returns:
        An RGB picture: a row of `SIDE` pixels for each of at most `MOST` findings; in it an axial,
        a coronal and a sagittal plane through the peak.
    """
    view, shown = View.of(scan, rarity), findings[:MOST]
    picture = Image.new("RGB", (SIDE * len(PLANES), SIDE * len(shown)))
    for row, finding in enumerate(shown):
        index = view.index(finding.peak_ras)
        window = view.window(index)
        for column, plane in enumerate(PLANES):
            picture.paste(_around(view, plane, index, window), (column * SIDE, row * SIDE))
    return picture


def row_of_peak(picture: Image.Image, number: int) -> Image.Image:
    """Cut out what is shown of one finding, counted from 0."""
    return picture.crop((0, number * SIDE, picture.width, (number + 1) * SIDE))


def _around(view: View, plane: Plane, index: np.ndarray, window: Window) -> Image.Image:
    """Draw a plane around a voxel; black beyond what was scored."""
    scale = SIDE / SIDE_MM
    whole = view.draw(plane, view.filled(plane, index), scale, window, coloured=True)
    x, y = (round(at - SIDE / 2) for at in view.pixel(plane, index, scale))
    return whole.crop((x, y, x + SIDE, y + SIDE))
