from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ctscreener.scan import CANONICAL, Scan, reoriented_to_canonical, restore_axes

TURNS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def turned(scan: Scan, order: tuple[int, ...], signs: tuple[int, ...]) -> Scan:
    """Store the same patient with other axes, by nibabel's own rules."""
    image = nib.Nifti1Image(scan.hu, scan.affine)
    turn = np.column_stack([order, signs]).astype(float)
    image = image.as_reoriented(turn)
    return Scan(np.ascontiguousarray(image.dataobj), image.affine)


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_every_axis_order_and_flip_ends_in_the_same_canonical_scan(
    body: Scan, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    stored = turned(body, order, signs)
    back = reoriented_to_canonical(stored)
    np.testing.assert_array_equal(back.hu, body.hu)
    np.testing.assert_allclose(back.affine, body.affine, atol=1e-9)


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_values_go_back_to_the_axes_of_the_scan(
    body: Scan, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    stored = turned(body, order, signs)
    canonical = reoriented_to_canonical(stored)
    np.testing.assert_array_equal(restore_axes(canonical.hu, stored), stored.hu)


def test_a_canonical_scan_stays_as_it_is(body: Scan) -> None:
    same = reoriented_to_canonical(body)
    np.testing.assert_array_equal(same.hu, body.hu)
    np.testing.assert_array_equal(same.affine, body.affine)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), left_handed=st.booleans())
def test_an_oblique_scan_keeps_every_voxel_in_its_place(seed: int, left_handed: bool) -> None:
    generator = np.random.default_rng(seed)
    directions = Rotation.random(random_state=seed).as_matrix()
    if left_handed:
        directions[:, 1] *= -1
    affine = np.eye(4)
    affine[:3, :3] = directions * generator.uniform(0.5, 3, 3)
    affine[:3, 3] = generator.uniform(-200, 200, 3)
    shape = tuple(generator.integers(2, 6, 3))
    hu = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    scan = Scan(hu, affine)
    canonical = reoriented_to_canonical(scan)

    before, after = ({value: place for value, place in placed(each)} for each in (scan, canonical))
    assert before.keys() == after.keys()
    for value, place in before.items():
        np.testing.assert_allclose(after[value], place, atol=1e-9)
    cosines = np.sum(CANONICAL.T * canonical.affine[:3, :3] / canonical.spacing, axis=0)
    assert (cosines > 0).all()
    np.testing.assert_array_equal(restore_axes(canonical.hu, scan), hu)


def placed(scan: Scan) -> list[tuple[float, np.ndarray]]:
    """List the value and the place of every voxel."""
    index = np.indices(scan.shape).reshape(3, -1)
    places = scan.affine[:3, :3] @ index + scan.affine[:3, 3:]
    return list(zip(scan.hu.ravel().tolist(), places.T, strict=True))


def test_results_can_be_given_to_torch_without_a_copy(body: Scan) -> None:
    upside_down = turned(body, (0, 1, 2), (-1, -1, 1))
    canonical = reoriented_to_canonical(upside_down)
    assert canonical.hu.flags.c_contiguous
    assert restore_axes(canonical.hu, upside_down).flags.c_contiguous


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_spacing_follows_the_axes(body: Scan, order: tuple[int, ...]) -> None:
    stored = turned(body, order, (1, -1, 1))
    np.testing.assert_allclose(stored.spacing[list(order)], body.spacing)
