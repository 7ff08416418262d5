"""The overview shows the findings it was given, the same for every file of one scan."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from ctscreener.findings import Finding, FindingSettings, find
from ctscreener.overview import _sides, draw_overview
from ctscreener.scan import Scan

CANONICAL = np.array([[0, 0, -2.0, 60], [0, -1.5, 0, 90], [4.0, 0, 0, -40], [0, 0, 0, 1]])


def made_up(places: int) -> tuple[Scan, np.ndarray]:
    """Soft tissue with blocks that are rarer and rarer."""
    rng = np.random.default_rng(0)
    hu = rng.normal(40, 20, (30, 50, 40)).astype(np.float32)
    rarity = np.full(hu.shape, 0.5, np.float32)
    for place in range(places):
        start = 6 * place
        rarity[start : start + 3, 10 + start : 14 + start, 20:24] = 3.5 + 0.1 * place
    return Scan(hu, CANONICAL), rarity


def findings_in(scan: Scan, rarity: np.ndarray) -> list[Finding]:
    """What is found at any size."""
    return find(rarity, scan, FindingSettings(min_volume_ml=0))


def coloured(picture: Image.Image) -> np.ndarray:
    """Which pixels have the map's colour: orange, not the text's or the marker's."""
    red, green, blue = np.moveaxis(np.array(picture).astype(int), -1, 0)
    return (red - blue > 90) & (red > green)


def test_a_flipped_file_gives_the_same_picture() -> None:
    scan, rarity = made_up(2)
    flip = np.diag([-1.0, 1, -1, 1])
    flip[:3, 3] = [29, 0, 39]
    flipped = Scan(scan.hu[::-1, :, ::-1].copy(), scan.affine @ flip)
    rarity_flipped = rarity[::-1, :, ::-1].copy()
    # A block of one rarity has no single peak: give it one that no file order decides.
    rarity[1, 11, 21] = rarity_flipped[28, 11, 18] = 4.5
    rarity[7, 17, 21] = rarity_flipped[22, 17, 18] = 4.2
    first = draw_overview(scan, rarity, findings_in(scan, rarity), "A scan")
    second = draw_overview(flipped, rarity_flipped, findings_in(flipped, rarity_flipped), "A scan")
    assert np.array_equal(np.array(first), np.array(second))


@pytest.mark.parametrize("places", [0, 1, 2, 4])
def test_each_of_three_findings_at_most_has_a_row_of_pictures(places: int) -> None:
    scan, rarity = made_up(places)
    picture = draw_overview(scan, rarity, findings_in(scan, rarity), "A scan")
    none = draw_overview(scan, np.zeros_like(rarity), [], "A scan")
    one_row = none.height - 236
    assert picture.size == (1800, 236 + one_row * min(3, max(1, places)))


def test_the_map_lies_on_every_second_picture_only() -> None:
    scan, rarity = made_up(1)
    with_map = draw_overview(scan, rarity, findings_in(scan, rarity), "A scan")
    without = draw_overview(scan, np.zeros_like(rarity), findings_in(scan, rarity), "A scan")
    changed = np.array(with_map)[118:-118] != np.array(without)[118:-118]
    columns = np.flatnonzero(changed.any(axis=(0, 2)))
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 60) + 1)
    # Axial and coronal pictures are 80 mm wide, sagittal ones 75 mm.
    scale = (1800 - 118) / 470
    bare_then_coloured = [28 + 80 * scale, 54 + 3 * 80 * scale, 84 + (4 * 80 + 75) * scale]
    assert len(groups) == 3
    for group, left in zip(groups, bare_then_coloured, strict=True):
        assert left < group.min() <= group.max() < left + 85 * scale
    assert coloured(with_map)[118:-118].any()
    assert not coloured(without)[160:-118, 60:].any()


def test_title_and_notice_are_drawn_and_a_long_title_is_shortened() -> None:
    scan, rarity = made_up(0)
    plain = np.array(draw_overview(scan, rarity, [], "", ""))
    titled = np.array(draw_overview(scan, rarity, [], "patient " * 100, ""))
    noticed = np.array(draw_overview(scan, rarity, [], ""))
    assert np.flatnonzero((plain != titled).any(axis=(1, 2))).max() < 66
    assert 600 < np.flatnonzero((plain != titled).any(axis=(0, 2))).max() <= 28 + 900
    assert np.flatnonzero((plain != noticed).any(axis=(1, 2))).min() > len(plain) - 60


@pytest.mark.parametrize("places", [0, 1])
def test_a_rarity_that_was_not_counted_is_written_otherwise(places: int) -> None:
    scan, rarity = made_up(places)
    findings = findings_in(scan, rarity)
    plain = np.array(draw_overview(scan, rarity, findings, "A scan"))
    counted = np.array(draw_overview(scan, rarity, findings, "A scan", counted=9.0))
    beyond = np.array(draw_overview(scan, rarity, findings, "A scan", counted=0.4))
    assert np.array_equal(plain, counted)
    changed = np.flatnonzero((plain != beyond).any(axis=(1, 2)))
    assert 118 < changed.min() <= changed.max() < 118 + 46, "in the row's line of text alone"


@pytest.mark.parametrize("shape", [(1, 1, 1), (200, 3, 3), (2, 60, 1)])
def test_scans_of_odd_shapes_are_drawn(shape: tuple[int, int, int]) -> None:
    scan = Scan(np.zeros(shape, np.float32), CANONICAL)
    rarity = np.full(shape, 4.0, np.float32)
    assert draw_overview(scan, rarity, findings_in(scan, rarity), "Odd").width == 1800
    assert draw_overview(scan, np.full(shape, np.nan), [], "Odd").width == 1800


def test_a_real_scan_is_drawn_with_its_finding(real_scans: Path) -> None:
    image = sitk.ReadImage(str(real_scans / "lungdx_a0002.nii.gz"), sitk.sitkFloat32)
    hu = sitk.GetArrayFromImage(image)
    right, anterior, superior = image.GetSpacing() * np.array([-1, -1, 1])
    affine = np.diag([right, anterior, superior, 1.0])[:, [2, 1, 0, 3]]
    scan = Scan(hu, affine)
    rarity = np.where(hu > -900, 1.0, np.nan).astype(np.float32)
    middle = tuple(n // 2 for n in hu.shape)
    rarity[tuple(slice(m - 2, m + 3) for m in middle)] = 5.5
    picture = draw_overview(scan, rarity, findings_in(scan, rarity), "A real scan")
    assert coloured(picture)[160:-118].sum() > 100


@pytest.mark.parametrize("marked", [(5.0, 150.0), (150.0, 4.0), (295.0, 160.0), (140.0, 296.0)])
def test_no_letter_stands_where_a_marker_is(marked: tuple[float, float]) -> None:
    size = (300, 300)
    places = [place for place, _ in _sides(size, marked)]
    assert all(np.hypot(*np.subtract(place, marked)) > 70 for place in places)
    assert len(set(places)) == 4
    middles = [place for place, _ in _sides(size, None)]
    assert sum(one != other for one, other in zip(places, middles, strict=True)) == 1


def test_more_findings_than_are_listed_are_told() -> None:
    scan, rarity = made_up(4)
    found = findings_in(scan, rarity)
    told = draw_overview(scan, rarity, found, "", found=59)
    untold = draw_overview(scan, rarity, found, "")
    changed = (np.array(told) != np.array(untold)).any(axis=-1)
    assert changed[:66].any()
    assert not changed[66:].any()
