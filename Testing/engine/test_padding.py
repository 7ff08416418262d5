"""Padding is told from what was measured, whatever its value."""

import numpy as np
import pytest

from ctscreener.padding import without_padding

MM = np.array([3.0, 1.5, 1.5])
BOX = np.s_[:, 12:28, 12:28]


def measured() -> np.ndarray:
    """A block of noisy tissue in noisy air, float32."""
    hu = np.full((3, 40, 40), -1000.0)
    hu[BOX] = 40
    return (hu + np.random.default_rng(0).normal(0, 10, hu.shape)).astype(np.float32)


def test_measured_voxels_stay_as_they_are() -> None:
    hu = measured()
    np.testing.assert_array_equal(without_padding(hu, MM), hu)


@pytest.mark.parametrize("fill", [-3024.0, -1024.0, -1000.0, 0.0, 3071.0])
def test_one_value_from_the_border_on_is_padding(fill: float) -> None:
    hu = measured()
    outside = np.ones(hu.shape, bool)
    outside[:, 5:-5, 5:-5] = False
    hu[outside] = fill
    found = np.isnan(without_padding(hu, MM))
    assert found[outside].all()
    assert not found[BOX].any()


@pytest.mark.parametrize("fill", [-1024.0, 0.0])
def test_of_the_mixtures_beside_it_what_looks_like_the_padding_goes(fill: float) -> None:
    hu = measured()
    hu[:, :, :12] = fill
    hu[BOX][:, :, 0] = (fill + 40) / 2  # half a voxel of tissue, beside the padding
    found = np.isnan(without_padding(hu, MM))
    assert found[:, :, :12].all()
    assert not found[BOX][:, :, 2:].any()
    assert found[:, 14:26, 12].all() == (fill == 0)


def test_one_value_within_the_body_is_no_padding() -> None:
    hu = measured()
    hu[:, 16:24, 16:24] = -1024
    assert np.isfinite(without_padding(hu, MM)).all()


def test_slices_are_told_apart() -> None:
    hu = measured()
    hu[1] = 0
    found = np.isnan(without_padding(hu, MM))
    assert found[1].all()
    assert not found[[0, 2]].any()
