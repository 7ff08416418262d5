"""A plane: a scan and its map cut along the patient's axes, as a picture true to scale in mm.

Shown as radiologists do: the patient's right at the picture's left, anterior at the top of an
axial plane and at the left of a sagittal one, superior at the top of the other two.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ctscreener.colours import rarity_to_rgba
from ctscreener.scan import Scan, reoriented_to_canonical


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
        turned = reoriented_to_canonical(scan)
        values = reoriented_to_canonical(Scan(rarity, scan.affine)).hu
        scored = np.isfinite(values)
        box = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            at = np.flatnonzero(scored.any(axis=others))
            box.append(slice(at[0], at[-1] + 1) if len(at) else slice(None))
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
        if not np.isfinite(self.rarity).any():
            return np.array(self.scan.shape) // 2
        return np.array(np.unravel_index(np.nanargmax(self.rarity), self.rarity.shape))

    def window(self, index: np.ndarray) -> Window:
        """Choose the window that shows the tissue around a voxel."""
        reach = np.ceil(_AROUND_MM / self.scan.spacing).astype(int)
        around = tuple(
            slice(max(0, int(i - far)), int(i + far + 1))
            for i, far in zip(index, reach, strict=True)
        )
        return LUNG if np.median(self.scan.hu[around]) < _LUNG_BELOW_HU else SOFT_TISSUE

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


def _cut(volume: np.ndarray, plane: Plane, index: np.ndarray) -> np.ndarray:
    """Cut a plane out of a volume, with its first row at the picture's top."""
    cut = volume.take(index[plane.across], axis=plane.across)
    return np.ascontiguousarray(cut[::-1] if plane.upward else cut)


def _rarest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map to `size` (width, height): each pixel gets the rarest voxel in it.

    Averaging would make small findings fainter than the colour that their rarity has.
    """
    for axis, pixels in ((0, size[1]), (1, size[0])):
        first = np.arange(pixels) * values.shape[axis] // pixels
        values = np.fmax.reduceat(values, first, axis=axis)
    return values
