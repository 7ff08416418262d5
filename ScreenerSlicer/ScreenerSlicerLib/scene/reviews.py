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
    reviews: Sequence[Review], findings: Sequence[Finding], rarity: np.ndarray, threshold: float
) -> list[Review | None]:
    """Find the review of each finding, after findings of the same map were computed anew.

    A finding has the review whose peak lies in its region. Where regions have grown together
    there may be several: then the one of the highest peak, and so its own before any other.

    Arguments:
        reviews: All that a reader said of this map.
        findings: As they are now.
        rarity: The map that they come from, `(D, H, W)`.
        threshold: The threshold that they come from.

    Returns:
        For each finding its review, or None.
    """
    found: list[Review | None] = [None] * len(findings)
    if not reviews:
        return found
    peaks = [one.peak_index for one in (*findings, *reviews)]
    regions = Regions(rarity, threshold).holding(peaks)
    of_findings, of_reviews = regions[: len(findings)], regions[len(findings) :]
    for which, finding in enumerate(findings):
        inside = [reviews[i] for i in np.flatnonzero(of_reviews == of_findings[which]).tolist()]
        found[which] = max(
            inside,
            key=lambda one: (rarity[one.peak_index], one.peak_index == finding.peak_index),
            default=None,
        )
    return found


def moved_over(
    reviews: Sequence[Review], findings: Sequence[Finding], rarity: np.ndarray, threshold: float
) -> list[Review]:
    """Bring reviews over to another map of the same scan, where peaks have moved a little.

    Arguments:
        reviews: All that a reader said of the earlier map.
        findings: Those of the new map.
        rarity: The new map, `(D, H, W)`.
        threshold: The threshold that the findings come from.

    Returns:
        The reviews; where a peak lies in no region now, but that of a finding without review is
        within 5 mm, the review is of that peak, the nearest one.
    """
    given = carried_over(reviews, findings, rarity, threshold)
    free = [one for one, review in zip(findings, given, strict=True) if review is None]
    inside = Regions(rarity, threshold).holding([one.peak_index for one in reviews])
    moved = []
    for review, region in zip(reviews, inside, strict=True):
        near = min(free, key=lambda one: math.dist(one.peak_ras, review.peak_ras), default=None)
        if region < 0 and near and math.dist(near.peak_ras, review.peak_ras) <= NEAR_MM:
            review = replace(review, peak_index=near.peak_index, peak_ras=near.peak_ras)
        moved.append(review)
    return moved
