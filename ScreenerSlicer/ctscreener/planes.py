"""A plane: a scan and its map cut along the patient's axes, as a picture true to scale in mm.

Shown as radiologists do: the patient's right at the picture's left, anterior at the top of an
axial plane and at the left of a sagittal one, superior at the top of the other two.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from ctscreener.colours import rarity_to_rgba
from ctscreener.scan import Scan, canonical_view


@dataclass(frozen=True)
class Plane:
    """One of the three directions to look from.

    Arguments:
        name: What it is called.
        across: The axis of a canonical `(D, H, W)` array that the plane cuts.
        rows: The axis that runs down the picture.
        columns: The axis that runs to the picture's right.
        upward: Whether `rows` runs up the picture instead, as the axis to superior does.
        letters: Where the picture's left, right, top and bottom lie in the patient.
    """

    name: str
    across: int
    rows: int
    columns: int
    upward: bool
    letters: tuple[str, str, str, str]


AXIAL = Plane("Axial", 0, 1, 2, False, ("R", "L", "A", "P"))
CORONAL = Plane("Coronal", 1, 0, 2, True, ("R", "L", "S", "I"))
SAGITTAL = Plane("Sagittal", 2, 0, 1, True, ("A", "P", "S", "I"))
PLANES = (AXIAL, CORONAL, SAGITTAL)


@dataclass(frozen=True)
class Window:
    """Which Hounsfield units become black and white.

    Arguments:
        name: What it is called.
        width: HU from black to white.
        level: HU of the middle grey.
    """

    name: str
    width: float
    level: float

    def grey(self, hu: np.ndarray) -> np.ndarray:
        """Turn HU into grey, uint8 of the same shape."""
        share = (hu - (self.level - self.width / 2)) / self.width
        return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


SOFT_TISSUE = Window("soft tissue", 400, 40)
LUNG = Window("lung", 1500, -600)
_LUNG_BELOW_HU = -400.0
_AROUND_MM = 10.0
"""How far around a voxel the tissue is looked at to choose its window."""
_INWARD_MM = 20.0
"""How far from a voxel a plane may lie that is shown in the place of its own."""
_ENOUGH = 0.25
"""Share of the fullest slice's body that a plane has to show."""


