"""Pairs of crops: the same voxel in both, and no change of values where nothing is resized."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from Testing.training.small_store import make_store
from training.data.crops import Crop, CropSettings, Pair, draw_pair
from training.data.cutting import cut, cut_pairs
from training.data.store import Store

SETTINGS = CropSettings(size=(12, 18, 24), scale=(0.7, 1.5), pairs=4, positions=256)
SHAPES = {"wide": (40, 50, 60), "small": (9, 15, 70), "thin": (6, 6, 6)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "store"
    make_store(path, SHAPES)
    return path


def drawn(store: Store, count: int, settings: CropSettings = SETTINGS) -> list[Pair]:
    return [draw_pair(np.random.default_rng([5, k]), store, settings) for k in range(count)]


def test_a_voxel_has_the_same_place_in_the_scan_through_both_crops(folder: Path) -> None:
    """A crop of an image of coordinates, read at a voxel's place, gives the voxel back."""
    for pair in drawn(Store(folder), 25):
        grid = np.indices(pair.image.shape, dtype=np.float32)
        for crop in pair.crops:
            places = crop.place(pair.voxels).T
            for axis in range(3):
                image = torch.from_numpy(grid[axis])
                seen = cut(image, pair.origin, crop, SETTINGS.size).numpy() * 255
                value = ndimage.map_coordinates(seen, places, order=1)
                found = value + pair.origin[axis]
                np.testing.assert_allclose(found, pair.voxels[:, axis], atol=1e-3)


def test_voxels_lie_in_the_body_and_inside_both_crops(folder: Path) -> None:
    store = Store(folder)
    last = np.asarray(SETTINGS.size) - 1
    for pair in drawn(store, 40):
        assert len(pair.voxels) == 64
        shape = np.asarray(store.scans[pair.scan].shape)
        assert (pair.voxels >= 2).all()
        assert (pair.voxels < shape - 2).all()
        for crop in pair.crops:
            places = crop.place(pair.voxels)
            assert (places >= -1e-4).all()
            assert (places <= last + 1e-4).all()


def test_crops_stay_inside_a_scan_that_holds_them_and_use_all_scales(folder: Path) -> None:
    store = Store(folder, ("small", "thin"))
    pairs = drawn(store, 60)
    scales = [crop.scale for pair in pairs for crop in pair.crops]
    assert min(scales) < 0.75
    assert max(scales) > 1.4
    for pair in pairs:
        for crop in pair.crops:
            first, last = crop.span(SETTINGS.size)
            assert (first >= 0).all()
            # The last voxel may reach less than one voxel of the scan beyond its edge.
            assert (last < SHAPES["wide"]).all()


def test_voxels_differ_where_the_crops_share_enough_of_them(folder: Path) -> None:
    for pair in drawn(Store(folder, ("small", "thin")), 20):
        assert len(np.unique(pair.voxels, axis=0)) == len(pair.voxels)


def test_at_scale_one_a_crop_is_the_stored_tile_bit_for_bit(folder: Path) -> None:
    store = Store(folder, ("small", "thin"))
    stored = store.image("wide", (slice(None), slice(None), slice(None)))
    pairs = drawn(store, 5, replace(SETTINGS, scale=(1.0, 1.0)))
    images, _ = cut_pairs(pairs, SETTINGS.size, torch.device("cpu"))
    crops = [pair.crops[view] for view in (0, 1) for pair in pairs]
    for image, crop in zip(images, crops, strict=True):
        d, h, w = crop.start
        tile = stored[d : d + 12, h : h + 18, w : w + 24]
        assert torch.equal(image[0], torch.from_numpy(tile).float() / 255)


def test_outside_of_the_scan_its_edge_is_repeated() -> None:
    values = torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(2, 3, 4)
    found = cut(values, np.zeros(3), Crop((-2, -1, 0), 1.0), (6, 5, 6)) * 255
    expected = np.pad(values.numpy(), ((2, 2), (1, 1), (0, 2)), mode="edge")
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_resizing_is_linear_interpolation(folder: Path) -> None:
    for pair in drawn(Store(folder, ("small", "thin")), 5):
        crop = pair.crops[0]
        at = np.indices(SETTINGS.size).reshape(3, -1) * crop.scale
        at = at + (np.asarray(crop.start) - pair.origin)[:, None]
        expected = ndimage.map_coordinates(
            pair.image.astype(np.float32), at, order=1, mode="nearest"
        )
        found = cut(torch.from_numpy(pair.image), pair.origin, crop, SETTINGS.size) * 255
        np.testing.assert_allclose(found.numpy().ravel(), expected, atol=2e-3)


def test_a_batch_is_a_function_of_its_seed(folder: Path) -> None:
    disk, memory = drawn(Store(folder), 6), drawn(Store(folder, in_memory=True), 6)
    for one, other in zip(disk, memory, strict=True):
        assert one.crops == other.crops
        np.testing.assert_array_equal(one.voxels, other.voxels)
        np.testing.assert_array_equal(one.image, other.image)
    assert disk[0].crops != disk[1].crops
