"""What is packed for a card comes out as it was, and in one piece."""

import numpy as np
import torch

from training.data.chance import normal
from training.data.parcel import ALIGNED, pack


def test_arrays_come_out_as_they_went_in() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.integers(0, 255, (3, 5, 7), dtype=np.uint8),
        "b": rng.normal(size=(4, 3)).astype(np.float32),
        "c": rng.integers(-9, 9, 5),
        "none": np.zeros((2, 0), np.float16),
        "one": np.array(2.5, np.float32),
        "mask": rng.random(11) < 0.5,
    }
    parcel = pack(arrays, {"seed": 3})
    assert all(place.start % ALIGNED == 0 for place in parcel.places.values())
    found = parcel.opened(torch.device("cpu"))
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), values)
        assert found[name].shape == values.shape
    assert parcel.facts == {"seed": 3}


def test_chance_of_a_device_is_a_function_of_its_seed() -> None:
    first, again, other = (normal((4, 5), seed, torch.device("cpu")) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
