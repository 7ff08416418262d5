"""Cutting into tiles and joining them loses nothing and favours no order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal.windows import triang

from ctscreener.scan import Box, Shape
from ctscreener.tiles import Average, boxes, pooled, step, weights


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Shape, Shape, Shape]:
    """A volume, a tile that fits into it, and a stride."""
    shape = draw(st.tuples(*[st.integers(1, 13)] * 3))
    size = draw(st.tuples(*(st.integers(1, extent) for extent in shape)))
    return shape, size, draw(st.tuples(*(st.integers(1, tile) for tile in size)))


def volume(shape: Shape) -> np.ndarray:
    """Random values."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(cuts())
def test_what_is_cut_and_joined_is_unchanged(cut: tuple[Shape, Shape, Shape]) -> None:
    values, average = volume(cut[0]), Average(cut[0])
    for box in boxes(*cut):
        assert values[box].shape == cut[1]
        average.add(box, values[box])
    np.testing.assert_array_equal(average.mean(), values)


@settings(max_examples=60, deadline=None)
@given(cuts())
def test_neighbours_are_no_farther_apart_than_the_stride(
    cut: tuple[Shape, Shape, Shape],
) -> None:
    found = list(boxes(*cut))
    assert len({str(box) for box in found}) == len(found)
    for axis in range(3):
        starts = sorted({box[axis].start for box in found})
        assert starts[0] == 0
        assert starts[-1] == cut[0][axis] - cut[1][axis]
        assert all(after - before <= cut[2][axis] for before, after in pairwise(starts))


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_tiles_changes_no_bit(random: object) -> None:
    shape, size, stride = (5, 6, 7), (3, 4, 4), (1, 1, 1)
    generator = np.random.default_rng(0)
    tiles = [(box, generator.normal(30, 1000, size)) for box in boxes(shape, size, stride)]
    tiles = [(box, values.astype(np.float32)) for box, values in tiles]
    shuffled = list(tiles)
    assert hasattr(random, "shuffle")
    random.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_array_equal(joined(shape, shuffled), joined(shape, tiles))


def joined(shape: Shape, tiles: list[tuple[Box, np.ndarray]]) -> np.ndarray:
    """The average of some tiles."""
    average = Average(shape)
    for box, values in tiles:
        average.add(box, values)
    return average.mean()


def test_overlaps_are_averaged_and_what_nobody_scored_is_nan() -> None:
    left, right = np.full((1, 1, 3), 1.0, np.float32), np.full((1, 1, 3), 4.0, np.float32)
    left[0, 0, 1] = np.nan
    whole = np.s_[0:1, 0:1, 0:3], np.s_[0:1, 0:1, 1:4]
    mean = joined((1, 1, 5), [(whole[0], left), (whole[1], right)])
    # The last of the left tile's three voxels weighs 1, the middle of the right one's 3.
    np.testing.assert_array_equal(mean[0, 0], [1.0, 4.0, 3.25, 4.0, np.nan])
    assert mean.dtype == np.float32


@pytest.mark.parametrize("size", [(2, 4, 6), (32, 32, 32), (4, 16, 10)])
def test_weights_are_triangles_along_each_axis(size: Shape) -> None:
    d, h, w = (triang(extent) * extent for extent in size)
    np.testing.assert_allclose(weights(size), np.einsum("i,j,k->ijk", d, h, w))


@given(st.tuples(*[st.integers(1, 9)] * 3))
def test_weights_favour_no_side_and_leave_no_voxel_out(size: Shape) -> None:
    found = weights(size)
    assert found.shape == size
    assert found.min() == 1
    assert found[tuple(extent // 2 for extent in size)] == found.max()
    np.testing.assert_array_equal(found, found[::-1, ::-1, ::-1])
    np.testing.assert_array_equal(found, weights(size[::-1]).T)


@given(
    st.tuples(*[st.integers(1, 200)] * 3), st.floats(0, 0.9), st.tuples(*[st.integers(1, 9)] * 3)
)
def test_a_stride_is_a_multiple_that_overlaps_enough(
    blocks: Shape, overlap: float, unit: Shape
) -> None:
    size = tuple(n * m for n, m in zip(blocks, unit, strict=True))
    assert len(size) == 3
    for stride, extent, multiple in zip(step(size, overlap, unit), size, unit, strict=True):
        assert stride % multiple == 0
        assert multiple <= stride <= extent
        assert stride <= max(multiple, extent * (1 - overlap))
        assert stride > extent * (1 - overlap) - multiple - 1


@pytest.mark.parametrize("overlap", [0, 0.3, 0.5, 0.75, 0.9])
def test_pooled_results_of_all_tiles_lie_on_one_grid(overlap: float) -> None:
    shape, size, unit = (70, 99, 120), (64, 96, 96), (2, 3, 3)
    values = volume((35, 33, 40))
    average = Average((35, 33, 40))
    for box in boxes(shape, size, step(size, overlap, unit)):
        average.add(pooled(box, unit), values[pooled(box, unit)])
    np.testing.assert_array_equal(average.mean(), values)


@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [
        ((3, 9, 9), (4, 4, 4), (2, 2, 2)),
        ((9, 9, 9), (4, 4, 4), (2, 5, 2)),
        ((9, 9, 9), (4, 4, 4), (2, 2, 0)),
    ],
)
def test_tiles_that_cannot_cover_the_volume_are_refused(
    shape: Shape, size: Shape, stride: Shape
) -> None:
    with pytest.raises(ValueError, match="got"):
        list(boxes(shape, size, stride))


@pytest.mark.parametrize("overlap", [-0.1, 0.95, float("nan")])
def test_an_overlap_out_of_range_is_refused(overlap: float) -> None:
    with pytest.raises(ValueError, match="overlap"):
        step((8, 8, 8), overlap, (1, 1, 1))


def test_a_box_off_the_pooled_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples"):
        pooled(np.s_[0:4, 2:5, 0:3], (2, 3, 3))
