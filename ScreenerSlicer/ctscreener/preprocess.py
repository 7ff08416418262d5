"""From a scan to what the networks see, and back: the same functions in training and inference.

The scan is brought to one canonical frame (D to superior, H to posterior, W to left) on a lattice
that is fixed in the patient's coordinates, so that the file's axes cannot change the result.
Source of the steps: Goncharov et al., arXiv 2502.08321, appendix D.
"""

from dataclasses import dataclass

import numpy as np
from skimage import exposure

from ctscreener.body import body_box, body_mask
from ctscreener.padding import without_padding
from ctscreener.parts import body_parts
from ctscreener.resampling import SLAB, resample_image, to_lattice
from ctscreener.scan import Scan, Shape, canonical_view
from ctscreener.unscored import unscored

AIR_HU = -1000.0
"""What stands where nothing was measured."""


@dataclass(frozen=True)
class PreprocessSettings:
    """What is done to a scan before a network sees it."""

    spacing: tuple[float, float, float] = (2.25, 1.5, 1.5)
    """Distance of voxels along (D, H, W), in mm."""
    window: tuple[float, float] = (-1000.0, 300.0)
    """HU that become 0 and 1; what lies outside is clipped."""
    clahe_clip: float = 0.05
    """Clip limit of the contrast-limited adaptive histogram equalization; 0 for HU as they are."""
    clahe_tile: float = 48.0
    """Side of its tiles in mm, whatever the field of view."""
    multiple: Shape = (2, 3, 3)
    """The sides of the result are multiples of this: the pooling of the score."""


@dataclass(frozen=True)
class Prepared:
    """A scan as the networks see it.

    Arguments:
        image: Equalized intensities, uint8, which networks get divided by 255; or HU, int16,
            where nothing is equalized, `(D, H, W)`.
        body: Which voxels are body, bool, `(D, H, W)`.
        affine: Voxel index to RAS mm, `(4, 4)`.
        region: Which voxels are asked for, bool, `(D, H, W)`; None for all. Body is scored there.
        notices: Codes and sentences about what of the patient is not in `body`.
        parts: Torso, arms, head and legs, see `ctscreener.parts`, uint8, `(D, H, W)`; None where
            they were not looked for.
    """

    image: np.ndarray
    body: np.ndarray
    affine: np.ndarray
    region: np.ndarray | None = None
    notices: tuple[tuple[str, str], ...] = ()
    parts: np.ndarray | None = None

    @property
    def shape(self) -> Shape:
        """Voxels along `(D, H, W)`."""
        depth, height, width = self.image.shape
        return depth, height, width


def prepare(scan: Scan, settings: PreprocessSettings) -> Prepared:
    """Bring a scan to the canonical frame, crop it to the body and equalize it.

    Raises:
        InputError: `scan.no_body`.
    """
    scan = canonical_view(scan)
    hu, affine = on_body_grid(scan, settings)
    beyond = beyond_ends(scan, affine, hu.shape)
    spacing = np.array(settings.spacing)
    body = body_mask(hu, spacing, beyond)
    left_out = tuple(unscored(hu, body, spacing))
    parts = body_parts(hu, body, spacing)
    image = equalize(hu, settings) if settings.clahe_clip else whole_hu(hu)
    return Prepared(image, body, affine, notices=left_out, parts=parts)


def on_body_grid(scan: Scan, settings: PreprocessSettings) -> tuple[np.ndarray, np.ndarray]:
    """Resample a scan to the grid that the networks see: the lattice, cropped to the body.

    Arguments:
        scan: The scan, its axes in canonical order.
        settings: Spacing, and what the sides are multiples of.

    Returns:
        HU, float32, `(D, H, W)`, NaN outside of the scan and in its padding; and its affine.

    Raises:
        InputError: `scan.no_body`.
    """
    spacing = np.array(settings.spacing)
    hu, affine = to_lattice(scan, spacing)
    hu = without_padding(hu, spacing)
    box = body_box(hu, spacing)
    start, shape = tuple(side.start for side in box), whole(box, settings.multiple)
    affine[:3, 3] += affine[:3, :3] @ np.array(start, float)
    return crop(hu, start, shape), affine


