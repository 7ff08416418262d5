"""Ellipsoids and points drawn from a region."""

import numpy as np

from training.phantoms.canvas import Canvas, Place
from training.phantoms.shapes import ellipsoid, random_points


def along_axes(points: np.ndarray) -> Place:
    return Place(*np.asarray(points, np.float32).T)


def test_a_ball_has_its_distance_and_an_ellipsoid_its_surface(rng: np.random.Generator) -> None:
    points = rng.normal(0, 30, (500, 3))
    centre, radii = (3.0, -4.0, 5.0), (8.0, 12.0, 20.0)
    distance = np.linalg.norm(points - centre, axis=1)
    found = ellipsoid(along_axes(points), centre, (10.0, 10.0, 10.0))
    # Approximate in the very middle, where nothing depends on it.
    np.testing.assert_allclose(found[distance > 5], distance[distance > 5] - 10, atol=0.025)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    inside = (((points - centre) @ turn.T / radii) ** 2).sum(axis=1) < 1
    found = ellipsoid(along_axes(points), centre, radii, turn)
    clear = np.abs(found) > 0.05
    assert inside.any()
    np.testing.assert_array_equal(found[clear] < 0, inside[clear])


def test_points_lie_in_the_mask_of_the_box(rng: np.random.Generator) -> None:
    to_body = np.column_stack([np.diag([5.0, 3.0, 2.0]), [-40.0, -30.0, -20.0]])
    canvas = Canvas((16, 20, 20), np.array([5.0, 3.0, 2.0]), to_body, rng, warp=0.0)
    box = slice(4, 12), slice(5, 15), slice(2, 9)
    inside = np.zeros((8, 10, 7), bool)
    inside[2, 3, 4] = inside[7, 9, 6] = True
    points = random_points(canvas, box, inside, 40, rng)
    found = {tuple(voxel) for voxel in np.rint(canvas.voxels(points)).astype(int).tolist()}
    assert found == {(6, 8, 6), (11, 14, 8)}
    assert random_points(canvas, box, np.zeros_like(inside), 40, rng).shape == (0, 3)
