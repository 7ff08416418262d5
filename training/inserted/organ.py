"""An organ that was found in a scan, or the reason why it was not."""

from dataclasses import dataclass, field

import numpy as np

from ctscreener.errors import InputError


@dataclass(frozen=True)
class Organ:
    """An organ on the blocks of an overview.

    Arguments:
        mask: Blocks of the organ, bool, `(d, h, w)`.
        hu: Median HU.
        evidence: What the decision to trust it rests on: name and value.
    """

    mask: np.ndarray = field(repr=False)
    hu: float
    evidence: dict[str, float]


def require(organ: str, measure: str, value: float, low: float, high: float = np.inf) -> float:
    """Pass a measure on where it lies in the range that a true organ has.

    Arguments:
        organ: What is looked for, for the error.
        measure: What was measured, with its unit.
        value: Its value.
        low: Smallest value of a true organ.
        high: Largest value of a true organ.

    Returns:
        The value, rounded.

    Raises:
        InputError: `insert.organ`.
    """
    if low <= value <= high:
        return round(float(value), 3)
    wanted = f"{low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
    raise InputError(
        "insert.organ",
        f"Expected {organ} with {measure} of {wanted}, found {value:.3g}: it cannot be told where "
        "the organ lies.",
        "Leave the scan out of this family.",
    )
