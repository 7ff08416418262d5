"""Reviews: what a reader made of findings, kept while the findings around them change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ctscreener.findings import Finding, Index, Triple
from ScreenerSlicerLib.scene.regions import Regions

Verdict = Literal["accepted", "rejected", "unsure", ""]
VERDICTS: tuple[Verdict, ...] = ("accepted", "rejected", "unsure", "")

NEAR_MM = 5.0
"""A peak that moved no farther is the same finding for the reader."""


@dataclass(frozen=True)
class Review:
    """What a reader said of the finding with some peak.

    Arguments:
        peak_index: The peak's voxel `(d, h, w)`, which is what is reviewed.
        peak_ras: The same in RAS mm of the scan's own frame.
        verdict: What it is to the reader; empty where nothing was decided.
        comment: Anything else.
    """

    peak_index: Index
    peak_ras: Triple
    verdict: Verdict = ""
    comment: str = ""


def carried_over(
    reviews: Sequence[Review],
    findings: Sequence[Finding],
    rarity: np.ndarray,
    threshold: float,
    regions: Regions | None = None,
) -> list[Review | None]:
    """Find the review of each finding, after findings of the same map were computed anew.

    A finding has the review whose peak lies in its region. Where regions have grown together
    there may be several: then the one of the highest peak, and so its own before any other.

    Arguments:
        reviews: All that a reader said of this map.
        findings: As they are now.
        rarity: The map that they come from, `(D, H, W)`.
        threshold: The threshold that they come from.
        regions: The regions of the map at that threshold, where they are known already.

    Returns:
        For each finding its review, or None.
    """
    found: list[Review | None] = [None] * len(findings)
    if not reviews:
        return found
    peaks = [one.peak_index for one in (*findings, *reviews)]
    numbers = (regions or Regions(rarity, threshold)).holding(peaks)
    of_findings, of_reviews = numbers[: len(findings)], numbers[len(findings) :]
    for which, finding in enumerate(findings):
        inside = [reviews[i] for i in np.flatnonzero(of_reviews == of_findings[which]).tolist()]
        found[which] = max(
            inside,
            key=lambda one: (rarity[one.peak_index], one.peak_index == finding.peak_index),
            default=None,
        )
    return found


def brought_over(
    earlier: Sequence[Sequence[Review]],
    findings: Sequence[Finding],
    rarity: np.ndarray,
    threshold: float,
) -> tuple[list[Review], list[Review | None]]:
    """Bring reviews of earlier maps of the same scan over to another, where peaks have moved.

    A review whose peak lies in no region of the new map is that of the nearest peak within 5 mm,
    if that finding has no review of its own.

    Arguments:
        earlier: All that a reader said of each earlier map, the last map first: its word counts.
        findings: Those of the new map.
        rarity: The new map, `(D, H, W)`.
        threshold: The threshold that the findings come from.

    Returns:
        All reviews, those whose findings are gone included; and for each finding its review, or
        None.
    """
    if not any(earlier):
        return [], [None] * len(findings)
    regions = Regions(rarity, threshold)
    known: list[Review] = []
    for reviews in earlier:
        given = carried_over(reviews, findings, rarity, threshold, regions)
        free = [one for one, review in zip(findings, given, strict=True) if review is None]
        inside = regions.holding([one.peak_index for one in reviews])
        taken = {review.peak_index for review in known}
        for review, region in zip(reviews, inside, strict=True):
            moved = review if region >= 0 else _moved(review, free)
            if moved.peak_index not in taken:
                known.append(moved)
    return known, carried_over(known, findings, rarity, threshold, regions)


def _moved(review: Review, free: Sequence[Finding]) -> Review:
    """The review at the nearest peak that has none, if that is near enough."""
    near = min(free, key=lambda one: math.dist(one.peak_ras, review.peak_ras), default=None)
    if near is None or math.dist(near.peak_ras, review.peak_ras) > NEAR_MM:
        return review
    return replace(review, peak_index=near.peak_index, peak_ras=near.peak_ras)