def whole(box: tuple[slice, slice, slice], multiple: Shape) -> Shape:
    """The shape of a box, enlarged to a multiple."""
    d, h, w = (
        -(-(side.stop - side.start) // unit) * unit
        for side, unit in zip(box, multiple, strict=True)
    )
    return d, h, w


def beyond_ends(scan: Scan, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which voxels of a lattice lie beyond the first or the last slice of a scan.

    In a tilted scan these are not whole slices of the lattice.

    Arguments:
        scan: The scan, its axes in canonical order.
        affine: The lattice: index to RAS mm.
        shape: The lattice's voxels.

    Returns:
        bool, `shape`.
    """
    row = (np.linalg.inv(scan.affine) @ affine)[0]
    d, h, w = np.ogrid[: shape[0], : shape[1], : shape[2]]
    slices = row[0] * d + row[1] * h + row[2] * w + row[3]
    # A little inwards, so that rounding does not decide about points on the border.
    return (slices < -0.499) | (slices > scan.shape[0] - 0.501)


def crop(hu: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The part of a volume from `start` on, NaN beyond the volume's end."""
    part = np.full(shape, np.nan, hu.dtype)
    inside = hu[tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))]
    part[tuple(slice(n) for n in inside.shape)] = inside
    return part


def equalize(hu: np.ndarray, settings: PreprocessSettings) -> np.ndarray:
    """Window, then contrast-limited adaptive histogram equalization, to uint8.

    Arguments:
        hu: Hounsfield units, NaN where not measured (read as air), `(D, H, W)`.
        settings: Window, clip limit and tile.
    """
    low, high = settings.window
    image = (np.clip(np.nan_to_num(hu, nan=low), low, high) - low) / (high - low)
    # scikit-image stretches the range that it finds to 0..1. Two voxels in far corners pin that
    # range to the window, so that the same tissue looks the same in a scan without air or bone.
    image[0, 0, 0], image[-1, -1, -1] = 0.0, 1.0
    tile = [
        min(extent, max(1, round(settings.clahe_tile / step)))
        for extent, step in zip(image.shape, settings.spacing, strict=True)
    ]
    equal = exposure.equalize_adapthist(image, tile, settings.clahe_clip)
    return np.rint(equal * 255).astype(np.uint8)


def whole_hu(hu: np.ndarray) -> np.ndarray:
    """HU as whole numbers, int16, `(D, H, W)`; air where nothing was measured."""
    known = np.nan_to_num(hu, nan=AIR_HU)
    return np.rint(np.clip(known, -32768, 32767)).astype(np.int16)


def restore(values: np.ndarray, affine: np.ndarray, prepared: Prepared, scan: Scan) -> np.ndarray:
    """Bring scores back to the scan's own grid.

    Arguments:
        values: Scores, NaN where there is none, `(d, h, w)`.
        affine: Voxel of the scores' grid to RAS mm, `(4, 4)`.
        prepared: The scan as the networks saw it; its body is what is scored.
        scan: The scan.

    Returns:
        float32 on the scan's grid, NaN outside of the body.
    """
    import SimpleITK as sitk

    affine = affine.copy()
    # Edges repeated, since half a pooled voxel lies beyond the outermost centres.
    known = np.pad(np.isfinite(values), 1, mode="edge")
    padded = np.where(known, np.pad(values, 1, mode="edge"), 0).astype(np.float32)
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    scores, weights = (sitk.GetImageFromArray(one) for one in (padded, known.astype(np.float32)))
    inside = sitk.GetImageFromArray(prepared.body.astype(np.uint8))
    restored = np.empty(scan.shape, np.float32)
    for start in range(0, scan.shape[0], SLAB):
        shape = (min(SLAB, scan.shape[0] - start), *scan.shape[1:])
        target = scan.affine.copy()
        target[:3, 3] += scan.affine[:3, 0] * start
        total = resample_image(scores, affine, target, shape, 0.0)
        weight = resample_image(weights, affine, target, shape, 0.0)
        body = resample_image(inside, prepared.affine, target, shape, 0, nearest=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.where((body > 0) & (weight > 0), total / weight, np.nan)
        restored[start : start + shape[0]] = part
    return restored
