"""The body is kept with what it holds; what lies around it is not."""

import numpy as np
import pytest

from ctscreener.body import body_box, body_mask
from ctscreener.errors import InputError
from ctscreener.padding import without_padding
from ctscreener.scan import Scan
from Testing.engine import patient
from Testing.engine.patient import Patient
from Testing.engine.torso import (
    ARM_MM,
    ARM_RAS,
    LUNG_RAS,
    SPACING,
    TABLE_RAS,
    index_of,
    torso,
    world,
)

MM = np.array(SPACING)
ENDLESS = torso(lung_half_length=1e4)


def mask(hu: np.ndarray) -> np.ndarray:
    """The body of a scan whose slices without any measurement lie beyond its ends."""
    unmeasured = np.isnan(hu).all(axis=(1, 2), keepdims=True)
    return body_mask(hu, MM, np.broadcast_to(unmeasured, hu.shape))


def in_lungs(scan: Scan) -> np.ndarray:
    """Which voxels lie well inside of endless lungs."""
    r, a, _ = world(scan.affine, scan.shape)
    tubes = [((r - x) / 28) ** 2 + ((a - y) / 40) ** 2 < 0.7 for x, y, _ in LUNG_RAS]
    return tubes[0] | tubes[1]


def test_lungs_and_arms_are_body_and_table_and_room_are_not() -> None:
    scan = torso()
    body = mask(scan.hu)
    for ras in (*LUNG_RAS, ARM_RAS, (0.0, 0.0, 0.0), (0.0, -50.0, 100.0)):
        assert body[index_of(scan.affine, ras)], ras
    for ras in (
        TABLE_RAS,
        (110.0, -100.0, 0.0),
        (0.0, 100.0, 0.0),
        (99.0, 0.0, 0.0),
        (-85.0, 85.0, 0.0),
    ):
        assert not body[index_of(scan.affine, ras)], ras
    r, a, _ = world(scan.affine, scan.shape)
    assert body[np.hypot(r / 90, a / 70) < 0.95].all()
    assert not body[a < -85].any()


def test_a_thin_plate_that_touches_the_back_is_no_body() -> None:
    scan = torso()
    _, back, left = index_of(scan.affine, (-90.0, -70.0, 0.0))
    hu = scan.hu.copy()
    hu[:, back, 4:left] = 200
    assert hu[30, back - 1, 32] > 0
    body = mask(hu)
    assert not body[:, back, left - 4 : left].any()
    assert not body[:, back, 4:10].any()
    assert body[:, back - 3, 32].all()


@pytest.mark.parametrize("below", [8, 1])
def test_a_thick_plate_that_touches_the_back_is_no_body_beside_it(below: int) -> None:
    """A plate of 12 mm with air below it, or its upper 8 mm along the border."""
    scan = torso()
    _, back, left = index_of(scan.affine, (-90.0, -70.0, 0.0))
    hu = scan.hu[:, : back + below].copy()
    hu[:, back - 1 : back + 2] = 200
    body = mask(hu)
    for beside in (np.s_[:, back - 1 : back + 2, :8], np.s_[:, back - 1 : back + 2, left:]):
        assert (hu[beside] == 200).all()
        assert not body[beside].any()
    assert body[:, back - 4, 32].all()


def test_a_body_that_the_field_of_view_cuts_is_kept_up_to_the_border() -> None:
    scan = torso()
    _, back, _ = index_of(scan.affine, (0.0, -60.0, 0.0))
    assert mask(scan.hu[:, : back + 1])[:, back, 30:34].all()


def test_the_body_is_as_large_as_it_was_drawn() -> None:
    scan = torso()
    r, a, _ = world(scan.affine, scan.shape)
    drawn = (np.hypot(r / 90, a / 70) <= 1) | (np.hypot(r - ARM_RAS[0], a - ARM_RAS[1]) <= ARM_MM)
    body = mask(scan.hu)
    assert 2 * (body & drawn).sum() / (body.sum() + drawn.sum()) > 0.96


def test_lungs_that_are_cut_by_the_ends_of_the_scan_are_kept() -> None:
    assert mask(ENDLESS.hu)[in_lungs(ENDLESS)].all()


def test_slices_without_measurements_let_no_air_in() -> None:
    hu = ENDLESS.hu.copy()
    hu[:3] = hu[-2:] = np.nan
    body = mask(hu)
    assert body[3:-2][in_lungs(ENDLESS)[3:-2]].all()
    assert not body[:3].any()
    assert not body[-2:].any()


def test_a_lung_that_touches_the_border_of_the_field_of_view_is_kept() -> None:
    scan = torso()
    r, a, s = world(scan.affine, scan.shape)
    first = int((r[0, 0] > 40).sum())
    lung = np.sqrt(((r - 38) / 28) ** 2 + ((a - 5) / 40) ** 2 + (s / 80) ** 2) < 0.8
    assert lung[:, :, first].any()
    body = mask(scan.hu[:, :, first:])
    assert body[lung[:, :, first:]].all()
    assert not body[:, index_of(scan.affine, TABLE_RAS)[1]].any()


