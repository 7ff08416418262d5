"""Trivial scores: what they measure, where, and that the file's axes do not matter."""

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import CANONICAL, Scan
from training.baselines.mean_at_place import CELLS, MeanAtPlace, cell_matrix, cell_means
from training.baselines.trivial import Chance, body_of, gradient_scores, random_scores

SPACING = (2.5, 1.5, 2.0)


def affine_of(spacing: tuple[float, float, float] = SPACING) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL.T * spacing
    affine[:3, 3] = 12.0, -30.0, 7.5
    return affine


def ramp(shape: tuple[int, int, int], slope: tuple[float, float, float]) -> Scan:
    """HU that rise by `slope` HU a mm along (D, H, W)."""
    steps = np.array(slope) * SPACING
    hu = np.tensordot(steps, np.indices(shape), 1) - 200
    return Scan(hu.astype(np.float32), affine_of())


@pytest.fixture
def torso(rng: np.random.Generator) -> tuple[Scan, np.ndarray]:
    """A box of tissue in air, denser to the back, and its mask."""
    shape = (30, 60, 50)
    body = np.zeros(shape, bool)
    body[2:-3, 8:-5, 6:-9] = True
    hu = np.where(body, np.linspace(-50, 150, 60)[None, :, None], -1000.0)
    hu = hu + rng.normal(0, 5, shape)
    return Scan(hu.astype(np.float32), affine_of()), body


def turned(scan: Scan, body: np.ndarray) -> tuple[Scan, np.ndarray]:
    """The same patient in a file with permuted and flipped axes."""
    index = np.zeros((4, 4))
    # New axes (W reversed, D, H).
    index[2, 0], index[2, 3] = -1, scan.shape[2] - 1
    index[0, 1] = index[1, 2] = index[3, 3] = 1
    hu, mask = (a[:, :, ::-1].transpose(2, 0, 1) for a in (scan.hu, body))
    return Scan(np.ascontiguousarray(hu), scan.affine @ index), np.ascontiguousarray(mask)


def test_the_gradient_of_a_ramp_is_its_slope_in_hu_a_mm() -> None:
    scan = ramp((20, 24, 22), (3.0, -4.0, 12.0))
    scores = gradient_scores(scan, np.ones(scan.shape, bool))
    np.testing.assert_allclose(scores[6:-6, 7:-7, 7:-7], 13.0, rtol=2e-2)


def test_every_score_is_nan_outside_of_the_body_and_a_number_inside(
    torso: tuple[Scan, np.ndarray], rng: np.random.Generator
) -> None:
    scan, body = torso
    mean = MeanAtPlace.fit([torso])
    for scores in (
        random_scores(body, rng),
        gradient_scores(scan, body),
        mean.map(scan, body),
    ):
        assert scores.dtype == np.float32
        np.testing.assert_array_equal(np.isfinite(scores), body)


def test_the_mean_of_a_scan_differs_from_it_by_noise_alone_and_a_lesion_stands_out(
    torso: tuple[Scan, np.ndarray],
) -> None:
    scan, body = torso
    mean = MeanAtPlace.fit([torso, torso])
    assert int(mean.scans) == 2
    assert np.median(mean.map(scan, body)[body]) < 10
    hu = scan.hu.copy()
    hu[10:15, 20:30, 20:30] += 300
    scores = mean.map(Scan(hu, scan.affine), body)
    assert scores[10:15, 20:30, 20:30].min() > 200


def test_means_lie_where_they_were_measured() -> None:
    """Linear interpolation between cells gives back what rises linearly, unless they are moved."""
    scan = ramp((53, 110, 101), (2.0, -1.5, 2.5))
    body = np.zeros(scan.shape, bool)
    body[3:-2, 5:-9, 4:-1] = True  # 48, 96 and 96 voxels: cells of whole voxels
    scores = MeanAtPlace.fit([(scan, body)]).map(scan, body)
    assert np.abs(scores[6:-5, 9:-13, 7:-4]).max() < 0.2


def test_a_shifted_or_larger_body_meets_the_same_places(
    torso: tuple[Scan, np.ndarray],
) -> None:
    scan, body = torso
    mean = MeanAtPlace.fit([torso])
    room = [(3, 4), (10, 2), (5, 8)]
    moved = Scan(np.pad(scan.hu, room, constant_values=-1000), affine_of((3.0, 1.0, 2.5)))
    scores = mean.map(moved, np.pad(body, room))
    np.testing.assert_allclose(scores[3:-4, 10:-2, 5:-8][body], mean.map(*torso)[body], atol=2)


def test_the_axes_of_the_file_do_not_matter(torso: tuple[Scan, np.ndarray]) -> None:
    other = turned(*torso)
    means = MeanAtPlace.fit([torso]), MeanAtPlace.fit([other])
    np.testing.assert_allclose(means[0].hu, means[1].hu, atol=0.01)
    for score in (means[0].map, gradient_scores):
        expected = score(*torso)[:, :, ::-1].transpose(2, 0, 1)
        np.testing.assert_allclose(score(*other), expected, atol=0.01)


def test_two_scans_are_averaged_by_the_share_of_body() -> None:
    shape = (12, 12, 12)
    body = np.ones(shape, bool)
    half = body.copy()
    half[1:-1, 1:-1, 1:6] = False
    low, high = (Scan(np.full(shape, hu, np.float32), affine_of()) for hu in (0.0, 100.0))
    mean = MeanAtPlace.fit([(low, body), (high, half)])
    # Cells of the hole know the first scan alone, the others know both.
    assert mean.hu[CELLS // 2, CELLS // 2, CELLS // 4] == pytest.approx(0, abs=1e-3)
    assert mean.hu[CELLS // 2, CELLS // 2, -5] == pytest.approx(50, abs=1e-3)


@pytest.mark.parametrize("extent", [5, 48, 100])
def test_cells_share_a_side_evenly(extent: int) -> None:
    matrix = cell_matrix(extent)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix.sum(axis=0), CELLS / extent)


def test_cell_means_keep_the_mean(rng: np.random.Generator) -> None:
    values = rng.normal(size=(20, 70, 48))
    assert cell_means(values).mean() == pytest.approx(values.mean())


def test_random_scores_repeat_with_the_seed() -> None:
    body = np.ones((4, 5, 6), bool)
    first, second = (random_scores(body, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, random_scores(body, np.random.default_rng(4)))


def test_chance_is_another_in_every_scan_and_the_same_again() -> None:
    body = np.ones((4, 5, 6), bool)
    scans = [Scan(np.full(body.shape, hu, np.float32), np.eye(4)) for hu in (1, 2)]
    first, other, again = (Chance(3).map(scans[i], body) for i in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, Chance(4).map(scans[0], body))


def test_no_scans_have_no_mean() -> None:
    with pytest.raises(InputError, match="found none"):
        MeanAtPlace.fit([])


def test_the_body_is_that_of_the_model() -> None:
    shape = (30, 60, 50)
    hu = np.full(shape, -1000.0, np.float32)
    hu[:, 10:-10, 10:-12] = 40.0
    body = body_of(Scan(hu, affine_of()), PreprocessSettings())
    inside = hu > 0
    # A voxel of tolerance at the surface, where grids and smoothing decide.
    assert body[2:-2, 12:-12, 12:-14].all()
    assert (body & ~inside).sum() < 0.1 * inside.sum()
