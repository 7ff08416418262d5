"""Phases of one DICOM series: what would make one volume of several times, kernels or energies.

Acquisitions that lie one above the other, as those of a scanner that moves step by step, are one
volume: only what interleaves is told apart.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ctscreener.dicom_tags import TIMES
from ctscreener.slices import Slice

SAME_PLACE_MM = 0.01
MOST_PHASES = 20
FEWEST_SLICES = 4
# Parts that lie in turns may have a slice more or less at the ends, or a time that is wrong.
IN_TURNS = 0.9


def split_phases(stack: Sequence[Slice]) -> list[tuple[str, list[Slice]]]:
    """Tell the phases of a stack of slices apart.

    Arguments:
        stack: Slices of one size and direction, with positions.

    Returns:
        Each phase with what sets it apart, such as `AcquisitionNumber 2`; a stack of one phase
        as it is, with no word.
    """
    places = np.array([image.position for image in stack]) @ stack[0].normal
    if len(stack) < FEWEST_SLICES:
        return [("", list(stack))]
    for labels in (_by_marks(stack, places), _by_time(stack, places), _by_number(stack, places)):
        if len(set(labels)) > 1:
            # Numbers in the order of numbers: `phase 10` behind `phase 9`.
            ordered = sorted(set(labels), key=lambda label: (len(label), label))
            return [
                (label, [image for image, own in zip(stack, labels, strict=True) if own == label])
                for label in ordered
            ]
    return [("", list(stack))]


def _by_marks(stack: Sequence[Slice], places: np.ndarray) -> list[str]:
    """Label slices by all marks whose values interleave."""
    names = sorted({name for image in stack for name in image.marks})
    apart = [
        name
        for name in names
        if _interleaved([image.marks.get(name, "") for image in stack], places)
    ]
    return [
        ", ".join(f"{name} {image.marks.get(name, '') or 'none'}" for name in apart)
        for image in stack
    ]


def _interleaved(values: list[str], places: np.ndarray) -> bool:
    """Tell whether slices of several values lie between or on each other, at `places` in mm."""
    kinds = sorted(set(values))
    if len(kinds) < 2:
        return False
    own = [places[[value == kind for value in values]] for kind in kinds]
    ranges = sorted((float(part.min()), float(part.max())) for part in own)
    # In order, so that it is enough to look at those next to each other.
    return any(below[1] - SAME_PLACE_MM > above[0] for below, above in pairwise(ranges))


def _by_time(stack: Sequence[Slice], places: np.ndarray) -> list[str]:
    """Label slices by groups of times that lie in turns across the stack."""
    for name in TIMES:
        times = np.array([image.times.get(name, np.nan) for image in stack])
        if not np.isfinite(times).all():
            continue
        order = np.lexsort((times, places))
        for count in range(2, min(MOST_PHASES, len(stack) // 2) + 1):
            groups = _groups(times, count)
            if groups is not None and _in_turns(groups[order], count):
                return [f"{name}, group {group + 1} of {count}" for group in groups]
    return [""] * len(stack)


def _groups(times: np.ndarray, count: int) -> np.ndarray | None:
    """Split times at their widest gaps; None where there are not so many."""
    inside = np.sort(times)
    gaps = np.diff(inside)
    widest = np.sort(np.argsort(-gaps, kind="stable")[: count - 1])
    if gaps[widest].min() <= 0:
        return None
    return np.searchsorted(inside[widest + 1], times, side="right")


def _in_turns(groups: np.ndarray, count: int) -> bool:
    """Tell whether every run of `count` slices has one slice of each group."""
    windows = np.lib.stride_tricks.sliding_window_view(groups, count)
    distinct = [len(set(window)) == count for window in windows.tolist()]
    return float(np.mean(distinct)) >= IN_TURNS


def _by_number(stack: Sequence[Slice], places: np.ndarray) -> list[str]:
    """Label slices by runs of instance numbers that lie in turns across the stack."""
    numbers = np.array([image.number for image in stack])
    none = [""] * len(stack)
    if len(set(numbers.tolist())) < len(stack):
        return none
    order = np.lexsort((numbers, places))
    ranks = np.argsort(np.argsort(numbers))[order]
    for count in range(2, min(MOST_PHASES, len(stack) // FEWEST_SLICES) + 1):
        steps = ranks[count:] - ranks[:-count]
        for way in (1, -1):
            if np.mean(steps == way) >= IN_TURNS:
                turn = np.empty(len(stack), int)
                turn[order] = np.arange(len(stack)) % count
                return [f"InstanceNumber, group {group + 1} of {count}" for group in turn]
    return none