def test_the_box_holds_the_trunk_and_the_arm_but_not_the_table() -> None:
    scan = torso()
    d, h, w = body_box(scan.hu, MM)
    r, a, _ = world(scan.affine, scan.shape)
    # A block of two voxels counts only when all of it is dense: 8 mm and a half voxel may be lost.
    assert (d.start, d.stop) == (0, scan.shape[0])
    assert abs(a[0, h.start, 0] - (ARM_RAS[1] + ARM_MM)) <= 10
    assert abs(a[0, h.stop - 1, 0] + 70) <= 10
    assert abs(r[0, 0, w.start] - (ARM_RAS[0] + ARM_MM)) <= 10
    assert abs(r[0, 0, w.stop - 1] + 90) <= 10


def test_the_box_leaves_empty_slices_out() -> None:
    scan = torso(upper_end=60)
    d, _, _ = body_box(scan.hu, MM)
    top = world(scan.affine, scan.shape)[2][d.stop - 1, 0, 0]
    assert 52 < top <= 60


@pytest.mark.parametrize("find", [lambda hu: body_box(hu, MM), mask])
@pytest.mark.parametrize("hu", [-1000.0, np.nan])
def test_a_scan_of_air_has_no_body(find: object, hu: float) -> None:
    assert callable(find)
    with pytest.raises(InputError, match="found no body") as error:
        find(np.full((20, 20, 20), hu, np.float32))
    assert error.value.code == "scan.no_body"


def test_a_small_lump_is_no_body() -> None:
    hu = np.full((40, 40, 40), -1000, np.float32)
    hu[10:20, 10:20, 10:20] = 40
    with pytest.raises(InputError, match="100 ml") as error:
        mask(hu)
    assert error.value.code == "scan.no_body"


def patient_mask(hu: np.ndarray) -> np.ndarray:
    """The body of a made-up patient."""
    return body_mask(without_padding(hu, patient.MM), patient.MM, np.zeros(hu.shape, bool))


@pytest.mark.parametrize("opening", [9.0, 30.0])
def test_the_air_of_the_room_does_not_reach_the_lungs_through_nose_or_mouth(
    opening: float,
) -> None:
    man = Patient(-130, 410).with_airway(opening)
    body = patient_mask(man.noisy())
    assert body[man.lung].mean() > 0.999
    assert body[man.trunk].mean() > 0.99
    assert (body & ~man.body).sum() < 0.002 * man.body.sum()


@pytest.mark.parametrize("fill", [-1024.0, -1000.0, 0.0, 500.0])
@pytest.mark.parametrize("radius", [120.0, 136.0])
def test_a_cut_through_the_patient_opens_no_lung(fill: float, radius: float) -> None:
    """The circle cuts through the lungs, or leaves 3 mm of the wall beside them."""
    man = Patient(-130, 150)
    outside, seam = man.outside(radius), man.outside(radius - 5)
    hu = man.noisy()
    hu[outside] = fill
    body = patient_mask(hu)
    assert body[man.lung & ~seam].mean() > 0.999
    assert body[man.trunk & ~seam].mean() > 0.99
    assert not body[outside].any()


def test_a_ring_of_water_around_the_body_is_no_body() -> None:
    man = Patient(-130, 150)
    hu = man.noisy()
    hu[man.outside(176)] = 0
    body = patient_mask(hu)
    assert body[man.trunk].mean() > 0.999
    assert not body[~man.trunk].any()


@pytest.mark.parametrize("flat", [True, False])
def test_a_couch_of_shells_and_foam_is_no_body(flat: bool) -> None:
    man = Patient(-130, 150).with_arms()
    couch = man.with_couch(-108, flat)
    body = patient_mask(man.noisy())
    assert body[man.body].mean() > 0.99
    # A shell right under the back cannot be told from it.
    assert body[couch].mean() < 0.025


def test_a_thick_pad_under_the_back_is_no_body() -> None:
    man = Patient(-130, 150)
    pad = (man.a < -122) & (man.a > -150) & (np.abs(man.r) < 200) & ~man.body
    hu = man.noisy()
    hu[pad] = 60
    body = patient_mask(hu)
    assert body[man.trunk].mean() > 0.99
    assert not body[pad].any()


def test_air_between_arm_and_trunk_is_no_body() -> None:
    man = Patient(-130, 150).with_arms(15)
    between = (np.abs(man.r) < 185) & (np.abs(man.a) < 60) & (man.s < 60) & ~man.body
    # A blanket closes the gap from above, a couch from below, but not at the lowest slices.
    lid = (np.abs(np.abs(man.a) - 60) < 10) & (np.abs(man.r) < 200) & (man.s > -60) & ~man.body
    man.hu[lid] = 40
    assert not patient_mask(man.noisy())[between & ~lid].any()
