"""Positions of DICOM slices against a straight line of even steps."""

from collections.abc import Sequence

import numpy as np

from ctscreener.errors import InputError
from ctscreener.slices import Slice

# A slice may lie off the line by this part of a step, and by this much more for positions that
# are written with one decimal.
UNEVEN = 0.05
ROUNDING_MM = 0.05
LISTED = 3


def fit_line(ordered: Sequence[Slice], positions: np.ndarray) -> tuple[float, float]:
    """Find the even steps that slices lie at, as near as their rounded positions allow.

    Arguments:
        ordered: Slices, for their names and the direction of all.
        positions: Where they lie in LPS mm, in order, `(n, 3)`.

    Returns:
        Place of the first slice along the normal, and the step to the next, in mm.

    Raises:
        InputError: `dicom.uneven` or `dicom.missing_slices`.
    """
    gaps = np.diff(positions @ ordered[0].normal)
    # The lower median: where as many gaps are double, the single one counts.
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    steps = np.maximum(np.round(gaps / usual), 1)
    number = np.concatenate([[0.0], np.cumsum(steps)])
    slope, origin = np.polyfit(number, positions, 1)
    step = float(slope @ ordered[0].normal)
    allowed = UNEVEN * step + ROUNDING_MM
    wrong = np.abs(gaps - step * steps)
    # Rounding may add up from both ends of a gap.
    if wrong.max() > allowed + ROUNDING_MM:
        worst = int(np.argmax(np.abs(gaps - usual * steps)))
        raise _uneven(
            f"Expected slices {usual:.2f} mm apart, found {gaps[worst]:.2f} mm between "
            f"{ordered[worst].name} and {ordered[worst + 1].name}."
        )
    off = np.abs(positions - origin - np.outer(number, slope)).max(axis=1)
    if off.max() > allowed:
        worst = int(np.argmax(off))
        raise _uneven(
            f"Expected slices on a straight line, {step:.2f} mm apart, found "
            f"{ordered[worst].name} {off[worst]:.2f} mm off it."
        )
    _check_missing(ordered, steps, step)
    return float(origin @ ordered[0].normal), step


def check_tilt(positions: np.ndarray, first: Slice) -> None:
    """Make sure that slices lie straight above each other.

    Arguments:
        positions: In LPS mm, in order, `(n, 3)`.
        first: One of them, for the direction of all.

    Raises:
        InputError: `dicom.tilt`.
    """
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


def _uneven(found: str) -> InputError:
    """Say that slices are unevenly spaced."""
    return InputError(
        "dicom.uneven", found, "Give a series with even gaps, or resample it with dcm2niix."
    )


def _check_missing(ordered: Sequence[Slice], steps: np.ndarray, step: float) -> None:
    """Raise where neighbours are more than one step apart."""
    holes = np.flatnonzero(steps > 1)
    if not len(holes):
        return
    places = ", ".join(
        f"{int(steps[hole]) - 1} between {ordered[hole].name} and {ordered[hole + 1].name}"
        for hole in holes[:LISTED]
    )
    more = f" and {len(holes) - LISTED} places more" if len(holes) > LISTED else ""
    raise InputError(
        "dicom.missing_slices",
        f"Expected a slice every {step:.2f} mm, found {int((steps - 1).sum())} missing: "
        f"{places}{more}.",
        "Copy or download the missing files.",
    )
