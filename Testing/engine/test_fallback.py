"""Too little memory on a graphics card: less at a time, then the processor, always announced."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ctscreener import tiled as tiled_module
from ctscreener.fallback import Plan, halved, plans
from ctscreener.model import Networks
from ctscreener.preprocess import Prepared
from ctscreener.screening import ScreenSettings, score
from Testing.engine.small_model import SETTINGS, networks

CARD = torch.device("cuda", 0)
CPU = torch.device("cpu")
SETTING = ScreenSettings(overlap=0, reduced=False)
MODEL = replace(SETTINGS, tile=(24, 48, 48))


def some_body() -> Prepared:
    """Noise of several tiles."""
    shape = (2 * MODEL.tile[0], MODEL.tile[1], MODEL.tile[2])
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return Prepared(image, np.ones(shape, bool), np.eye(4))


@pytest.fixture
def without_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let plans for a card run where there is none."""
    ours = plans

    def here(device: torch.device, batch: int, model: object) -> list[Plan]:
        made = ours(CARD, batch, MODEL)
        return [Plan(CPU, p.batch, p.tile, p.code, p.message) for p in made]

    monkeypatch.setattr(tiled_module, "plans", here)


def refuse(monkeypatch: pytest.MonkeyPatch, too_large: Callable[[Tensor], bool]) -> list[int]:
    """Let the networks run out of memory on some tiles; returns the sizes that went through."""
    ours, through = Networks.scores, list[int]()

    def nll(self: Networks, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        if too_large(x):
            raise torch.OutOfMemoryError
        through.append(x.numel())
        return ours(self, x, positions, where)

    monkeypatch.setattr(Networks, "scores", nll)
    return through


def test_each_plan_takes_less_and_only_the_first_is_silent() -> None:
    made = list(plans(CARD, 4, MODEL))
    sizes = [plan.batch * int(np.prod(plan.tile)) for plan in made[:-1]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes) >= 2
    assert made[-1].device == CPU
    assert made[-1].tile == MODEL.tile
    assert [plan.code == "" for plan in made] == [True, *[False] * (len(made) - 1)]


def test_a_processor_has_one_plan() -> None:
    assert list(plans(CPU, 4, MODEL)) == [Plan(CPU, 4, MODEL.tile)]


def test_a_tile_is_halved_while_the_networks_can_take_it() -> None:
    smaller = halved(MODEL.tile, MODEL)
    assert smaller == tuple(side // 2 for side in MODEL.tile)
    assert halved((2, 3, 3), MODEL) is None


@pytest.mark.usefixtures("without_card")
def test_one_tile_at_a_time_gives_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = score(some_body(), networks(MODEL), SETTING, CPU).scores
    through = refuse(monkeypatch, lambda x: len(x) > 1)
    told: list[str] = []
    found = score(
        some_body(), networks(MODEL), ScreenSettings(overlap=0, reduced=False, batch=4), CPU,
        notice=lambda code, _: told.append(code),
    )  # fmt: skip
    assert told == ["device.one_tile"]
    assert len(through) == found.tiles
    np.testing.assert_allclose(found.scores, wanted, atol=1e-3, rtol=1e-4)


@pytest.mark.usefixtures("without_card")
def test_smaller_tiles_cover_the_same_body(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = score(some_body(), networks(MODEL), SETTING, CPU)
    whole = int(np.prod(MODEL.tile))
    refuse(monkeypatch, lambda x: x[0].numel() >= whole)
    told: list[str] = []
    found = score(
        some_body(), networks(MODEL), SETTING, CPU, notice=lambda code, _: told.append(code)
    )
    assert told == ["device.smaller_tiles"]
    assert found.tiles > wanted.tiles
    assert found.scores.shape == wanted.scores.shape
    assert np.isfinite(found.scores).all()


@pytest.mark.usefixtures("without_card")
def test_without_any_memory_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, lambda x: True)
    with pytest.raises(torch.OutOfMemoryError):
        score(some_body(), networks(MODEL), SETTING, CPU)
