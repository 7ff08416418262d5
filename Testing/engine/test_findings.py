"""Findings agree with scipy's labels, with brute force, and with the patient's millimetres."""

import csv
import io
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ctscreener.components import regions_above
from ctscreener.errors import InputError
from ctscreener.findings import (
    NOTICE,
    Finding,
    FindingSettings,
    find,
    found_in_parts,
    told_of_parts,
)
from ctscreener.findings_text import findings_to_csv, findings_to_json
from ctscreener.scan import Scan

ANY_SIZE = FindingSettings(min_volume_ml=0)
OBLIQUE = np.array([[0.2, 0.1, -0.7, 9], [0.3, -0.8, 0.1, -8], [2.4, 0.2, 0.1, 7], [0, 0, 0, 1]])


def scan_like(rarity: np.ndarray, affine: np.ndarray | None = None) -> Scan:
    """A scan whose HU are its flat indices, on a grid of 1 mm unless told otherwise."""
    hu = np.arange(rarity.size, dtype=np.float32).reshape(rarity.shape)
    return Scan(hu, np.eye(4) if affine is None else affine)


def extended_length(index: np.ndarray, affine: np.ndarray) -> float:
    """The diameter by brute force over all pairs, the line followed to where it leaves voxels."""
    pairs = (index[:, None] - index[None]).reshape(-1, 3)
    pairs = pairs[pairs.any(axis=1)]
    apart = np.linalg.norm(pairs @ affine[:3, :3].T, axis=1)
    length = apart * (1 + 1 / np.abs(pairs).max(axis=1))
    return float(length[apart > apart.max() - 1e-6].max())


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.6))
def test_regions_are_those_of_scipy(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    rarity = rng.random(rng.integers(1, 9, 3)).astype(np.float32)
    rarity[rng.random(rarity.shape) < 0.1] = np.nan
    labels, count = ndimage.label(rarity >= 1 - share, np.ones((3, 3, 3)))
    expected = {tuple(np.flatnonzero(labels == label)) for label in range(1, count + 1)}
    regions = regions_above(rarity, 1 - share)
    assert {tuple(region) for region in regions} == expected
    assert len(regions) == count


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([np.eye(4), np.diag([2.5, 0.7, 0.7, 1]), OBLIQUE]))
def test_the_diameter_is_that_of_all_pairs(seed: int, affine: np.ndarray) -> None:
    rng = np.random.default_rng(seed)
    rarity = np.where(rng.random(rng.integers(1, 7, 3)) < 0.5, 4.0, 0.0).astype(np.float32)
    for region in find(rarity, scan_like(rarity, affine), ANY_SIZE):
        inside = next(
            r
            for r in regions_above(rarity, 3)
            if np.ravel_multi_index(region.peak_index, rarity.shape) in r
        )
        index = np.stack(np.unravel_index(inside, rarity.shape), axis=1)
        if len(index) > 1:
            assert region.diameter_mm == pytest.approx(extended_length(index, affine), rel=1e-5)
        else:
            assert region.diameter_mm == np.linalg.norm(affine[:3, :3], axis=0).max()


def test_a_row_of_voxels_is_as_long_as_its_voxels() -> None:
    rarity = np.zeros((3, 4, 30), np.float32)
    rarity[1, 2, 5:25] = 4
    (row,) = find(rarity, scan_like(rarity, np.diag([5.0, 1, 0.5, 1])), ANY_SIZE)
    assert row.diameter_mm == pytest.approx(20 * 0.5)


def test_a_ball_is_as_wide_as_it_was_drawn() -> None:
    d, h, w = np.mgrid[:30, :60, :60]
    rarity = np.where((d * 2 - 30) ** 2 + (h - 30) ** 2 + (w - 30) ** 2 <= 25**2, 4.0, 0.0)
    (ball,) = find(rarity, scan_like(rarity, np.diag([2.0, 1, 1, 1])))
    assert ball.diameter_mm == pytest.approx(51, abs=1.5)
    assert ball.volume_ml == pytest.approx(4 / 3 * np.pi * 2.5**3, rel=0.01)


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


def test_nothing_scored_and_nothing_rare_are_no_findings() -> None:
    for rarity in (np.full((3, 4, 5), np.nan, np.float32), np.zeros((3, 4, 5), np.float32)):
        assert find(rarity, scan_like(rarity), ANY_SIZE) == []
        assert findings_to_csv([]).count("\n") == 1


def test_csv_says_what_was_found_with_its_units() -> None:
    rarity = np.zeros((2, 3, 4), np.float32)
    rarity[1, 2, 3] = 3.25
    finding = find(rarity, scan_like(rarity, OBLIQUE), ANY_SIZE)
    (row,) = csv.DictReader(io.StringIO(findings_to_csv(finding)))
    assert float(row["peak_rarity_log10"]) == 3.25
    assert [int(row[f"peak_{axis}_voxel"]) for axis in "dhw"] == [1, 2, 3]
    place = [float(row[f"peak_{axis}_mm"]) for axis in ("right", "anterior", "superior")]
    assert place == pytest.approx(finding[0].peak_ras, abs=1e-4)
    assert {"volume_ml", "diameter_mm", "mean_hu", "voxels"} <= set(row)
    assert row["rarity_counted_up_to_log10"] == ""
    (row,) = csv.DictReader(io.StringIO(findings_to_csv(finding, 3.125)))
    assert float(row["peak_rarity_log10"]) == 3.25, "numbers stay numbers"
    assert float(row["rarity_counted_up_to_log10"]) == 3.125


def test_json_is_strict_and_carries_the_notice() -> None:
    rarity = np.zeros((2, 3, 4), np.float32)
    rarity[1, 2, 3] = 3.25
    findings = find(rarity, scan_like(rarity), ANY_SIZE)
    data = json.loads(findings_to_json(findings, {"model": "preview"}), parse_constant=pytest.fail)
    assert data["notice"] == NOTICE
    assert data["provenance"] == {"model": "preview"}
    assert "counted" not in json.dumps(data["units"])
    counted = json.loads(findings_to_json(findings, {}, counted=3.125))["units"]
    assert "counted up to 3.12" in counted["peak_rarity"]
    assert "counted up to 3.12" in counted["mean_rarity"]
    assert data["findings"] == json.loads(json.dumps([asdict(one) for one in findings]))
    with pytest.raises(ValueError, match="JSON"):
        findings_to_json(findings, {"seconds": float("nan")})


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
