"""Changes of grey values, and masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from training.data.augment import Jitter, JitterSettings, apply_jitter, blur, draw_jitter
from training.data.masking import MaskSettings, draw_masks, hide

IMAGES = torch.rand((3, 1, 6, 20, 24), generator=torch.Generator().manual_seed(0))


def nothing(**changes: float) -> Jitter:
    """Changes that change nothing but what is named."""
    neutral = {"sigma": 0.0, "detail": 0.0, "noise": 0.0}
    neutral |= {"brightness": 1.0, "contrast": 1.0, "gamma": 1.0} | changes
    arrays = {name: np.full(3, value, dtype=np.float32) for name, value in neutral.items()}
    return Jitter(**arrays, seed=1)


def test_blur_is_a_gaussian_within_the_slices_alone() -> None:
    sigma = torch.tensor([0.3, 0.7, 1.0]).reshape(-1, 1, 1, 1, 1)
    found = blur(IMAGES, sigma)
    for image, width, result in zip(IMAGES, sigma.flatten().tolist(), found, strict=True):
        expected = ndimage.gaussian_filter(
            image[0].double().numpy(), (0, width, width), mode="nearest", radius=(0, 4, 4)
        )
        np.testing.assert_allclose(result[0].numpy(), expected, atol=1e-5)


def test_detail_blurs_at_minus_one_and_sharpens_above_zero() -> None:
    image = IMAGES * 0.4 + 0.3
    blurred = blur(image, torch.full((3, 1, 1, 1, 1), 0.8))
    torch.testing.assert_close(apply_jitter(image, nothing(sigma=0.8, detail=-1.0)), blurred)
    sharp = apply_jitter(image, nothing(sigma=0.8, detail=0.5))
    torch.testing.assert_close(sharp, (image + 0.5 * (image - blurred)).clamp(0, 1))


def test_each_change_does_what_it_says() -> None:
    image = IMAGES * 0.4 + 0.3
    torch.testing.assert_close(apply_jitter(image, nothing()), image)
    torch.testing.assert_close(apply_jitter(image, nothing(gamma=1.2)), image**1.2)
    torch.testing.assert_close(apply_jitter(image, nothing(brightness=0.8)), image * 0.8)
    flat = apply_jitter(image, nothing(contrast=0.8))
    dims = (1, 2, 3, 4)
    torch.testing.assert_close(flat.mean(dims), image.mean(dims))
    torch.testing.assert_close(flat.std(dims), 0.8 * image.std(dims))
    noise = apply_jitter(image, nothing(noise=0.05)) - image
    assert noise.std().item() == pytest.approx(0.05, rel=0.05)


def test_draws_stay_in_their_ranges_and_leave_some_crops_alone() -> None:
    settings = JitterSettings()
    jitter = draw_jitter(np.random.default_rng(0), np.full(4000, 1.5), settings)
    assert jitter.sigma.max() <= 1.0
    assert jitter.noise.max() <= 0.1
    for name, neutral in [("brightness", 1), ("contrast", 1), ("gamma", 1), ("noise", 0)]:
        values = getattr(jitter, name)
        assert np.mean(values == neutral) == pytest.approx(0.2, abs=0.03)
        assert 0 <= values.min() < values.max() <= 1.25
    shares = [
        np.mean(jitter.detail == -1),
        np.mean(jitter.detail == 0),
        np.mean(jitter.detail > 0),
    ]
    assert shares == pytest.approx([0.4, 0.2, 0.4], abs=0.04)
    assert jitter.detail.max() <= 2


def test_results_stay_between_0_and_1_and_repeat() -> None:
    jitter = draw_jitter(
        np.random.default_rng(3), np.full(3, 1.5), replace(JitterSettings(), chance=1.0)
    )
    found = apply_jitter(IMAGES, jitter)
    assert 0 <= found.min() < found.max() <= 1
    assert torch.equal(found, apply_jitter(IMAGES, jitter))
    assert not torch.equal(found, IMAGES)


def test_masks_hide_whole_blocks_and_the_share_that_was_asked_for() -> None:
    size = (48, 60, 72)
    settings = MaskSettings(1.0, 0.6, (6, 8, 8), (12, 16, 16))
    masks = draw_masks(np.random.default_rng(0), 40, size, settings)
    assert masks.shape == (40, 1, *size)
    assert set(np.unique(masks)) == {0, 1}
    assert np.mean(masks == 0) == pytest.approx(0.6, abs=0.02)
    for mask in masks[:10, 0]:
        for axis, least in enumerate(settings.least):
            # Changes along an axis lie on a grid, at least one block apart.
            changes = np.flatnonzero(np.diff(mask, axis=axis).any(axis=tuple({0, 1, 2} - {axis})))
            assert np.diff(changes).min() >= least


def test_masks_are_drawn_for_some_crops_and_nothing_hidden_can_be_seen() -> None:
    settings = MaskSettings(chance=0.5)
    masks = draw_masks(np.random.default_rng(0), 200, (16, 24, 24), settings)
    untouched = masks.all(axis=(1, 2, 3, 4))
    assert untouched.mean() == pytest.approx(0.5, abs=0.1)
    images = torch.rand((200, 1, 16, 24, 24), generator=torch.Generator().manual_seed(0))
    shown = hide(images, torch.from_numpy(masks))
    assert shown.shape == (200, 2, 16, 24, 24)
    hidden = torch.from_numpy(masks) == 0
    assert (shown[:, :1][hidden] == 0).all()
    assert torch.equal(shown[:, :1][~hidden], images[~hidden])
    assert torch.equal(shown[:, 1:], torch.from_numpy(masks).float())
