"""What rarities are worth: counted as scipy counts, and kept where a model was calibrated."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ctscreener.calibration import Calibration
from ctscreener.findings import FindingSettings, find
from ctscreener.scan import CANONICAL, Scan
from training.evaluation.froc import NEAR_MM
from training.evaluation.protocols import NEIGHBOURS, Truth
from training.evaluation.rarities import LEVELS, THRESHOLDS, Rarities, rarity_summary
from training.evaluation.results import Level
from training.evaluation.trained_on import seen_by

SPACING = (4.0, 2.0, 3.0)
AFFINE = np.eye(4)
AFFINE[:3, :3] = CANONICAL.T * SPACING
VOXEL_ML = float(np.prod(SPACING)) / 1000


def made_up(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth map that is not scored everywhere, and lesions of two kinds."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(14, 24, 20)), 1.5)
    # Tenths, so that some voxels are exactly as rare as a threshold.
    rarity = np.round(2 + 1.3 * field / field.std(), 1).astype(np.float32)
    rarity[:, :3] = np.nan
    labels = np.zeros(rarity.shape, np.uint8)
    for label in (1, 1, 2):
        d, h, w = rng.integers((1, 4, 1), (10, 18, 15))
        labels[d : d + 2, h : h + 4, w : w + 3] = label
    return rarity, labels


def within_reach(mask: np.ndarray) -> np.ndarray:
    """Voxels as near to a mask as a finding has to be to meet it."""
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=SPACING)) <= NEAR_MM + 1e-6


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_counts_are_those_of_scipy(seed: int, ignore: bool) -> None:
    rarity, labels = made_up(seed)
    truth = Truth.of(labels, AFFINE, 1, ignore)
    found = Rarities.of(rarity, truth)
    marked = labels > 0 if ignore else labels == 1
    others = rarity[np.isfinite(rarity) & ~marked]
    assert found.voxels == len(others)
    assert found.above.tolist() == [(others >= level).sum() for level in LEVELS]
    # Within reach of a lesion, by a distance transform in place of a tree.
    close = within_reach(marked)
    for k, threshold in enumerate(THRESHOLDS):
        regions = np.zeros(rarity.shape, np.int32)
        ndimage.label(np.nan_to_num(rarity) >= threshold, NEIGHBOURS, output=regions)
        sizes = np.bincount(regions.ravel())
        large = [n for n in range(1, len(sizes)) if sizes[n] * VOXEL_ML >= 0.1 * (1 - 1e-9)]
        assert found.findings[k] == sum(not close[regions == n].any() for n in large)
        reached = np.isin(regions, large)
        near = within_reach(reached)
        touched = set(np.unique(truth.region[near & (truth.region > 0)])) if large else set()
        # Where two lesions are in reach of a voxel, the nearer one is met.
        assert found.met[k] <= len(touched)
        assert (found.met[k] > 0) == bool(touched)
    assert found.lesions == truth.regions


def test_without_lesions_every_finding_of_a_screening_is_false() -> None:
    rarity, _ = made_up(3)
    nothing = Truth.of(np.zeros(rarity.shape, np.uint8), AFFINE, 0, True)
    scan = Scan(np.zeros(rarity.shape, np.float32), AFFINE)
    found = Rarities.of(rarity, nothing)
    for k, threshold in enumerate(THRESHOLDS):
        settings = FindingSettings(threshold=threshold, most=rarity.size)
        assert found.findings[k] == len(find(rarity, scan, settings))
        listed = find(rarity, scan, FindingSettings(threshold=threshold))
        assert found.listed[k] == len(listed)
    assert found.findings[0] >= found.listed[0] > 0
    assert found.met.sum() == found.listed_met.sum() == found.lesions == 0


def test_a_lesion_beyond_those_listed_is_met_but_not_by_them() -> None:
    rarity = np.zeros((10, 40, 40), np.float32)
    # Lumps of a ml and more, the rarest first; the lesion is the least rare of them.
    most = FindingSettings().most
    for k in range(most + 1):
        rarity[2:7, 2 + 6 * k : 5 + 6 * k, 2:8] = 4.8 - k / 10
    labels = np.zeros(rarity.shape, np.uint8)
    for last, others in ((most, most), (most - 1, most - 1)):
        labels[:] = 0
        labels[2:7, 2 + 6 * last : 5 + 6 * last, 2:8] = 1
        found = Rarities.of(rarity, Truth.of(labels, AFFINE, 1, True))
        assert found.findings[-1] == most
        assert found.met[-1] == 1
        assert found.listed[-1] == others
        assert found.listed_met[-1] == (last < most)


def test_the_promise_is_kept_where_a_model_was_calibrated_and_broken_where_all_is_rarer() -> None:
    rng = np.random.default_rng(0)
    reference = rng.gamma(3, 2, 400_000)
    scale = Calibration.fit(reference)

    def levels(nll: np.ndarray) -> list[Level]:
        rarity = scale.rarity(nll.reshape(40, 100, 100).astype(np.float32))
        truth = Truth.of(np.zeros(rarity.shape, np.uint8), AFFINE, 0, True)
        summary = rarity_summary([Rarities.of(rarity, truth)], ["a"], 10, np.random.default_rng(0))
        return summary["levels"]

    for kept, broken in zip(levels(reference), levels(reference + 3), strict=True):
        assert kept["share"]["value"] == pytest.approx(kept["promised"], rel=0.05)
        assert (broken["share"]["value"] or 0) > 1.5 * broken["promised"]
        # One patient has no interval.
        assert kept["share"]["low"] is kept["share"]["high"] is None


def counted(voxels: int, above: int, findings: int, met: int, lesions: int) -> Rarities:
    n = len(THRESHOLDS)
    counts = [np.full(n, count) for count in (findings, met, findings // 2, 0)]
    false, found, listed, listed_met = counts
    return Rarities(voxels, np.full(len(LEVELS), above), false, found, listed, listed_met, lesions)


def test_sets_add_up_by_patient() -> None:
    scans = [counted(100, 10, 2, 1, 1), counted(300, 10, 0, 0, 3), counted(600, 80, 7, 0, 0)]
    rng = np.random.default_rng(1)
    both = rarity_summary(scans, ["a", "a", "b"], 200, rng)
    assert (both["scans"], both["patients"], both["lesions"]) == (3, 2, 4)
    two: Any = both["levels"][1]
    assert two["share"]["value"] == pytest.approx(0.1)
    assert two["findings"]["value"] == 3
    assert two["met"]["value"] == 0.25
    assert two["listed"]["value"] == pytest.approx(4 / 3)
    assert two["listed_met"]["value"] == 0
    # A draw holds one patient twice, or both: 1, 3 or 7 findings a scan.
    assert (two["findings"]["low"], two["findings"]["high"]) == (1, 7)
    # With lesions in one patient alone there is nothing to draw.
    assert two["met"]["low"] is None
    turned = rarity_summary(scans[::-1], ["b", "a", "a"], 200, np.random.default_rng(1))
    assert turned == both
    assert rarity_summary([scans[2]], ["b"], 5, rng)["levels"][1].get("met", 0) is None


def test_what_a_model_has_seen_is_told_by_hashes() -> None:
    data = {"descriptor": [{"sha256": "1"}, {"sha256": "2"}], "density": [{"sha256": "2"}]}
    provenance = {
        "stages": {stage: {"data": scans} for stage, scans in data.items()},
        "reference": [{"sha256": "3"}],
    }
    seen = seen_by(provenance, ["1", "2", "4"])
    assert seen == {"descriptor": 2, "density": 1, "calibration": 0}
    assert seen_by({}, ["1"]) is None
