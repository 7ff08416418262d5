"""Pictures of scans: the slice with the lesions, its outline, and the map on the right alone."""

import numpy as np
import pytest

from ctscreener.scan import CANONICAL, Scan
from training.evaluation.case_picture import (
    OUTLINE,
    WIDTH,
    chosen_slice,
    draw_case,
    outline,
    ranked,
)

SHAPE = (10, 40, 50)
AFFINE = np.eye(4)
AFFINE[:3, :3] = CANONICAL.T * (5.0, 2.0, 2.0)


def test_the_lesion_is_outlined_in_both_panels_and_the_map_coloured_in_one() -> None:
    scan = Scan(np.zeros(SHAPE, np.float32), AFFINE)
    rarity, lesion = np.full(SHAPE, np.nan, np.float32), np.zeros(SHAPE, bool)
    lesion[6, 10:20, 10:20] = True
    rarity[6, 25:35, 30:45] = 6.0
    picture = np.array(draw_case(scan, rarity, lesion))
    left, right = picture[:, :WIDTH], picture[:, WIDTH + 4 :]
    assert left.shape == right.shape == (WIDTH * 40 // 50, WIDTH, 3)
    for panel in (left, right):
        edge = np.argwhere((panel == OUTLINE).all(axis=2))
        scale = WIDTH / 50
        np.testing.assert_allclose(edge.min(axis=0) / scale, (10, 10), atol=0.5)
        np.testing.assert_allclose(edge.max(axis=0) / scale, (20, 20), atol=0.5)
    at = int(30 * WIDTH / 50), int(37 * WIDTH / 50)
    assert np.ptp(left[at].astype(int)) == 0
    assert np.ptp(right[at].astype(int)) > 80


def test_the_file_s_axes_do_not_matter(rng: np.random.Generator) -> None:
    hu = rng.normal(0, 300, SHAPE).astype(np.float32)
    rarity, lesion = rng.random(SHAPE).astype(np.float32) * 6, rng.random(SHAPE) < 0.01
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = SHAPE[0] - 1
    one = draw_case(Scan(hu, AFFINE), rarity, lesion)
    other = draw_case(Scan(hu[::-1], AFFINE @ flip), rarity[::-1], lesion[::-1])
    np.testing.assert_array_equal(np.array(one), np.array(other))


def test_without_a_lesion_the_rarest_voxel_is_shown() -> None:
    rarity = np.full(SHAPE, np.nan)
    assert chosen_slice(rarity, np.zeros(SHAPE, bool)) == 0
    rarity[3:8, 4, 4] = [1, 2, 5, 2, 1]
    assert chosen_slice(rarity, np.zeros(SHAPE, bool)) == 5
    lesion = np.zeros(SHAPE, bool)
    lesion[7, 0, 0] = lesion[8, 0, :2] = True
    assert chosen_slice(rarity, lesion) == 8


def test_scores_of_any_kind_are_ranked_within_their_scan(rng: np.random.Generator) -> None:
    scores = rng.permutation(10_000).astype(np.float32).reshape(10, 20, 50)
    scores[0, 0, 0] = np.nan
    found = ranked(scores)
    assert np.isnan(found[0, 0, 0])
    for rarity in (1, 2, 3):
        assert np.nanmean(found >= rarity - 1e-3) == pytest.approx(10.0**-rarity, rel=0.2)
    # Whatever the scale: order is all that counts.
    np.testing.assert_allclose(ranked(np.exp(scores / 1000)), found, atol=0.05)
    assert np.isnan(ranked(np.full((2, 2, 2), np.nan))).all()
    assert np.isfinite(ranked(np.zeros((2, 2, 2)))).all()


def test_an_outline_is_the_rim() -> None:
    mask = np.zeros((6, 6), bool)
    mask[:4, 1:5] = True
    rim = outline(mask)
    assert rim.sum() == 12
    assert not rim[1:3, 2:4].any()
