"""Parts of rivals: structural similarity, Perlin noise, shapes and mixtures, single crops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from ctscreener.errors import InputError
from Testing.training.small_store import make_store
from training.baselines.parts.perlin import interpolated, perlin
from training.baselines.parts.ssim import ssim
from training.baselines.parts.synthetic import (
    ball_mask,
    blended,
    box_mask,
    others,
    perlin_mask,
    recoloured,
    softened,
)
from training.data.chance import chances_of
from training.data.patches import PatchSettings, PatchSource, check_patches, draw_patch
from training.data.store import Store
from training.loop.schedule import LoopSettings

CPU = torch.device("cpu")


def test_similarity_is_that_of_scikit_image(rng: np.random.Generator) -> None:
    first = rng.random((15, 17, 16))
    second = np.clip(first + 0.2 * rng.normal(size=first.shape), 0, 1)
    _, expected = structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=1.0, full=True, win_size=11,
    )  # fmt: skip
    a, b = (torch.from_numpy(x)[None, None].float() for x in (first, second))
    # scikit-image pads; where a whole window fits, both are the same.
    np.testing.assert_allclose(ssim(a, b)[0, 0].numpy(), expected[5:-5, 5:-5, 5:-5], atol=2e-4)
    torch.testing.assert_close(ssim(a, a), torch.ones(1, 1, 5, 7, 6))


def plain_noise(gradients: np.ndarray, at: np.ndarray) -> float:
    """Perlin's noise at one place, straight from its description."""
    low = np.floor(at).astype(int)
    t = at - low
    s = 6 * t**5 - 15 * t**4 + 10 * t**3
    total = 0.0
    for corner in np.ndindex(2, 2, 2):
        c = np.array(corner)
        weight = np.prod(np.where(c == 1, s, 1 - s))
        total += weight * gradients[tuple(low + c)] @ (t - c)
    return total * 2 / np.sqrt(3)


def test_noise_is_perlins(rng: np.random.Generator) -> None:
    gradients = rng.normal(size=(3, 4, 2, 3))
    gradients /= np.linalg.norm(gradients, axis=-1, keepdims=True)
    shape = (9, 12, 5)
    found = interpolated(torch.from_numpy(gradients).float(), shape)
    for place in ((0, 0, 0), (4, 7, 3), (8, 11, 4), (2, 4, 1)):
        at = np.array(place) * (2, 3, 1) / np.array(shape)
        assert float(found[place]) == pytest.approx(plain_noise(gradients, at), abs=1e-5)


def test_noise_vanishes_at_the_lattice_and_stays_within_one() -> None:
    noise = perlin((16, 24, 32), (4, 4, 4), chances_of(1, CPU))
    assert noise[::4, ::6, ::8].abs().max() < 1e-6
    assert 0.3 < noise.abs().max() <= 1
    again = perlin((16, 24, 32), (4, 4, 4), chances_of(1, CPU))
    assert torch.equal(noise, again)


def test_as_many_voxels_are_marked_as_pixels_in_two_dimensions() -> None:
    """DRAEM's threshold of .5 marks 5.3% of pixels, measured on 300 images of 256 pixels."""
    chances = chances_of(0, CPU)
    marked = [perlin_mask((32, 48, 48), 0.36, chances).float().mean() for _ in range(150)]
    assert 0.03 < torch.stack(marked).mean() < 0.08


def test_shapes_fill_their_box_and_soft_edges_keep_to_both_sides() -> None:
    shape, sides, first = (12, 14, 16), (5, 6, 8), (2, 3, 4)
    box, ball = (kind(shape, sides, first, CPU) for kind in (box_mask, ball_mask))
    assert int(box.sum()) == 5 * 6 * 8
    assert torch.equal(ball & box, ball)
    assert int(ball.sum()) == pytest.approx(np.pi / 6 * 240, rel=0.1)
    for mask in (box, ball):
        d, h, w = (index.unique() for index in torch.nonzero(mask, as_tuple=True))
        assert [len(side) for side in (d, h, w)] == list(sides)
    assert int(box_mask(shape, sides, (-3, 3, 4), CPU).sum()) == 2 * 6 * 8
    soft = softened(box, 2)
    assert float(soft[4, 5, 8]) == pytest.approx(1.0, abs=0.5)
    assert float(soft[0, 0, 0]) == 0
    assert torch.equal(softened(box, 0), box.float())


def test_a_mixture_changes_the_mask_alone(rng: np.random.Generator) -> None:
    image, foreign = torch.rand(2, 1, 6, 7, 8)
    mask = torch.rand(1, 6, 7, 8) < 0.3
    mixed = blended(image, foreign, 0.25, mask)
    torch.testing.assert_close(mixed[mask], (0.75 * image + 0.25 * foreign)[mask])
    assert torch.equal(mixed[~mask], image[~mask])


def test_other_crops_are_others_and_recoloured_ones_stay_grey_values() -> None:
    chances = chances_of(0, CPU)
    for _ in range(20):
        assert all(n != m for n, m in enumerate(others(4, chances)))
    assert others(1, chances) == [0]
    image = torch.rand(1, 6, 7, 8)
    for _ in range(10):
        changed = recoloured(image, chances)
        assert changed.shape == image.shape
        assert 0 <= changed.min() <= changed.max() <= 1


def test_a_patch_is_the_part_of_the_scan_that_it_says(tmp_path: Path) -> None:
    images = make_store(tmp_path / "store", {"a": (24, 36, 30), "b": (8, 20, 20)})
    store = Store(tmp_path / "store")
    settings = PatchSettings(size=(10, 12, 14), count=6)
    drawn = PatchSource(store, settings, 5).load(2)
    crops, bodies = drawn.images(settings.size, CPU), drawn.bodies(settings.size, CPU)
    assert crops.shape == bodies.shape == (6, 1, 10, 12, 14)
    for patch, crop, body in zip(drawn.patches, crops[:, 0], bodies[:, 0], strict=True):
        image = images[patch.scan]
        at = [
            np.clip(start + np.arange(side), 0, extent - 1)
            for start, side, extent in zip(
                patch.crop.start, settings.size, image.shape, strict=True
            )
        ]
        np.testing.assert_allclose(crop.numpy() * 255, image[np.ix_(*at)], atol=1e-3)
        inside = [(a >= 2) & (a < n - 2) for a, n in zip(at, image.shape, strict=True)]
        expected = np.einsum("d,h,w->dhw", *inside).astype(bool)
        np.testing.assert_array_equal(body.numpy(), expected)
        assert expected.any()
    again = PatchSource(store, settings, 5).load(2)
    assert torch.equal(again.images(settings.size, CPU), crops)
    assert again.seed == drawn.seed
    assert PatchSource(store, settings, 6).load(2).seed != drawn.seed


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {"a": (24, 36, 30)})
    draw_patch(np.random.default_rng(0), Store(tmp_path / "store"), PatchSettings())
    exact = LoopSettings(precision="32-true")
    for settings, channels, code in (
        (PatchSettings(count=0), (8,), "training.patches"),
        (PatchSettings(size=(10, 12, 12)), (8, 8, 8), "training.no_multiple"),
    ):
        with pytest.raises(InputError) as error:
            check_patches(settings, channels, exact)
        assert error.value.code == code
