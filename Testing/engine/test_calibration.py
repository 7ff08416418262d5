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


def clearly_different(a: float, b: float, share: float) -> bool:
    """Whether rounding to a relative `share` leaves two numbers apart, as the scale sees them."""
    return abs(a - b) > share * max(1, abs(a), abs(b))


@settings(deadline=None)
@given(scales, st.one_of(near, anywhere), st.one_of(near, anywhere))
def test_a_higher_nll_is_a_higher_rarity_over_all_numbers(which: int, a: float, b: float) -> None:
    a, b = sorted((a, b))
    low, high = SCALES[which].rarity(np.array([a, b]))
    assert 0 < low <= high
    assert low < high or not clearly_different(a, b, 1e-9)


@settings(deadline=None)
@given(scales, st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False))
def test_float32_never_turns_a_ranking_round(which: int, a: float, b: float) -> None:
    low, high = SCALES[which].rarity(np.array(sorted((a, b)), np.float32))
    assert 0 <= low <= high
    assert np.isfinite(high)


@settings(deadline=None)
@given(scales, st.floats(1e-6, 12))
def test_float32_neighbours_keep_their_order(which: int, at: float) -> None:
    scale = SCALES[which]
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


def test_it_is_the_exact_survival_of_a_known_distribution_far_into_the_tail() -> None:
    nll = np.linspace(0.1, 25, 200)
    exact = -stats.expon.logsf(nll) / np.log(10)
    np.testing.assert_allclose(EXPONENTIAL.rarity(nll), exact, rtol=0.05)
    counted = exact < 3
    np.testing.assert_allclose(EXPONENTIAL.rarity(nll[counted]), exact[counted], atol=0.03)


def test_it_is_linear_beyond_the_table_and_goes_to_0_below_it() -> None:
    last = EXPONENTIAL.knots_nll[-1]
    first, second, third = EXPONENTIAL.rarity(last + np.array([0.0, 1000.0, 2000.0]))
    assert first == EXPONENTIAL.measured_up_to
    assert second - first == pytest.approx(third - second)
    assert 0 < EXPONENTIAL.rarity(np.array([-1e20]))[0] < 1e-20


@settings(deadline=None)
@given(scales, st.floats(1e-9, 1e6))
def test_the_inverse_gives_the_nll_back(which: int, rarity: float) -> None:
    scale = SCALES[which]
    assert scale.rarity(scale.nll(np.array([rarity])))[0] == pytest.approx(rarity, rel=1e-6)


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
