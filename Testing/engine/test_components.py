"""Connected components agree with scipy's labels."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ctscreener.components import regions_above


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.6))
def test_regions_are_those_of_scipy(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    rarity = rng.random(rng.integers(1, 9, 3)).astype(np.float32)
    rarity[rng.random(rarity.shape) < 0.1] = np.nan
    labels, count = ndimage.label(rarity >= 1 - share, np.ones((3, 3, 3)))
    expected = {tuple(np.flatnonzero(labels == label)) for label in range(1, count + 1)}
    regions = regions_above(rarity, 1 - share)
    assert {tuple(region) for region in regions} == expected
    assert len(regions) == count