@dataclass(frozen=True)
class View:
    """A scan and its map in canonical axes, cropped to what was scored.

    Arguments:
        scan: The part shown; D to superior, H to posterior, W to left, or as near as it gets
            without resampling an oblique scan.
        rarity: Rarity on the same grid, `(D, H, W)`; NaN where not scored.
    """

    scan: Scan
    rarity: np.ndarray

    @classmethod
    def of(cls, scan: Scan, rarity: np.ndarray) -> "View":
        """Turn and crop a scan and its map; a scan with nothing scored is kept whole."""
        turned = canonical_view(scan)
        values = canonical_view(Scan(rarity, scan.affine)).hu
        found = [np.flatnonzero(count) for count in scored_counts(values)]
        box = [slice(at[0], at[-1] + 1) if len(at) else slice(None) for at in found]
        affine = turned.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ np.array([side.start or 0 for side in box], float)
        return cls(Scan(turned.hu[tuple(box)], affine), values[tuple(box)])

    @property
    def extent(self) -> np.ndarray:
        """Size along `(D, H, W)` in mm, from edge to edge."""
        return np.array(self.scan.shape) * self.scan.spacing

    def index(self, ras: tuple[float, float, float]) -> np.ndarray:
        """Index `(d, h, w)` of the voxel shown nearest to a place in RAS mm."""
        place = np.linalg.solve(self.scan.affine, np.array([*ras, 1.0]))[:3]
        return np.clip(np.rint(place).astype(int), 0, np.array(self.scan.shape) - 1)

    def rarest(self) -> np.ndarray:
        """Index `(d, h, w)` of the rarest voxel; the middle where nothing is scored."""
        # Slice by slice: a whole map without its NaN would be a second map.
        highest = np.array([np.fmax.reduce(one, axis=None) for one in self.rarity])
        if not np.isfinite(highest).any():
            return np.array(self.scan.shape) // 2
        first = int(np.nanargmax(highest))
        place = np.unravel_index(np.nanargmax(self.rarity[first]), self.rarity.shape[1:])
        return np.array([first, *place])

    def window(self, index: np.ndarray) -> Window:
        """Choose the window that shows the tissue around a voxel."""
        reach = np.ceil(_AROUND_MM / self.scan.spacing).astype(int)
        around = tuple(
            slice(max(0, int(i - far)), int(i + far + 1))
            for i, far in zip(index, reach, strict=True)
        )
        hu, scored = self.scan.hu[around], np.isfinite(self.rarity[around])
        # At the skin the room around would pass for lung.
        tissue = hu[scored] if scored.any() else hu
        return LUNG if np.median(tissue) < _LUNG_BELOW_HU else SOFT_TISSUE

    @cached_property
    def scored(self) -> list[np.ndarray]:
        """How many voxels are scored in each slice across D, H and W."""
        return scored_counts(self.rarity)

    def filled(self, plane: Plane, index: np.ndarray) -> np.ndarray:
        """Move a place to the nearest slice that shows enough of the body.

        A plane that only grazes the skin, or the oblique end of a scan, would be black.

        Arguments:
            plane: The direction to look from.
            index: Index `(d, h, w)` of a voxel.

        Returns:
            The index with another slice across the plane, at most `_INWARD_MM` away.
        """
        count, at = self.scored[plane.across], int(index[plane.across])
        reach = int(_INWARD_MM / self.scan.spacing[plane.across])
        near = np.arange(max(0, at - reach), min(len(count), at + reach + 1))
        enough = near[count[near] >= _ENOUGH * count.max()]
        moved = index.copy()
        if len(enough):
            moved[plane.across] = enough[np.argmin(np.abs(enough - at))]
        else:
            moved[plane.across] = near[np.argmax(count[near])]
        return moved

    def size(self, plane: Plane, scale: float) -> tuple[int, int]:
        """Width and height of a plane's picture in pixels, at `scale` pixels a mm."""
        width, height = self.extent[plane.columns] * scale, self.extent[plane.rows] * scale
        return max(1, round(width)), max(1, round(height))

    def pixel(self, plane: Plane, index: np.ndarray, scale: float) -> tuple[float, float]:
        """Where a voxel's centre lies in a plane's picture, in pixels to the right and down."""
        x, y = (index[[plane.columns, plane.rows]] + 0.5) / np.array(self.scan.shape)[
            [plane.columns, plane.rows]
        ]
        width, height = self.size(plane, scale)
        return x * width, (1 - y if plane.upward else y) * height

    def draw(
        self, plane: Plane, index: np.ndarray, scale: float, window: Window, coloured: bool
    ) -> Image.Image:
        """Draw the plane through a voxel.

        Arguments:
            plane: The direction to look from.
            index: Index `(d, h, w)` of the voxel.
            scale: Pixels a mm.
            window: What of the HU is shown.
            coloured: Whether the map is laid over the scan.

        Returns:
            An RGB picture of `size(plane, scale)`.
        """
        size = self.size(plane, scale)
        grey = Image.fromarray(window.grey(_cut(self.scan.hu, plane, index)))
        picture = grey.resize(size, Image.Resampling.BICUBIC).convert("RGB")
        if coloured:
            rgba = rarity_to_rgba(_rarest(_cut(self.rarity, plane, index), size))
            picture.paste(Image.fromarray(rgba[..., :3]), mask=Image.fromarray(rgba[..., 3]))
        return picture


def scored_counts(values: np.ndarray) -> list[np.ndarray]:
    """Count how many numbers a map `(D, H, W)` holds in each slice across each axis."""
    found = [np.zeros(extent, int) for extent in values.shape]
    # Slice by slice, for the memory.
    for d, one in enumerate(values):
        scored = np.isfinite(one)
        found[0][d] = np.count_nonzero(scored)
        found[1] += np.count_nonzero(scored, axis=1)
        found[2] += np.count_nonzero(scored, axis=0)
    return found


def _cut(volume: np.ndarray, plane: Plane, index: np.ndarray) -> np.ndarray:
    """Cut a plane out of a volume, with its first row at the picture's top."""
    # Not by `take`, which copies the whole volume first where its axes are turned.
    cut = np.moveaxis(volume, plane.across, 0)[index[plane.across]]
    return np.ascontiguousarray(cut[::-1] if plane.upward else cut)


def _rarest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map to `size` (width, height): each pixel gets the rarest voxel in it.

    Averaging would make small findings fainter than the colour that their rarity has.
    """
    for axis, pixels in ((0, size[1]), (1, size[0])):
        first = np.arange(pixels) * values.shape[axis] // pixels
        values = np.fmax.reduceat(values, first, axis=axis)
    return values
