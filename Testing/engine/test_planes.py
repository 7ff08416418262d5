"""A voxel appears where its place in the patient says, in every plane, for every file."""

import numpy as np
import pytest

from ctscreener.planes import AXIAL, CORONAL, LUNG, PLANES, SAGITTAL, SOFT_TISSUE, Plane, View
from ctscreener.scan import Scan

# Centre of voxel (0, 0, 0) and spacing of a canonical grid: to superior, posterior, left.
FIRST = np.array([60.0, 90.0, -40.0])
SPACING = np.array([4.0, 1.5, 2.0])
SHAPE = (20, 50, 40)
CANONICAL = np.array([[0, 0, -2.0, 60], [0, -1.5, 0, 90], [4.0, 0, 0, -40], [0, 0, 0, 1]])
SCALE = 3.0

# What lies at the picture's left and top, and how much it grows to the right and down, in RAS.
LOOKS = {
    AXIAL: (np.array([-1, 0, 0]), np.array([0, -1, 0])),
    CORONAL: (np.array([-1, 0, 0]), np.array([0, 0, -1])),
    SAGITTAL: (np.array([0, -1, 0]), np.array([0, 0, -1])),
}


def turned(array: np.ndarray, affine: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same voxels, as a file with other axes holds them."""
    rng = np.random.default_rng(seed)
    order, index = rng.permutation(3), np.zeros((4, 4))
    index[3, 3] = 1
    for axis, source in enumerate(order):
        flip = rng.random() < 0.5
        index[source, axis] = -1 if flip else 1
        index[source, 3] = array.shape[source] - 1 if flip else 0
    flips = [axis for axis, source in enumerate(order) if index[source, axis] < 0]
    return np.flip(array.transpose(order), flips), affine @ index


def hot_view(hot: tuple[int, int, int], seed: int) -> View:
    """An empty scan, turned somehow, with one rare voxel."""
    rarity = np.zeros(SHAPE, np.float32)
    rarity[hot] = 5
    values, affine = turned(rarity, CANONICAL, seed)
    hu, _ = turned(np.full(SHAPE, -1000, np.float32), CANONICAL, seed)
    return View.of(Scan(hu, affine), values)


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
@pytest.mark.parametrize("seed", range(8))
def test_a_rare_voxel_is_coloured_where_it_lies(plane: Plane, seed: int) -> None:
    hot = (4, 37, 9)
    place = CANONICAL[:3] @ [*hot, 1]
    view = hot_view(hot, seed)
    picture = np.array(view.draw(plane, view.index(tuple(place)), SCALE, SOFT_TISSUE, True))
    rows, columns = np.nonzero(np.ptp(picture.astype(int), axis=-1) > 50)
    # The most right, anterior and superior corner of the grid.
    edge = np.array([60 + 1, 90 + 0.75, -40 + 4 * 19.5])
    for pixels, direction in ((columns, LOOKS[plane][0]), (rows, LOOKS[plane][1])):
        middle = (place - edge) @ direction * SCALE
        size = SPACING[::-1] @ np.abs(direction) * SCALE
        assert pixels.min() == pytest.approx(middle - size / 2, abs=1)
        assert pixels.max() + 1 == pytest.approx(middle + size / 2, abs=1)
    x, y = view.pixel(plane, view.index(tuple(place)), SCALE)
    assert columns.min() <= x <= columns.max() + 1
    assert rows.min() <= y <= rows.max() + 1


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_the_letters_name_the_sides_that_are_shown(plane: Plane) -> None:
    names = {(1, 0, 0): "R", (-1, 0, 0): "L", (0, 1, 0): "A", (0, -1, 0): "P"}
    names |= {(0, 0, 1): "S", (0, 0, -1): "I"}
    to_right, down = LOOKS[plane]
    sides = (-to_right, to_right, -down, down)
    assert plane.letters == tuple(names[tuple(side.tolist())] for side in sides)


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_a_picture_is_true_to_scale(plane: Plane) -> None:
    view = hot_view((1, 1, 1), 0)
    width, height = (abs(d) @ (np.array(SHAPE) * SPACING)[::-1] for d in LOOKS[plane])
    assert view.draw(plane, np.zeros(3, int), SCALE, LUNG, False).size == (
        round(width * SCALE),
        round(height * SCALE),
    )


def test_a_small_rare_place_keeps_its_colour_in_a_small_picture() -> None:
    view = hot_view((4, 37, 9), 0)
    small = np.array(view.draw(AXIAL, np.array([4, 37, 9]), 0.1, SOFT_TISSUE, True)).astype(int)
    large = np.array(view.draw(AXIAL, np.array([4, 37, 9]), 3.0, SOFT_TISSUE, True)).astype(int)
    assert small.shape[1] < SHAPE[2] / 4
    assert np.ptp(small, axis=-1).max() == np.ptp(large, axis=-1).max()


def test_the_view_is_cropped_to_what_was_scored_and_stays_in_place() -> None:
    rarity = np.full(SHAPE, np.nan, np.float32)
    rarity[3:6, 10:21, 7:9] = 1
    hu = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    view = View.of(Scan(hu, CANONICAL), rarity)
    assert view.scan.shape == view.rarity.shape == (3, 11, 2)
    index = view.index(tuple(CANONICAL[:3] @ [4, 12, 8, 1]))
    assert view.scan.hu[tuple(index)] == hu[4, 12, 8]
    assert View.of(Scan(hu, CANONICAL), np.full(SHAPE, np.nan, np.float32)).scan.shape == SHAPE


@pytest.mark.parametrize(("around", "window"), [(-850.0, LUNG), (50.0, SOFT_TISSUE)])
def test_the_window_is_that_of_the_tissue_around(around: float, window: object) -> None:
    hu = np.full(SHAPE, -300.0 - around, np.float32)
    hu[6:15, 15:35, 13:27] = around
    view = View.of(Scan(hu, CANONICAL), np.ones(SHAPE, np.float32))
    assert view.window(np.array([10, 25, 20])) is window


def test_a_window_spans_black_to_white() -> None:
    grey = SOFT_TISSUE.grey(np.array([-2000.0, -160, 40, 240, 3000]))
    assert grey.tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("seed", range(4))
def test_the_rarest_voxel_is_found_and_the_middle_without_scores(seed: int) -> None:
    view = hot_view((4, 37, 9), seed)
    place = CANONICAL[:3] @ [4, 37, 9, 1]
    found = view.scan.affine[:3] @ [*view.rarest(), 1]
    np.testing.assert_allclose(found, place, atol=1e-6)
    nothing = View(view.scan, np.full_like(view.rarity, np.nan))
    assert np.array_equal(nothing.rarest(), np.array(SHAPE) // 2)


def test_a_plane_that_grazes_the_skin_gives_way_to_one_that_shows_the_body() -> None:
    d, h, w = np.ogrid[:20, :50, :40]
    inside = ((h - 25) / 24.6) ** 2 + ((w - 20) / 18) ** 2 < 1
    rarity = np.where(inside & (d >= 0), 1.0, np.nan).astype(np.float32)
    view = View.of(
        Scan(np.where(inside, 40.0, -1000).astype(np.float32) + 0 * d, CANONICAL), rarity
    )
    skin = np.array([10, 0, 17])
    for plane in PLANES:
        shown = view.filled(plane, skin)
        body = np.isfinite(np.take(view.rarity, shown[plane.across], plane.across)).sum()
        assert body >= 0.25 * max(view.scored[plane.across])
        others = [axis for axis in range(3) if axis != plane.across]
        assert (shown[others] == skin[others]).all()
    assert 0 < view.filled(CORONAL, skin)[1] * SPACING[1] <= 20
    middle = np.array([10, 25, 17])
    assert (view.filled(CORONAL, middle) == middle).all()


def test_the_room_beside_the_skin_is_not_taken_for_lung() -> None:
    hu = np.full(SHAPE, -1000.0, np.float32)
    hu[:, 20:] = 40
    view = View.of(Scan(hu, CANONICAL), np.where(hu > 0, 1.0, np.nan).astype(np.float32))
    whole = View(Scan(hu, CANONICAL), np.where(hu > 0, 1.0, np.nan).astype(np.float32))
    assert view.window(np.array([10, 0, 20])) is SOFT_TISSUE
    assert whole.window(np.array([10, 19, 20])) is SOFT_TISSUE
