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


def fit_line(ordered: Sequence[Slice], along: np.ndarray) -> tuple[float, float]:
    """Find the even steps that slices lie at, as near as their rounded positions allow.

    Arguments:
        ordered: Slices, for their names.
        along: Where they lie across the stack, in mm, rising, `(n,)`.

    Returns:
        Place of the first slice, and the step to the next, in mm.

    Raises:
        InputError: `dicom.uneven` or `dicom.missing_slices`.
    """
    gaps = np.diff(along)
    # The lower median: where as many gaps are double, the single one counts.
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    steps = np.maximum(np.round(gaps / usual), 1)
    number = np.concatenate([[0.0], np.cumsum(steps)])
    step, start = np.polyfit(number, along, 1)
    off = np.abs(along - start - step * number)
    # Rounding may add up from both ends of a gap.
    uneven = np.abs(gaps - step * steps) > UNEVEN * step + 2 * ROUNDING_MM
    if off.max() > UNEVEN * step + ROUNDING_MM or uneven.any():
        worst = int(np.argmax(np.abs(gaps - usual * steps)))
        raise InputError(
            "dicom.uneven",
            f"Expected slices {usual:.2f} mm apart, found {gaps[worst]:.2f} mm between "
            f"{ordered[worst].name} and {ordered[worst + 1].name}.",
            "Give a series with even gaps, or resample it to NIfTI with dcm2niix.",
        )
    _check_missing(ordered, steps, step)
    return float(start), float(step)


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
