"""A DICOM series: which one of a folder it is, and the volume that its slices make."""

import filecmp
import logging
from collections import Counter
from pathlib import Path

import numpy as np

from ctscreener.ct_checks import MIN_SLICES
from ctscreener.dicom_line import check_tilt, fit_line
from ctscreener.dicom_parts import choose, find_parts
from ctscreener.dicom_phases import SAME_PLACE_MM
from ctscreener.dicom_pixels import bad_pixels, check_coding, read_frames, rescale_problem
from ctscreener.errors import InputError
from ctscreener.itk import LPS
from ctscreener.scan import Scan
from ctscreener.slices import PERPENDICULAR, Slice, read_slices

log = logging.getLogger(__name__)

# 2048 slices of 1024 x 1024: more than any scanner makes.
MAX_VOXELS = 1 << 31


def read_dicom(folder: Path, series: str | None = None) -> Scan:
    """Read a CT series from a folder of DICOM files.

    Slices are ordered by their positions across the slice; the distance between them comes from
    these positions too, never from SliceThickness. A file of several frames (enhanced CT) gives
    each with its own position. What differs within a series is never left out without a word.

    Arguments:
        folder: Searched with its subfolders.
        series: SeriesInstanceUID of the one to read, where there are several; `UID#2` for the
            second part of a series that holds several sizes, directions or phases.

    Returns:
        The scan: D across the slices, H along the columns, W along the rows of the images.

    Raises:
        InputError: One of `dicom.*` or `scan.*`.
    """
    try:
        images = read_slices(folder)
        if images:
            return _volume(choose(find_parts(images), series, folder).images)
    except OSError as failure:
        raise InputError(
            "scan.unreadable",
            f"Expected files that can be read, found: {failure.strerror} "
            f"({Path(failure.filename or folder).name}).",
            "Check the permissions of the folder and its files.",
        ) from failure
    raise InputError(
        "dicom.empty",
        f"Expected DICOM images in {folder}, found none.",
        "Give the folder that holds the slices, or a NIfTI, NRRD or MetaImage file.",
    )


def _volume(stack: list[Slice]) -> Scan:
    """Put the slices of one stack in order, and check that none is missing or out of line."""
    first = stack[0]
    _check_placed(stack)
    _check_codings(stack)
    ordered = _without_copies(sorted(stack, key=lambda image: image.position @ first.normal))
    if len(ordered) < 2:
        raise InputError(
            "scan.too_few_slices",
            f"Expected at least {MIN_SLICES} slices, found 1 ({first.name}).",
            "Give the folder that holds all slices.",
        )
    if len(ordered) * first.coding.size[0] * first.coding.size[1] > MAX_VOXELS:
        raise InputError(
            "scan.too_large",
            f"Expected at most {MAX_VOXELS:,} voxels, found {len(ordered)} slices of "
            f"{first.coding.size[0]} x {first.coding.size[1]}.",
            "Resample the series, or export a part of it.",
        )
    positions = np.array([image.position for image in ordered])
    start, step = fit_line(ordered, positions)
    check_tilt(positions, first)
    return Scan(_read(ordered), _affine(positions, first, start, step))


def _check_placed(stack: list[Slice]) -> None:
    """Raise unless the slices tell where they lie, with rows and columns at a right angle."""
    first = stack[0]
    if not first.placed and first.coding.frames > 1:
        raise InputError(
            "dicom.multiframe",
            f"Expected a position, direction and spacing for each of {first.coding.frames} frames "
            f"in {first.path.name}, found none.",
            "Give the original series, or convert it to NIfTI with dcm2niix.",
        )
    if not first.placed:
        raise InputError(
            "dicom.geometry",
            f"Expected the position, direction and pixel spacing of every slice, found "
            f"{len(stack)} images without (such as {first.name}).",
            "Export the original series, not a screenshot or a processed copy.",
        )
    worst = max(stack, key=lambda image: image.skew)
    if worst.skew > PERPENDICULAR:
        raise InputError(
            "dicom.geometry",
            f"Expected unit directions at a right angle in {worst.name}, found them off by "
            f"{worst.skew:.2g} ({PERPENDICULAR:g} is allowed).",
            "Correct ImageOrientationPatient, or export the original series.",
        )


