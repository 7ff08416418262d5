"""Rarity is a share of reference voxels, and it never changes a ranking."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError

EXPONENTIAL = Calibration.fit(np.random.default_rng(1).exponential(size=1_000_000))
SCALES = [
    EXPONENTIAL,
    Calibration.fit(np.random.default_rng(2).standard_t(2, size=20_000) * 40 - 300),
    Calibration.fit(np.round(np.random.default_rng(3).normal(size=500), 1)),
]
scales = st.integers(0, 2)
anywhere = st.floats(-1e30, 1e30)
near = st.floats(-1e3, 1e3)


def kept_apart(scale: Calibration, a: float, b: float) -> bool:
    """Whether two numbers are near enough for float64 to tell their rarities apart."""
    beyond = max(a, b) - scale.knots_nll[-1]
    # Far out the scale loses its digits to the ceiling: its slope falls with the square.
    return clearly_different(a, b, 1e-9 * max(1.0, beyond / scale.tail_nll) ** 2)


def clearly_different(a: float, b: float, share: float) -> bool:
    """Whether rounding to a relative `share` leaves two numbers apart, as the scale sees them."""
    return abs(a - b) > share * max(1, abs(a), abs(b))


@settings(deadline=None)
@given(scales, st.one_of(near, anywhere), st.one_of(near, anywhere))
def test_a_higher_nll_is_a_higher_rarity_over_all_numbers(which: int, a: float, b: float) -> None:
    a, b = sorted((a, b))
    low, high = SCALES[which].rarity(np.array([a, b]))
    assert 0 < low <= high <= SCALES[which].highest
    assert low < high or not kept_apart(SCALES[which], a, b)


@settings(deadline=None)
@given(scales, st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False))
def test_float32_never_turns_a_ranking_round(which: int, a: float, b: float) -> None:
    low, high = SCALES[which].rarity(np.array(sorted((a, b)), np.float32))
    assert 0 <= low <= high <= np.float32(SCALES[which].highest)


@settings(deadline=None)
@given(scales, st.floats(1e-6, 1.2))
def test_float32_neighbours_keep_their_order(which: int, share: float) -> None:
    scale = SCALES[which]
    at = min(share * scale.measured_up_to, scale.highest * (1 - 1e-5))
    start = scale.nll(np.array([at], np.float32))[0]
    run = np.arange(200, dtype=np.int32) + start.view(np.int32)
    nll = np.sort(run.view(np.float32))
    rarity = scale.rarity(nll)
    assert rarity.dtype == np.float32
    assert np.all(np.diff(rarity) >= 0)
    exact = scale.rarity(nll.astype(np.float64))
    resolved = np.diff(exact) > 2 * np.spacing(rarity[1:])
    assert np.all(np.diff(rarity)[resolved] > 0)


@pytest.mark.parametrize("scale", SCALES)
def test_it_never_falls_by_a_rounding_at_a_knot(scale: Calibration) -> None:
    knots = np.array(scale.knots_nll)
    around = np.sort(
        np.concatenate([knots, np.nextafter(knots, -np.inf), np.nextafter(knots, 1e9)])
    )
    assert np.all(np.diff(scale.rarity(around)) >= 0)


def test_it_never_falls_where_a_piece_rounds_above_its_end() -> None:
    assert 0.245 + (1.99 - 0.245) > 1.99
    scale = Calibration((-100.0, 1e-5, 1.0), (0.245, 1.99, 5.0), tail_nll=1.0, voxels=1000)
    before, at = scale.rarity(np.array([np.nextafter(1e-5, -1), 1e-5]))
    assert before <= at == 1.99


@pytest.mark.parametrize("rarity", [1, 2, 3])
def test_the_share_above_a_rarity_is_what_the_rarity_says(rarity: int) -> None:
    fresh = np.random.default_rng(4).exponential(size=1_000_000)
    above = np.count_nonzero(EXPONENTIAL.rarity(fresh) >= rarity)
    expected = len(fresh) * 10.0**-rarity
    # Twice the binomial variance: the scale itself was counted on as many voxels.
    assert abs(above - expected) < 4 * np.sqrt(2 * expected)


def test_it_is_the_exact_survival_of_a_known_distribution_as_far_as_it_was_counted() -> None:
    nll = np.linspace(0.1, EXPONENTIAL.knots_nll[-1], 200)
    exact = -stats.expon.logsf(nll) / np.log(10)
    assert exact[-1] > 4.9
    np.testing.assert_allclose(EXPONENTIAL.rarity(nll), exact, rtol=0.05)
    counted = exact < 3
    np.testing.assert_allclose(EXPONENTIAL.rarity(nll[counted]), exact[counted], atol=0.03)


@pytest.mark.parametrize("scale", SCALES)
def test_beyond_the_table_it_bends_from_the_tail_s_slope_to_a_ceiling(scale: Calibration) -> None:
    last, counted, step = scale.knots_nll[-1], scale.measured_up_to, 1e-6 * scale.tail_nll
    at, next_to = scale.rarity(last + np.array([0.0, step]))
    assert at == counted
    assert (next_to - at) / step * scale.tail_nll == pytest.approx(1, rel=1e-4)
    far = scale.rarity(last + scale.tail_nll * np.geomspace(0.1, 1e6, 500))
    assert np.all(np.diff(far) > 0)
    assert counted < far[0]
    assert far[-1] < scale.highest
    assert far[-1] == pytest.approx(scale.highest, abs=1e-5)
    slopes = np.diff(scale.rarity(last + scale.tail_nll * np.linspace(0, 10, 500)))
    assert np.all(np.diff(slopes) < 0)


def test_it_goes_to_0_below_the_table() -> None:
    assert 0 < EXPONENTIAL.rarity(np.array([-1e20]))[0] < 1e-20


@pytest.mark.parametrize(("voxels", "ceiling"), [(1000, 3.0), (100_000, 5.0), (3_000_000, 6.0)])
def test_nothing_is_called_rarer_than_the_reference_supports(voxels: int, ceiling: float) -> None:
    scale = Calibration.fit(np.random.default_rng(9).exponential(size=voxels))
    assert scale.highest == pytest.approx(ceiling)
    assert scale.measured_up_to <= ceiling - 0.25
    assert scale.rarity(np.array([1e30]))[0] <= ceiling


def test_a_scale_without_a_ceiling_gets_the_one_of_its_voxels() -> None:
    """Models that were made before there was one."""
    old = {name: part for name, part in EXPONENTIAL.to_json().items() if name != "ceiling"}
    assert Calibration.from_json(old).highest == pytest.approx(EXPONENTIAL.highest)
    counted_far = Calibration((0.0, 1.0), (0.5, 6.5), tail_nll=1.0, voxels=10**8)
    assert counted_far.highest == 6.75


@settings(deadline=None)
@given(scales, st.floats(1e-9, 0.9999))
def test_the_inverse_gives_the_nll_back(which: int, share: float) -> None:
    scale, rarity = SCALES[which], share * SCALES[which].highest
    assert scale.rarity(scale.nll(np.array([rarity])))[0] == pytest.approx(rarity, rel=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_no_finite_nll_has_a_rarity_of_the_ceiling(scale: Calibration) -> None:
    back = scale.nll(np.array([scale.highest, scale.highest + 1, 0.0, -1.0]))
    assert back.tolist() == (np.finfo(np.float64).max * np.array([1, 1, -1, -1])).tolist()


@settings(deadline=None)
@given(scales, near)
def test_the_inverse_gives_back_what_was_scored(which: int, nll: float) -> None:
    scale = SCALES[which]
    back = scale.nll(scale.rarity(np.array([nll])))[0]
    assert back == pytest.approx(nll, rel=1e-6, abs=1e-6)


def test_what_was_not_scored_stays_so_and_counts_nowhere() -> None:
    rng = np.random.default_rng(5)
    nll = rng.normal(size=(10, 100)).astype(np.float32)
    with_gaps = np.where(rng.random((10, 100)) < 0.5, np.nan, nll)
    scale = Calibration.fit(with_gaps)
    assert scale == Calibration.fit(with_gaps[np.isfinite(with_gaps)])
    assert np.array_equal(np.isnan(scale.rarity(with_gaps)), np.isnan(with_gaps))
    assert np.isnan(scale.nll(np.array([np.nan]))).all()


def test_a_weight_of_2_is_the_voxel_twice() -> None:
    nll = np.random.default_rng(6).normal(size=2000)
    weights = np.where(nll > 0, 2.0, 1.0)
    at = np.linspace(-2, 2, 50)
    weighted = Calibration.fit(nll, weights).rarity(at)
    twice = Calibration.fit(np.concatenate([nll, nll[nll > 0]])).rarity(at)
    np.testing.assert_allclose(weighted, twice, rtol=0.01, atol=1e-3)
    assert not np.allclose(weighted, Calibration.fit(nll).rarity(at), rtol=0.1)


def test_equal_reference_voxels_are_never_called_rarer_than_they_are() -> None:
    nll = np.random.default_rng(7).integers(0, 5, 10_000).astype(np.float32)
    scale = Calibration.fit(nll)
    for value in range(5):
        at_least_as_rare = np.mean(nll >= value)
        assert scale.rarity(np.array([float(value)]))[0] <= -np.log10(at_least_as_rare) + 1e-4


def test_large_scans_are_converted_like_small_ones() -> None:
    nll = np.random.default_rng(8).normal(size=(2, 3, 400_000))
    whole = EXPONENTIAL.rarity(nll)
    assert np.array_equal(whole[1, 2, -50:], EXPONENTIAL.rarity(nll[1, 2, -50:]))
    assert np.array_equal(EXPONENTIAL.rarity(nll[:, :, ::-7]), whole[:, :, ::-7])


def test_json_keeps_it_exactly() -> None:
    assert Calibration.from_json(json.loads(json.dumps(EXPONENTIAL.to_json()))) == EXPONENTIAL


@pytest.mark.parametrize(
    "change",
    [
        {"knots_nll": [0.0, 0.0]},
        {"knots_nll": [1.0, 0.0]},
        {"knots_nll": [0.0, float("nan")]},
        {"knots_nll": [0.0]},
        {"knots_nll": 3},
        {"knots_rarity": [0.0, 1.0]},
        {"knots_rarity": [0.5, "rare"]},
        {"knots_rarity": [0.5, float("inf")]},
        {"tail_nll": 0.0},
        {"tail_nll": None},
        {"voxels": 0},
        {"ceiling": 1.0},
        {"ceiling": float("nan")},
        {"ceiling": "high"},
    ],
)
def test_a_damaged_scale_is_one_clear_error(change: dict[str, object]) -> None:
    good = {"knots_nll": [0.0, 1.0], "knots_rarity": [0.5, 1.0], "tail_nll": 1.0, "voxels": 9}
    Calibration.from_json(good)
    with pytest.raises(InputError) as caught:
        Calibration.from_json(good | change)
    assert caught.value.code == "model.calibration"


@pytest.mark.parametrize("data", [None, [], {"knots_nll": [0, 1]}])
def test_an_incomplete_scale_is_one_clear_error(data: object) -> None:
    with pytest.raises(InputError, match="knots_rarity"):
        Calibration.from_json(data)


@pytest.mark.parametrize(
    "nll", [np.zeros(1000), np.arange(99.0), np.append(np.arange(999), np.inf)]
)
def test_reference_voxels_that_make_no_scale_are_refused(nll: np.ndarray) -> None:
    with pytest.raises(InputError, match="Expected a rarity scale"):
        Calibration.fit(nll)
