"""Findings are measured and ordered in the patient's millimetres, wherever the file's axes run."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import ctscreener.findings
from ctscreener.diameter import diameter
from ctscreener.errors import InputError
from ctscreener.findings import (
    Finding,
    FindingSettings,
    find,
    found_in_parts,
    told_of_limit,
    told_of_parts,
)
from ctscreener.findings_text import findings_to_csv
from ctscreener.scan import Scan
from Testing.engine.small_map import ANY_SIZE, OBLIQUE, scan_like


def test_a_finding_is_measured_where_it_lies_in_the_patient() -> None:
    rarity = np.full((5, 6, 7), np.nan, np.float32)
    rarity[2, 3, 1:4] = [3.0, 5.0, 4.0]
    rarity[3, 4, 4] = 3.5
    scan = scan_like(rarity, OBLIQUE)
    (finding,) = find(rarity, scan, ANY_SIZE)
    place = OBLIQUE @ [2, 3, 2, 1]
    voxel_ml = abs(np.linalg.det(OBLIQUE[:3, :3])) / 1000
    assert finding == Finding(
        rank=1,
        peak_rarity=5.0,
        mean_rarity=(3 + 5 + 4 + 3.5) / 4,
        volume_ml=pytest.approx(4 * voxel_ml),
        diameter_mm=finding.diameter_mm,
        mean_hu=pytest.approx((scan.hu[2, 3, 1:4].sum() + scan.hu[3, 4, 4]) / 4),
        peak_ras=pytest.approx(tuple(place[:3])),
        peak_index=(2, 3, 2),
        box_min=(2, 3, 1),
        box_max=(3, 4, 4),
        voxels=4,
    )


def test_findings_come_by_peak_then_size_then_place() -> None:
    rarity = np.zeros((1, 5, 12), np.float32)
    rarity[0, 0, 0] = 4
    rarity[0, 0, 3:5] = [4, 3]
    rarity[0, 0, 7] = 6
    rarity[0, 4, 0] = 4
    peaks = [one.peak_index for one in find(rarity, scan_like(rarity), ANY_SIZE)]
    assert peaks == [(0, 0, 7), (0, 0, 3), (0, 0, 0), (0, 4, 0)]
    two = find(rarity, scan_like(rarity), FindingSettings(min_volume_ml=0, most=2))
    assert [(one.rank, one.peak_index) for one in two] == [(1, (0, 0, 7)), (2, (0, 0, 3))]


def test_the_threshold_and_the_smallest_volume_are_included() -> None:
    rarity = np.zeros((2, 10, 10), np.float32)
    rarity[0, :, :] = 3
    assert len(find(rarity, scan_like(rarity), FindingSettings(3, 0.1))) == 1
    assert not find(rarity, scan_like(rarity), FindingSettings(3.0001, 0.1))
    assert not find(rarity, scan_like(rarity), FindingSettings(3, 0.1001))


def test_turning_the_file_moves_no_finding() -> None:
    rng = np.random.default_rng(3)
    rarity = (ndimage.gaussian_filter(rng.normal(size=(9, 12, 14)), 1) * 15).astype(np.float32)
    hu = rng.normal(size=rarity.shape).astype(np.float32)
    turn = np.array([[0, 0, -1, 8], [1, 0, 0, 0], [0, -1, 0, 13], [0, 0, 0, 1.0]])
    turned = [np.ascontiguousarray(x.transpose(1, 2, 0)[:, ::-1, ::-1]) for x in (rarity, hu)]
    before = find(rarity, Scan(hu, OBLIQUE), ANY_SIZE)
    after = find(turned[0], Scan(turned[1], OBLIQUE @ turn), ANY_SIZE)
    assert len(before) == len(after) > 3
    for one, other in zip(before, after, strict=True):
        assert one.peak_ras == pytest.approx(other.peak_ras)
        assert one.diameter_mm == pytest.approx(other.diameter_mm)
        assert one.mean_hu == pytest.approx(other.mean_hu, abs=1e-6)
        assert (one.voxels, one.peak_rarity) == (other.voxels, other.peak_rarity)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9), st.integers(1, 5))
def test_box_diameter_and_hu_are_those_of_all_voxels(seed: int, share: float, piece: int) -> None:
    rng = np.random.default_rng(seed)
    rarity = rng.random(rng.integers(1, 7, 3)).astype(np.float32)
    scan = scan_like(rarity, OBLIQUE)
    labels, _ = ndimage.label(rarity >= share, np.ones((3, 3, 3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctscreener.findings, "PIECE", piece)
        found = find(rarity, scan, replace(ANY_SIZE, threshold=share))
    for finding in found:
        index = np.argwhere(labels == labels[finding.peak_index])
        assert finding.box_min == tuple(index.min(axis=0))
        assert finding.box_max == tuple(index.max(axis=0))
        assert finding.diameter_mm == pytest.approx(diameter(index, OBLIQUE))
        assert finding.mean_hu == pytest.approx(scan.hu[tuple(index.T)].mean(), rel=1e-5)


def test_nothing_scored_and_nothing_rare_are_no_findings() -> None:
    for rarity in (np.full((3, 4, 5), np.nan, np.float32), np.zeros((3, 4, 5), np.float32)):
        assert find(rarity, scan_like(rarity), ANY_SIZE) == []
        assert findings_to_csv([]).count("\n") == 1


@pytest.mark.parametrize(
    "wrong", [(np.nan, 0.1, 5), (3.0, -1.0, 5), (3.0, np.nan, 5), (3.0, 0.1, 0)]
)
def test_settings_that_mean_nothing_are_refused(wrong: tuple[float, float, int]) -> None:
    with pytest.raises(InputError, match="threshold"):
        FindingSettings(*wrong)


def test_findings_of_other_parts_are_counted_and_not_listed() -> None:
    rarity = np.zeros((4, 5, 20), np.float32)
    rarity[1, 2, [1, 9, 17]] = 5.0, 4.0, 3.5
    scan = scan_like(rarity, OBLIQUE)
    plain = find(rarity, scan, ANY_SIZE)
    names = {plain[0].peak_ras: "arms", plain[1].peak_ras: "torso", plain[2].peak_ras: "torso"}
    torso = found_in_parts(rarity, scan, ANY_SIZE, names.__getitem__, "torso")
    assert [(one.rank, one.part, one.peak_rarity) for one in torso.findings] == [
        (1, "torso", 4.0),
        (2, "torso", 3.5),
    ]
    assert (torso.total, torso.elsewhere) == (2, {"arms": 1})
    told = told_of_parts(torso.elsewhere)
    assert told.startswith("1 finding beyond the torso (arms 1) is coloured")
    every = found_in_parts(rarity, scan, ANY_SIZE, names.__getitem__)
    assert [one.part for one in every.findings] == ["arms", "torso", "torso"]
    assert (every.total, every.elsewhere) == (3, {})
    rows = list(csv.DictReader(io.StringIO(findings_to_csv(every.findings))))
    assert [row["part"] for row in rows] == ["arms", "torso", "torso"]
    assert [one.part for one in plain] == ["", "", ""], "not known"
    one_kept = replace(ANY_SIZE, most=1)
    limited = found_in_parts(rarity, scan, one_kept, names.__getitem__, "torso")
    assert [one.part for one in limited.findings] == ["torso"], "what is not listed takes no room"
    assert limited.total == 2


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_a_limit_keeps_the_first_of_the_list_and_counts_all(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    # Few values, so that peaks are often alike.
    rarity = rng.integers(1, 6, (4, 9, 9)).astype(np.float32)
    scan = scan_like(rarity, OBLIQUE)
    whole = found_in_parts(rarity, scan, replace(ANY_SIZE, threshold=5.0, most=rarity.size))
    some = found_in_parts(rarity, scan, replace(ANY_SIZE, threshold=5.0, most=most))
    assert some.findings == whole.findings[:most]
    assert [one.rank for one in some.findings] == list(range(1, len(some.findings) + 1))
    assert some.total == whole.total == len(whole.findings)


def test_five_are_listed_unless_more_are_asked_for() -> None:
    rarity = np.zeros((1, 1, 20), np.float32)
    rarity[0, 0, ::2] = np.arange(3, 13)
    found = found_in_parts(rarity, scan_like(rarity), ANY_SIZE)
    assert [one.peak_rarity for one in found.findings] == [12, 11, 10, 9, 8]
    assert found.total == 10
    told = told_of_limit(5, 10)
    assert told.startswith("10 regions lie above the threshold and are coloured: the 5 rarest are")
    assert "--most 10 lists all of them" in told
    assert "the rarest is listed" in told_of_limit(1, 10)
