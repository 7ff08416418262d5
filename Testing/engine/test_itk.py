"""Images of ITK and arrays with affines turn into each other, and nothing moves."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ctscreener.itk import from_image, to_image
from Testing.engine.random_affine import random_affine


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), left_handed=st.booleans())
def test_images_and_affines_turn_into_each_other(seed: int, left_handed: bool) -> None:
    affine = random_affine(seed, left_handed)
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    image = to_image(values, affine)
    x, y, z = image.TransformIndexToPhysicalPoint((3, 2, 1))
    np.testing.assert_allclose((affine @ (1, 2, 3, 1))[:3], (-x, -y, z), atol=1e-6)
    same, back = from_image(image)
    np.testing.assert_array_equal(same, values)
    np.testing.assert_allclose(back, affine, atol=1e-9)
    again = to_image(same, back)
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(again, name)(), getattr(image, name)(), atol=1e-9)
