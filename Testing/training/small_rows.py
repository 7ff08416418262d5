"""A few rows of made-up features, and whether two of them are the same."""

import numpy as np

from ctscreener.heads import Source
from training.data.rows import Rows

SOURCES = (Source(0), Source(1), Source(1, cube=3), Source(0, half=True))


def same(a: Rows, b: Rows) -> bool:
    pairs = [(a.anomalous, b.anomalous), (a.kind, b.kind), (a.number, b.number)]
    pairs += [(a.features[name], b.features[name]) for name in a.features]
    return a.features.keys() == b.features.keys() and all(np.array_equal(*pair) for pair in pairs)


def some_rows(seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    features = {s.name: rng.normal(size=(9, 2)).astype(np.float16) for s in SOURCES}
    anomalous = (np.arange(9) < 4).astype(np.int8)
    number = np.array([1, 1, 2, 3, 0, 0, 0, 0, 0], np.int16)
    return Rows(features, anomalous, np.where(anomalous, "gas", "").astype("<U16"), number)
