"""Counts: scores as keys in order, merged without a digit lost, in the memory of one histogram."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtr

from training.evaluation.counts import BINS, UNSCORED, Counts, histogram, keys, pooled, score_of
from training.evaluation.curves import aupro, auroc, average_precision


@given(arrays(np.float16, 2, elements=st.floats(width=16)))
def test_keys_keep_the_order_of_numbers_and_give_them_back(pair: np.ndarray) -> None:
    a, b = np.clip(pair, -65504, 65504)
    low, high = keys(pair)
    if np.isnan(pair).any():
        assert all(
            key == UNSCORED for key, x in zip((low, high), pair, strict=True) if np.isnan(x)
        )
    else:
        assert np.sign(int(high) - int(low)) == np.sign(float(b) - float(a))
        assert UNSCORED < min(low, high) <= max(low, high) < BINS
        assert score_of(np.array([low]))[0] == float(a)


def test_a_histogram_counts_keys(rng: np.random.Generator) -> None:
    scores = rng.normal(0, 100, 3_000_000).astype(np.float32)
    scores[::7], scores[::11], scores[::13] = np.nan, -0.0, np.inf
    np.testing.assert_array_equal(histogram(scores), np.bincount(keys(scores), minlength=BINS))


def test_voxels_that_are_not_considered_count_nowhere(rng: np.random.Generator) -> None:
    scores, region = rng.normal(size=500), rng.integers(0, 3, 500)
    considered = rng.random(500) < 0.5
    some = Counts.of(scores, region, considered)
    alone = Counts.of(scores[considered], region[considered])
    for one, other in zip(some.packed().values(), alone.packed().values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_merging_in_any_order_gives_the_same_digits(rng: np.random.Generator) -> None:
    scans = [
        Counts.of(rng.normal(size=900).astype(np.float32), rng.integers(0, 7, 900))
        for _ in range(12)
    ]
    first = pooled(scans)
    for _ in range(5):
        mixed = [scans[i] for i in rng.permutation(12)]
        # As workers and machines do: parts first, then the parts together.
        other = pooled([pooled(mixed[:5]), pooled(mixed[5:7]), pooled(mixed[7:])])
        for one, two in zip(first.packed().values(), other.packed().values(), strict=True):
            np.testing.assert_array_equal(one, two)
        for number in (auroc, aupro, average_precision):
            assert number(other) == number(first)


def test_counts_survive_a_file(rng: np.random.Generator) -> None:
    counts = Counts.of(rng.normal(size=900), rng.integers(0, 4, 900))
    again = Counts.unpacked(**counts.packed())
    np.testing.assert_array_equal(again.parts, counts.parts)
    np.testing.assert_array_equal(again.negatives, counts.negatives)
    assert again.regions == counts.regions == 3


def test_ten_billion_voxels_in_the_memory_of_one_histogram(rng: np.random.Generator) -> None:
    """100 scans of 10^8 voxels, drawn as counts: normal scores, lesions 1.5 higher."""
    import tracemalloc

    edges = score_of(np.arange(BINS))
    used = np.flatnonzero(np.isfinite(edges))
    middles = np.concatenate([[-np.inf], (edges[used][1:] + edges[used][:-1]) / 2, [np.inf]])
    chance = [np.diff(ndtr(middles - shift)).clip(0) for shift in (0.0, 1.5)]
    tracemalloc.start()
    total = Counts.none()
    for _ in range(100):
        n, p = np.zeros((2, BINS), np.int64)
        n[used] = rng.multinomial(100_000_000, chance[0] / chance[0].sum())
        p[used] = rng.multinomial(1_000_000, chance[1] / chance[1].sum())
        total += Counts(n, p, p, 1)
    found = auroc(total)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total.negatives.sum() == 10**10
    assert found.value == pytest.approx(ndtr(1.5 / np.sqrt(2)), abs=2e-5)
    assert found.bound < 1e-3
    assert peak < 30e6
