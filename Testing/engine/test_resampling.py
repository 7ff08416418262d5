"""Resampling keeps places and means."""

import numpy as np
import pytest
from scipy import ndimage

from ctscreener.resampling import to_lattice
from ctscreener.scan import Scan
from Testing.engine.torso import (
    COARSE,
    SHAPE,
    canonical_affine,
    turned,
)

TILT = turned(canonical_affine(), 10, 0, SHAPE)


def test_a_bead_comes_out_where_it_lay() -> None:
    index = (31, 40, 22)
    bead = np.zeros(SHAPE, np.float32)
    bead[index] = 1000
    hu, affine = to_lattice(Scan(bead, TILT), np.array([2.0, 2.0, 2.0]))
    mass = np.nan_to_num(hu)
    centre = ndimage.center_of_mass(mass)
    ras, expected = affine @ [*centre, 1], TILT @ [*index, 1]
    np.testing.assert_allclose(ras, expected, atol=0.1)
    np.testing.assert_allclose(np.linalg.solve(TILT, ras)[:3], index, atol=0.03)


def test_finer_voxels_are_averaged_and_not_skipped() -> None:
    affine = canonical_affine((60, 60, 60), (1.0, 1.0, 1.0))
    noise = np.random.default_rng(0).normal(40, 100, (60, 60, 60)).astype(np.float32)
    hu, _ = to_lattice(Scan(noise, affine), np.array(COARSE.spacing))
    # A new voxel is as large as 40 old ones.
    assert np.nanstd(hu) < 1.5 * 100 / np.sqrt(40.5)
    assert np.nanmean(hu) == pytest.approx(40, abs=3)
