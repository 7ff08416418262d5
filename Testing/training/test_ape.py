"""Anatomical positions: their loss, their training, and a model that uses them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ctscreener.model import load_model
from ctscreener.networks import NetworkSettings
from ctscreener.screening import ScreenSettings, score
from ctscreener.settings import read_json
from Testing.training.small_store import make_store
from training import ape, density, descriptor, export, presets
from training.ape import ApeSettings, Positions, distance_loss, world_of
from training.data.augment import JitterSettings
from training.data.crops import CropSettings, draw_scan
from training.data.cutting import cut_pairs
from training.data.masking import MaskSettings
from training.data.store import Store
from training.data.views import draw_views
from training.density import DensityStageSettings
from training.descriptor import ContrastSettings, DescriptorSettings
from training.loop.loop import LoopSettings

LOOP = LoopSettings(
    steps=40, lr=1e-2, warmup=2, precision="32-true", device="cpu", log_every=1, average=0.9
)
CROPS = CropSettings(size=(8, 12, 12), pairs=3, positions=96)
NETWORK = NetworkSettings(channels=(8, 16), stem=(2, 2, 2), out=3, inputs=2)
MASKS = MaskSettings(chance=0.5, least=(4, 4, 4), largest=(4, 4, 4))


def plain_loss(first: Tensor, second: Tensor, world: Tensor, weight: float) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(world)):
        for j in range(len(world)):
            found, true = (first[i] - second[j]).norm(), (world[i] - world[j]).norm()
            total = total + (found - true).square()
    return total / len(world) ** 2 + weight * (first - second).square().mean()


def test_the_loss_and_its_gradient_are_those_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second, world = torch.randn((3, 20, 3), generator=generator, dtype=torch.float64)
    first.requires_grad_()
    second.requires_grad_()
    found = distance_loss(first, second, world, 0.7)["loss"]
    expected = plain_loss(first, second, world, 0.7)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, (first, second)),
        torch.autograd.grad(expected, (first, second)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


class Place(nn.Module):
    """Knows where each voxel lies, in a turned and shifted frame."""

    def __init__(self, world: Tensor, span: Tensor) -> None:
        super().__init__()
        turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
        share = ((world - world.mean((0, 1))) @ turn / span + 0.5).clamp(1e-3, 1 - 1e-3)
        self.logits = torch.cat([share, share]).logit()

    def at(self, images: Tensor, places: Tensor) -> Tensor:
        """Give the logits of the places."""
        return self.logits


def test_true_positions_in_any_frame_have_no_loss(tmp_path: Path) -> None:
    """Of one scan, in mm, whichever crops and scales the voxels are seen through."""
    make_store(tmp_path / "store", {"a": (40, 50, 60), "b": (36, 50, 50)})
    store = Store(tmp_path / "store")
    rng = np.random.default_rng(0)
    views = draw_views(rng, store, CROPS, JitterSettings(), draw_scan(rng, store))
    assert len({pair.scan for pair in views.pairs}) == 1
    objective = Positions(ApeSettings(span_mm=(300.0, 300.0, 300.0)))
    world = torch.from_numpy(world_of(views, store) / 100)
    known = views.pairs[0].voxels[0] * (2.25, 1.5, 1.5) / 100
    np.testing.assert_allclose(world[0, 0], known, rtol=1e-6)
    images, places = cut_pairs(views.pairs, CROPS.size, torch.device("cpu"))
    objective.network = Place(world, torch.tensor([3.0, 3.0, 3.0]))  # pyright: ignore[reportAttributeAccessIssue]
    metrics = objective(images, places, world)
    assert metrics["loss"].item() < 1e-6
    assert objective(images, places, 2 * world)["loss"].item() > 1e-2


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with runs of a descriptor and of anatomical positions."""
    folder = tmp_path_factory.mktemp("ape")
    make_store(folder / "store", {"a": (24, 36, 36), "b": (20, 30, 33)})
    shared = {"store": folder / "store", "crops": CROPS}
    ape.main(ApeSettings(run=folder / "ape", network=NETWORK, masks=MASKS, loop=LOOP, **shared))
    descriptor.main(
        DescriptorSettings(
            run=folder / "descriptor",
            network=NetworkSettings(channels=(8, 16), out=4),
            contrast=ContrastSettings(objective="simclr", width=16, projected=8),
            loop=replace(LOOP, steps=2),
            **shared,
        )
    )
    return folder


def test_training_brings_distances_nearer_to_those_of_the_voxels(trained: Path) -> None:
    lines = (trained / "ape" / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line)["distances"] for line in lines]
    assert sum(found[-5:]) < 0.5 * sum(found[:5])
    assert read_json(trained / "ape" / "run.json")["stage"] == "ape"


def test_a_model_with_anatomical_positions_is_exported_and_scores(trained: Path) -> None:
    settings = DensityStageSettings(
        store=trained / "store",
        run=trained / "density",
        descriptor=trained / "descriptor",
        ape=trained / "ape",
        ape_frequencies=2,
        head=density.HeadSettings(head="gaussian", hidden=8),
        tile=(16, 24, 24),
        tiles=4,
        block=(4, 4, 4),
        voxels=128,
        loop=replace(LOOP, steps=3),
    )
    density.main(settings)
    out = trained / "model"
    export.main(export.ExportSettings(settings.store, settings.run, out))
    model = load_model(str(out))
    assert model.settings.condition.channels(4) == 12
    assert "anatomical position (APE)" in model.card
    assert "| ape | 40 |" in model.card
    prepared = Store(settings.store).prepared("a")
    nll = score(prepared, model.networks, ScreenSettings(), torch.device("cpu")).scores
    # Blocks that hold any body are scored, and only those.
    blocks = prepared.body.reshape(12, 2, 12, 3, 12, 3).any(axis=(1, 3, 5))
    np.testing.assert_array_equal(np.isfinite(nll), blocks)


@pytest.mark.parametrize("name", presets.APE)
def test_presets_fit_the_tiles_of_their_density(name: str) -> None:
    settings, tile = presets.APE[name], presets.DENSITY[name].tile
    assert (settings.network.inputs, settings.network.out) == (2, 3)
    for size in (settings.crops.size, tile):
        strides = zip(size, settings.network.stride, strict=True)
        assert all(side % stride == 0 for side, stride in strides)