def _check_codings(stack: list[Slice]) -> None:
    """Raise unless the pixels of all slices can be read and mean the same."""
    checked: set[Path] = set()
    for image in stack:
        if image.path not in checked:
            check_coding(image.coding, image.path)
            checked.add(image.path)
        elif problem := rescale_problem(image.coding):
            raise bad_pixels(image.name, problem)
    meanings = [image.coding.meaning() for image in stack]
    for what in meanings[0]:
        counts = Counter(meaning[what] for meaning in meanings)
        if len(counts) == 1:
            continue
        (usual, _), *_, (rarest, count) = counts.most_common()
        odd = next(i for i, meaning in enumerate(meanings) if meaning[what] == rarest)
        raise InputError(
            "dicom.mixed_pixels",
            f"Expected one {what} in the series, found {_shown(rarest)} in {stack[odd].name} "
            f"({count} of {len(stack)} slices) and {_shown(usual)} in others.",
            "Export the original series again.",
        )


def _shown(value: object) -> str:
    """Write what a header says."""
    return "none" if value in (None, "") else f"{value}"


def _read(ordered: list[Slice]) -> np.ndarray:
    """Read the slices of a volume, file by file: HU, float32, `(D, H, W)`."""
    hu = np.empty((len(ordered), *ordered[0].coding.size), np.float32)
    places: dict[Path, list[int]] = {}
    for index, image in enumerate(ordered):
        places.setdefault(image.path, []).append(index)
    for path, indices in places.items():
        frames = [ordered[index].frame for index in indices]
        pictures = read_frames(ordered[indices[0]].coding, path, frames)
        for index, picture in zip(indices, pictures, strict=True):
            hu[index] = picture
    return hu


def _affine(positions: np.ndarray, first: Slice, start: float, step: float) -> np.ndarray:
    """Affine of a stack whose slices lie at `start + k * step` mm along its normal."""
    aside = positions - np.outer(positions @ first.normal, first.normal)
    columns = first.columns / np.linalg.norm(first.columns)
    affine = np.eye(4)
    affine[:3, 0] = first.normal * step
    affine[:3, 1] = np.cross(first.normal, columns) * first.spacing[0]
    affine[:3, 2] = columns * first.spacing[1]
    affine[:3, 3] = aside.mean(axis=0) + first.normal * start
    return LPS @ affine


def _without_copies(ordered: list[Slice]) -> list[Slice]:
    """Drop images that a slice at the same place already shows."""
    kept: list[Slice] = []
    for image in ordered:
        if not kept or not _same_place(kept[-1], image):
            kept.append(image)
            continue
        if not _same_picture(kept[-1], image):
            raise InputError(
                "dicom.overlap",
                f"Expected one image at each position, found two that differ: "
                f"{kept[-1].name} and {image.name}.",
                "Export one phase, or one reconstruction, at a time.",
            )
        log.info("Skipped %s: a copy of %s.", image.name, kept[-1].name)
    return kept


def _same_place(one: Slice, other: Slice) -> bool:
    """Tell whether two slices of a stack lie at the same distance across it."""
    return bool(abs((other.position - one.position) @ one.normal) < SAME_PLACE_MM)


def _same_picture(one: Slice, other: Slice) -> bool:
    """Tell whether two slices show the same; of files with many frames, whether they are copies."""
    if one.coding.frames > 1 or other.coding.frames > 1:
        return one.frame == other.frame and filecmp.cmp(one.path, other.path, shallow=False)
    pictures = [next(read_frames(image.coding, image.path, [0])) for image in (one, other)]
    return np.array_equal(pictures[0], pictures[1])
