"""The diameter agrees with brute force over all pairs of voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctscreener.components import regions_above
from ctscreener.findings import (
    find,
)
from Testing.engine.small_map import ANY_SIZE, OBLIQUE, scan_like


def extended_length(index: np.ndarray, affine: np.ndarray) -> float:
    """The diameter by brute force over all pairs, the line followed to where it leaves voxels."""
    pairs = (index[:, None] - index[None]).reshape(-1, 3)
    pairs = pairs[pairs.any(axis=1)]
    apart = np.linalg.norm(pairs @ affine[:3, :3].T, axis=1)
    length = apart * (1 + 1 / np.abs(pairs).max(axis=1))
    return float(length[apart > apart.max() - 1e-6].max())


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
