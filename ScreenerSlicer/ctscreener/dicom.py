"""A DICOM series: which one of a folder it is, and the volume that its slices make."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.itk import LPS
from ctscreener.plausible import MIN_SLICES
from ctscreener.scan import Scan
from ctscreener.slices import Slice, read_pixels, read_slices

log = logging.getLogger(__name__)

# Positions are written with two or three decimals of a millimetre.
SAME_POSITION_MM = 0.01
# A gap may differ from the usual one by this part of it, and by this much more for rounding.
UNEVEN = 0.05
ROUNDING_MM = 0.02
LISTED = 3


def read_dicom(folder: Path, series: str | None = None) -> Scan:
    """Read a CT series from a folder of DICOM files.

    Slices are ordered by their positions across the slice; the distance between them comes from
    these positions too, never from SliceThickness, and each slice has its own rescaling.

    Arguments:
        folder: Searched with its subfolders.
        series: SeriesInstanceUID of the one to read, where there are several.

    Returns:
        The scan: D across the slices, H along the columns, W along the rows of the images.

    Raises:
        InputError: One of `dicom.*`, `scan.too_few_slices` or `scan.not_scalar`.
    """
    try:
        images = read_slices(folder)
    except OSError as failure:
        raise InputError(
            "scan.unreadable",
            f"Expected a readable folder, found: {failure.strerror} ({folder.name}).",
            "Check the permissions of the folder and its files.",
        ) from failure
    if not images:
        raise InputError(
            "dicom.empty",
            f"Expected DICOM images in {folder}, found none.",
            "Give the folder that holds the slices, or a NIfTI, NRRD or MetaImage file.",
        )
    return _volume(_choose(_stacks(images), series))


def _stacks(images: list[Slice]) -> list[list[Slice]]:
    """Group images by series, size and direction, the largest group first."""
    stacks: list[list[Slice]] = []
    for image in images:
        for stack in stacks:
            if stack[0].stacks_with(image):
                stack.append(image)
                break
        else:
            stacks.append([image])
    return sorted(stacks, key=len, reverse=True)


def _choose(stacks: list[list[Slice]], series: str | None) -> list[Slice]:
    """Pick the one stack that can be the scan, or list those there are."""
    asked = [stack for stack in stacks if series in (None, stack[0].series)]
    if not asked:
        raise InputError(
            "dicom.no_such_series",
            f"Expected series {series}, found {_listed(stacks)}.",
            "Pick one of these with --series.",
        )
    scans = [stack for stack in asked if stack[0].modality == "CT"]
    if not scans:
        raise InputError(
            "dicom.modality",
            f"Expected a series of modality CT, found {_listed(asked)}.",
            "Give a CT scan.",
        )
    bodies = [stack for stack in scans if not stack[0].scout]
    if not bodies:
        raise InputError(
            "dicom.localizer",
            f"Expected a CT scan, found scout images only: {_listed(scans)}.",
            "Give the folder of the scan itself.",
        )
    placed = [stack for stack in bodies if stack[0].placed] or bodies
    candidates = [stack for stack in placed if len(stack) >= MIN_SLICES] or placed
    if len(candidates) > 1:
        raise _several(candidates)
    for stack in stacks:
        if stack is not candidates[0] and stack in asked:
            log.info("Skipped a scout, or a few images beside the scan: %s.", _listed([stack]))
    return candidates[0]


def _several(stacks: list[list[Slice]]) -> InputError:
    """Say between which series, or stacks of one series, there is a choice."""
    if len({stack[0].series for stack in stacks}) > 1:
        return InputError(
            "dicom.several_series",
            f"Expected one CT series, found {len(stacks)}: {_listed(stacks)}.",
            "Pick one with --series UID.",
        )
    return InputError(
        "dicom.mixed_series",
        f"Expected slices of one size and direction, found several in one series: "
        f"{_listed(stacks)}.",
        "Export one reconstruction at a time.",
    )


def _listed(stacks: list[list[Slice]]) -> str:
    """Write one clause for every stack: nothing in it tells who the patient is."""
    return "; ".join(
        f"{stack[0].series} ({stack[0].modality or 'no modality'}, {len(stack)} images, "
        f"'{stack[0].description}')"
        for stack in stacks
    )


def _volume(stack: list[Slice]) -> Scan:
    """Put the slices of one stack in order, and check that none is missing or out of line."""
    first = stack[0]
    if first.size[2] > 1:
        raise InputError(
            "dicom.multiframe",
            f"Expected one slice a file, found {first.size[2]} in {first.path.name} (enhanced CT).",
            "Convert the scan to NIfTI, for example with dcm2niix.",
        )
    if not first.placed:
        raise InputError(
            "dicom.geometry",
            f"Expected the position, direction and pixel spacing of every slice, found {len(stack)} "
            f"images without (such as {first.path.name}).",
            "Export the original series, not a screenshot or a processed copy.",
        )
    ordered = _without_copies(sorted(stack, key=lambda image: image.position @ first.normal))
    if len(ordered) < 2:
        raise InputError(
            "scan.too_few_slices",
            f"Expected at least {MIN_SLICES} slices, found 1 ({first.path.name}).",
            "Give the folder that holds all slices.",
        )
    positions = np.array([image.position for image in ordered])
    _check_gaps(ordered, positions @ first.normal)
    _check_tilt(positions, first)
    hu = np.empty((len(ordered), *first.size[:2]), np.float32)
    for index, image in enumerate(ordered):
        hu[index] = read_pixels(image.path)
    return Scan(hu, _affine(positions, first))


def _affine(positions: np.ndarray, first: Slice) -> np.ndarray:
    """Affine of a stack: all gaps agree here, and their mean adds up to no error at the end."""
    along = positions @ first.normal
    columns = first.columns / np.linalg.norm(first.columns)
    affine = np.eye(4)
    affine[:3, 0] = first.normal * (along[-1] - along[0]) / (len(along) - 1)
    affine[:3, 1] = np.cross(first.normal, columns) * first.spacing[0]
    affine[:3, 2] = columns * first.spacing[1]
    affine[:3, 3] = positions[0]
    return LPS @ affine


def _without_copies(ordered: list[Slice]) -> list[Slice]:
    """Drop images that a slice at the same place already shows."""
    kept: list[Slice] = []
    for image in ordered:
        if not kept or not _same_place(kept[-1], image):
            kept.append(image)
            continue
        if not np.array_equal(read_pixels(kept[-1].path), read_pixels(image.path)):
            raise InputError(
                "dicom.overlap",
                f"Expected one image at each position, found two that differ: "
                f"{kept[-1].path.name} and {image.path.name}.",
                "Export one phase, or one reconstruction, at a time.",
            )
        log.info("Skipped %s: a copy of %s.", image.path.name, kept[-1].path.name)
    return kept


def _same_place(one: Slice, other: Slice) -> bool:
    """Tell whether two slices of a stack lie at the same distance across it."""
    return bool(abs((other.position - one.position) @ one.normal) < SAME_POSITION_MM)


def _check_gaps(ordered: list[Slice], along: np.ndarray) -> None:
    """Raise when slices, at `along` mm across the stack, are missing or unevenly spaced."""
    gaps = np.diff(along)
    usual = _usual(gaps)
    steps = np.round(gaps / usual)
    off = np.abs(gaps - usual * np.maximum(steps, 1)) > UNEVEN * usual + ROUNDING_MM
    if off.any():
        worst = int(np.argmax(np.abs(gaps - usual) * off))
        raise InputError(
            "dicom.uneven",
            f"Expected slices {usual:.2f} mm apart, found {gaps[worst]:.2f} mm between "
            f"{ordered[worst].path.name} and {ordered[worst + 1].path.name}.",
            "Give a series with even gaps, or resample it to NIfTI with dcm2niix.",
        )
    holes = np.flatnonzero(steps > 1)
    if len(holes):
        places = ", ".join(
            f"{int(steps[hole]) - 1} between {ordered[hole].path.name} and "
            f"{ordered[hole + 1].path.name}"
            for hole in holes[:LISTED]
        )
        more = f" and {len(holes) - LISTED} places more" if len(holes) > LISTED else ""
        raise InputError(
            "dicom.missing_slices",
            f"Expected a slice every {usual:.2f} mm, found {int((steps - 1).sum())} missing: "
            f"{places}{more}.",
            "Copy or download the missing files.",
        )


def _usual(gaps: np.ndarray) -> float:
    """Return the commonest gap, the smallest of those equally common."""
    counts = Counter(np.round(gaps, 2).tolist())
    commonest = min(counts, key=lambda gap: (-counts[gap], gap))
    near = np.abs(gaps - commonest) <= UNEVEN * commonest + ROUNDING_MM
    return float(gaps[near].mean())


def _check_tilt(positions: np.ndarray, first: Slice) -> None:
    """Raise when the slices, at `positions` in LPS mm `(n, 3)`, do not lie above each other."""
    shift = positions - positions[0]
    along = shift @ first.normal
    aside = np.linalg.norm(shift - along[:, None] * first.normal, axis=1)
    if aside.max() <= first.spacing.min():
        return
    worst = int(np.argmax(aside))
    degrees = np.degrees(np.arctan2(aside[worst], along[worst]))
    raise InputError(
        "dicom.tilt",
        f"Expected slices straight above each other, found them shifted by {aside[worst]:.1f} mm "
        f"over the stack: a gantry tilt of about {degrees:.1f} degrees.",
        "Convert the series with dcm2niix, which straightens it, and give that file.",
    )
