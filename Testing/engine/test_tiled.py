"""Scoring by tiles: each with its place and mask, in any batch and order, where body is alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ctscreener import tiled as tiled_module
from ctscreener.model import ModelSettings, Networks
from ctscreener.preprocess import Prepared, prepare
from ctscreener.scan import Box
from ctscreener.screening import ScreenSettings, score
from ctscreener.tiled import batch_of, body_tiles, padded, pooled_mask
from ctscreener.tiles import pooled
from Testing.engine.small_model import SETTINGS, networks
from Testing.engine.torso import COARSE, SHAPE, canonical_affine, torso

EXACT = ScreenSettings(overlap=0, device="cpu", reduced=False)
CPU = torch.device("cpu")
POOL = SETTINGS.pool


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """The torso as the networks see it."""
    return prepare(torso(canonical_affine(SHAPE, (3.9, 3.7, 4.1), (1.3, 2.1, -0.7))), COARSE)


def corner_of_body() -> Prepared:
    """Noise of several tiles, of which only one corner is body."""
    shape = (48, 72, 108)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    body = np.zeros(shape, bool)
    body[:10, :20, :30] = True
    return Prepared(image, body, np.eye(4))


def test_what_is_added_to_fill_a_tile_repeats_the_edge_and_is_not_scored() -> None:
    small = corner_of_body()
    small = Prepared(small.image[:10, :72, :30], small.body[:10, :72, :30], small.affine)
    image, body = padded(small, SETTINGS)
    assert image.shape == body.shape == (24, 72, 36)
    np.testing.assert_array_equal(image[:10, :, :30], small.image)
    np.testing.assert_array_equal(image[10:, :, :30], image[[9] * 14, :, :30])
    np.testing.assert_array_equal(body[:10, :, :30], small.body)
    assert not body[10:].any()
    assert not body[:, :, 30:].any()


def test_a_tile_comes_with_its_own_place_and_mask(prepared: Prepared) -> None:
    where = pooled_mask(prepared.body, POOL)
    shape = prepared.image.shape
    boxes = [np.s_[4:28, 9:45, 15:51], np.s_[0:24, 0:36, 3:39]]
    x, positions, mask = batch_of(boxes, prepared.image, where, shape, SETTINGS)
    axes = ((np.arange(n // unit) + 0.5) * unit / n for n, unit in zip(shape, POOL, strict=True))
    place = np.stack(np.meshgrid(*axes, indexing="ij"))
    for index, box in enumerate(boxes):
        inside = pooled(box, POOL)
        np.testing.assert_allclose(x[index, 0], prepared.image[box] / 255, rtol=1e-6)
        np.testing.assert_allclose(positions[index], place[:, *inside], rtol=1e-5)
        np.testing.assert_array_equal(mask[index], where[inside])


def test_only_tiles_that_hold_body_go_through_the_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = []
    ours = Networks.scores

    def counted(self: Networks, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        shown.append(len(x))
        return ours(self, x, *others)

    monkeypatch.setattr(Networks, "scores", counted)
    found = score(corner_of_body(), networks(), replace(EXACT, batch=2), CPU)
    assert found.scores.shape == (24, 24, 36)
    assert found.tiles == sum(shown) == 1
    scored = np.zeros(found.scores.shape, bool)
    scored[:5, :7, :10] = True
    np.testing.assert_array_equal(np.isfinite(found.scores), scored)


@pytest.mark.parametrize("batch", [3, 100])
def test_the_batch_does_not_matter(prepared: Prepared, batch: int) -> None:
    one = score(prepared, networks(), EXACT, CPU)
    many = score(prepared, networks(), replace(EXACT, batch=batch), CPU)
    assert one.tiles == many.tiles > 3
    np.testing.assert_allclose(many.scores, one.scores, atol=1e-3, rtol=1e-4)


def test_the_order_of_tiles_does_not_matter(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(EXACT, overlap=0.25)
    forward = score(prepared, networks(), settings, CPU)
    assert forward.tiles > 8

    def backward(body: np.ndarray, model: ModelSettings, overlap: float) -> list[Box]:
        found = body_tiles(body, model, overlap)
        return [found[index] for index in np.random.default_rng(0).permutation(len(found))]

    monkeypatch.setattr(tiled_module, "body_tiles", backward)
    np.testing.assert_array_equal(
        score(prepared, networks(), settings, CPU).scores, forward.scores
    )


def test_what_is_scored_elsewhere_does_not_change_a_voxel() -> None:
    some = corner_of_body()
    everything = replace(some, body=np.ones_like(some.body))
    one = score(some, networks(), EXACT, CPU)
    other = score(everything, networks(), EXACT, CPU)
    assert other.tiles > one.tiles
    scored = np.isfinite(one.scores)
    np.testing.assert_allclose(other.scores[scored], one.scores[scored], atol=1e-3, rtol=1e-4)


def test_a_regions_conditions_see_the_body_around_it() -> None:
    settings = replace(
        SETTINGS, condition=replace(SETTINGS.condition, learned_shell=(0, 2), surround=((1, 3),))
    )
    body = np.random.default_rng(0).integers(0, 256, (48, 72, 72), dtype=np.uint8)
    whole = Prepared(body, np.ones(body.shape, bool), np.eye(4))
    region = np.zeros(body.shape, bool)
    region[20:30, 30:42, 30:42] = True
    part = score(replace(whole, region=region), networks(settings), EXACT, CPU).scores
    scored = np.isfinite(part)
    np.testing.assert_array_equal(scored, pooled_mask(region, POOL))
    everything = score(whole, networks(settings), EXACT, CPU).scores
    np.testing.assert_allclose(part[scored], everything[scored], atol=1e-3, rtol=1e-4)
