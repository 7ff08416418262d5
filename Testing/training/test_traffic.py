"""A step copies to a graphics card at most twice, and waits for it nowhere, in every stage."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ctscreener.density import DensitySettings as HeadSettings
from ctscreener.flow import FlowSettings
from ctscreener.networks import NetworkSettings
from ctscreener.preprocess import PreprocessSettings
from ctscreener.settings import from_json
from Testing.engine.valueless_card import CARD, Traffic, card
from Testing.training.plain_store import make_plain_store, write_encoder
from Testing.training.rivals import one_scan
from Testing.training.small_distillation import settings_for as distilled
from Testing.training.small_distillation import write_teacher
from Testing.training.small_store import make_store
from Testing.training.step_on_card import step
from Testing.training.test_every_rival import settings_of
from training import ape, condition, contrastive, density, descriptor, distil, presets, tune
from training.baselines.method import TrainedSettings
from training.baselines.methods import METHODS
from training.data.crops import CropSettings
from training.data.masking import MaskSettings
from training.data.store import Store
from training.descriptor import ContrastSettings
from training.fit_heads import Reader, Table, fit_step
from training.loop.loop import LoopSettings, Task, seeded

LOOP = LoopSettings(steps=4, warmup=1, precision="32-true", device="cpu")
CROPS = CropSettings(size=(16, 24, 24), pairs=2, positions=32)
MOST = 2
"""Copies a step."""


class Caught(Exception):
    """Ends a stage where its training would begin."""

    def __init__(self, task: Task[Any]) -> None:
        super().__init__()
        self.task = task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("traffic")
    make_store(made / "store", {"a": (24, 36, 36), "b": (20, 30, 33)})
    make_plain_store(made / "plain", {"a": 1, "b": 2, "c": 3})
    write_encoder(made / "encoder")
    return made


def caught(place: object, run: Callable[[], object], patch: pytest.MonkeyPatch) -> Task[Any]:
    """The task that a stage would train."""

    def train(task: Task[Any], *others: object) -> None:
        raise Caught(task)

    with patch.context() as short:
        short.setattr(place, "train", train)
        with pytest.raises(Caught) as end:
            run()
    return end.value.task


def pair_stages(folder: Path) -> dict[str, tuple[object, Any, object]]:
    """Stages on pairs of crops: their module, settings, and the module that trains them."""
    plain = NetworkSettings(channels=(8, 16), out=4, norm="voxel")
    masked = replace(plain, inputs=2)
    shared = {"store": folder / "store", "crops": CROPS, "loop": LOOP}
    contrast = {
        objective: ContrastSettings(objective=objective, width=16, projected=8)
        for objective in ("vicreg", "simclr")
    }
    masks = MaskSettings(least=(4, 6, 6), largest=(8, 12, 12))
    tuning = tune.TuneSettings(
        store=folder / "plain",
        encoder=folder / "encoder",
        crops=CropSettings((8, 16, 16), pairs=2, positions=64),
        contrast=contrast["simclr"],
        loop=LOOP,
    )
    return {
        **{
            f"descriptor, {name}": (
                descriptor,
                descriptor.DescriptorSettings(network=plain, contrast=some, **shared),
                contrastive,
            )
            for name, some in contrast.items()
        },
        "descriptor, norm of groups": (
            descriptor,
            descriptor.DescriptorSettings(
                network=replace(plain, norm="group"), contrast=contrast["vicreg"], **shared
            ),
            contrastive,
        ),
        "condition": (
            condition,
            condition.ConditionStageSettings(
                network=masked, contrast=contrast["vicreg"], masks=masks, **shared
            ),
            contrastive,
        ),
        "ape": (
            ape,
            ape.ApeSettings(network=replace(masked, out=3), masks=masks, **shared),
            contrastive,
        ),
        "encoder --tune": (tune, tuning, tune),
    }


@pytest.mark.parametrize("name", list(pair_stages(Path())))
def test_a_step_on_pairs_of_crops_is_sent_at_once(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, settings, place = pair_stages(folder)[name]
    settings = replace(settings, run=tmp_path / "run")
    task = caught(place, lambda: stage.main(settings), monkeypatch)  # pyright: ignore[reportAttributeAccessIssue]
    traffic = step(task, LOOP, tmp_path / "none", monkeypatch)
    assert 1 <= len(traffic.copies) <= MOST, traffic.copies
    assert traffic.kernels["aten._fused_adamw_.default"] >= 1


@pytest.mark.parametrize(
    "head",
    [
        HeadSettings(flow=FlowSettings(blocks=2, hidden=8)),
        HeadSettings("gaussian"),
        HeadSettings("gaussian", "full"),
    ],
)
@pytest.mark.parametrize("cached_there", [True, False])
def test_a_step_of_the_density_sends_numbers_of_voxels_or_all_that_it_needs(
    head: HeadSettings,
    cached_there: bool,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, inputs in (("descriptor", 1), ("condition", 2)):
        network = NetworkSettings(channels=(8, 16), out=4, inputs=inputs)
        untrained(tmp_path / name, network)
    settings = density.DensityStageSettings(
        store=folder / "store",
        run=tmp_path / "run",
        descriptor=tmp_path / "descriptor",
        condition=tmp_path / "condition",
        sincos=1,
        head=head,
        tile=(16, 24, 24),
        tiles=4,
        per_step=2,
        block=(4, 4, 4),
        voxels=40,
        loop=LOOP,
    )
    task = caught(density, lambda: density.main(settings), monkeypatch)
    blocks = task.load.__self__  # pyright: ignore[reportFunctionMemberAccess]
    if cached_there:
        cache = replace(blocks.cache, y=blocks.cache.y.to(CARD), c=blocks.cache.c.to(CARD))
        blocks = replace(blocks, cache=cache)
    task = replace(task, load=blocks.load, render=blocks.render)
    traffic = step(task, LOOP, tmp_path / "none", monkeypatch)
    assert len(traffic.copies) == 1, traffic.copies
    # Eight bytes a voxel, or its maps beside them.
    assert (traffic.copies[0][1] <= 8 * 40) == cached_there


def untrained(run: Path, network: NetworkSettings) -> None:
    from Testing.benchmarks.training import untrained as write

    write(run, network)


RIVALS: list[tuple[str, dict[str, Any]]] = [
    (name, {}) for name, some in METHODS.items() if issubclass(some.settings, TrainedSettings)
]
RIVALS += [
    ("simple_slice_net", {"tuning_steps": 2}),
    ("two_phase", {"pseudo": False}),
    ("diffusion", {"octaves": 0}),
    ("bgad", {"anomalous": 0}),
]


@pytest.mark.parametrize(("name", "changed"), RIVALS)
def test_a_step_of_a_rival_is_sent_in_two_copies_at_most(
    name: str, changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = METHODS[name]
    settings = replace(settings_of(name, tmp_path), loop=LOOP, **changed)  # pyright: ignore[reportCallIssue]
    store = one_scan(tmp_path / "store", "ab", method.plain(settings))
    with seeded(0):
        rival = method.build(settings, from_json(PreprocessSettings, Store(store).preprocess))
    # After tuning, features are looked at on the processor, and a card without values has none.
    last = 1 if "tuning_steps" in changed else None
    for phase in islice(method.phases(settings, rival, Store(store)), last):
        traffic = step(phase.task, LOOP, tmp_path / "none", monkeypatch)
        assert 1 <= len(traffic.copies) <= MOST, (phase.name, traffic.copies)
        assert traffic.kernels["aten._fused_adamw_.default"] >= 1


def test_a_step_of_the_distillation_is_sent_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_teacher(tmp_path / "teacher")
    settings = replace(distilled(tmp_path, "run", 4), store=folder / "store", held_out=())
    task = caught(distil, lambda: distil.main(settings), monkeypatch)
    traffic = step(task, LOOP, tmp_path / "none", monkeypatch)
    assert len(traffic.copies) == 1, traffic.copies


def test_a_step_of_the_discriminator_sends_nothing_once_its_rows_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = nn.Linear(6, 4), nn.Linear(4, 1)
    reader = Reader(first, last, torch.zeros(6), torch.ones(6), 0.3).to(CARD)
    table = Table(
        torch.zeros(90, 6, dtype=torch.float16, device=CARD),
        *(torch.zeros(90, device=CARD) for _ in "ab"),
    )
    order = torch.zeros(90, dtype=torch.int64, device=CARD)
    with card(monkeypatch):
        optimiser = torch.optim.AdamW(reader.parameters(), fused=True)
        for rows in order.split(30):
            with Traffic() as traffic:
                fit_step(reader, table, rows, optimiser)
    assert traffic.copies == []
    assert traffic.kernels["aten._fused_adamw_.default"] == 1


def test_a_wait_would_be_seen() -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.zeros(3, device=CARD).sum().item()
    with pytest.raises((RuntimeError, NotImplementedError)):
        _ = torch.zeros(3, device=CARD)[torch.zeros(3, dtype=torch.bool, device=CARD)]


def test_presets_for_minutes_have_the_norm_that_lies_as_convolutions_do() -> None:
    for table in (presets.DESCRIPTOR, presets.CONDITION, presets.APE):
        assert table["minutes"].network.norm == "voxel"
        assert table["minutes"].loop.schedule == "minutes"
