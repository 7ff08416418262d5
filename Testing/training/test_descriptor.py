"""Training of descriptor and condition on a made-up store, the presets and the command."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ctscreener.errors import InputError
from ctscreener.networks import NetworkSettings, UNet
from ctscreener.settings import from_json, read_json, to_json
from Testing.training.small_store import make_store
from training import all_stages, condition, descriptor, presets, run
from training.condition import ConditionStageSettings, measure_leak
from training.data.crops import CropSettings
from training.data.masking import MaskSettings
from training.data.store import Store
from training.descriptor import ContrastSettings, DescriptorSettings
from training.loop.loop import LoopSettings, seeded

NETWORK = NetworkSettings(channels=(8, 16), out=8)
CROPS = CropSettings(size=(8, 12, 12), pairs=2, positions=128)
CONTRAST = ContrastSettings(width=32)
LOOP = LoopSettings(steps=30, lr=3e-3, warmup=2, precision="32-true", device="cpu", log_every=1)
MASKS = MaskSettings(chance=1.0, least=(4, 4, 4), largest=(4, 4, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("training") / "store"
    make_store(path, {"a": (24, 30, 30), "b": (20, 30, 36)})
    return path


def descriptor_settings(folder: Path, out: Path) -> DescriptorSettings:
    return DescriptorSettings(
        folder, out, network=NETWORK, crops=CROPS, contrast=CONTRAST, loop=LOOP
    )


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("objective", ["vicreg", "simclr"])
def test_the_loss_of_a_descriptor_falls(folder: Path, tmp_path: Path, objective: str) -> None:
    settings = descriptor_settings(folder, tmp_path)
    chosen = replace(CONTRAST, objective=objective)  # pyright: ignore[reportArgumentType]
    trained = descriptor.main(replace(settings, contrast=chosen))
    assert trained.finished
    found = losses(tmp_path)
    assert len(found) == 30
    assert sum(found[-5:]) < 0.97 * sum(found[:5])


def test_a_run_folder_is_enough_to_build_the_network_again(folder: Path, tmp_path: Path) -> None:
    settings = replace(descriptor_settings(folder, tmp_path), loop=replace(LOOP, steps=2))
    trained = descriptor.main(settings)
    stored = read_json(tmp_path / "settings.json")
    assert from_json(DescriptorSettings, stored) == settings
    network = UNet(from_json(NetworkSettings, stored["network"]))
    network.load_state_dict(load_file(tmp_path / "network.safetensors"))
    for name, value in network.state_dict().items():
        assert torch.equal(value, trained.weights[f"network.{name}"])
    data = read_json(tmp_path / "data.json")
    assert [scan["name"] for scan in data["scans"]] == ["a", "b"]


def test_every_weight_of_network_and_head_gets_a_gradient() -> None:
    objective = descriptor.Contrast(NETWORK, CONTRAST)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((4, 1, 8, 12, 12), generator=generator)
    places = torch.rand((4, 32, 3), generator=generator) * 7
    objective(images, places)["loss"].backward()
    for name, weight in objective.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_the_two_views_of_one_voxel_are_compared() -> None:
    with seeded(0):
        objective = descriptor.Contrast(NETWORK, CONTRAST)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((2, 1, 8, 12, 12), generator=generator)
    places = torch.rand((2, 32, 3), generator=generator) * 7
    same = objective(torch.cat([images, images]), torch.cat([places, places]))
    assert same["invariance"].item() == pytest.approx(0, abs=1e-9)
    other = objective(torch.cat([images, images.flip(0)]), torch.cat([places, places.flip(0)]))
    assert other["invariance"].item() > 1e-3


def test_a_condition_trains_and_reports_its_leak(folder: Path, tmp_path: Path) -> None:
    settings = ConditionStageSettings(
        folder,
        tmp_path,
        network=replace(NETWORK, inputs=2),
        crops=CROPS,
        masks=MASKS,
        contrast=CONTRAST,
        loop=replace(LOOP, steps=3),
    )
    assert condition.main(settings).finished
    leak = read_json(tmp_path / "leak.json")
    assert leak.keys() == {"hidden", "visible"}
    assert all(0 < value < 2 for value in leak.values())


class Stub(nn.Module):
    """A network whose condition is the image, or the place, or the mask at a voxel."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.unused = nn.Parameter(torch.zeros(1))

    def at(self, x: Tensor, places: Tensor) -> Tensor:
        """Give the condition at places."""
        if self.kind == "place":
            return places
        d, h, w = places.round().long().unbind(-1)
        batch = torch.arange(len(x))[:, None].expand_as(d)
        return x[batch, 0, d, h, w][..., None]


def test_the_leak_is_what_hiding_changes(folder: Path) -> None:
    settings = ConditionStageSettings(folder, crops=CROPS, masks=MASKS, loop=LOOP)
    store = Store(folder)
    blind = measure_leak(Stub("place"), store, settings)  # pyright: ignore[reportArgumentType]
    assert blind == {"hidden": 0, "visible": 0}
    leaky = measure_leak(Stub("image"), store, settings)  # pyright: ignore[reportArgumentType]
    assert leaky["visible"] == 0
    # A grey value replaced by 0: (mean^2 + variance) / (2 variance), above 1/2.
    assert leaky["hidden"] > 0.5


@pytest.mark.parametrize("name", ["tiny", "small", "paper"])
def test_presets_fit_their_networks_and_survive_json(name: str) -> None:
    for settings in (presets.DESCRIPTOR[name], presets.CONDITION[name]):
        assert from_json(type(settings), json.loads(json.dumps(to_json(settings)))) == settings
        strides = zip(settings.crops.size, settings.network.stride, strict=True)
        assert all(side % stride == 0 for side, stride in strides)
        assert settings.crops.positions % settings.crops.pairs == 0
    assert presets.CONDITION[name].network.inputs == 2
    density = presets.DENSITY[name]
    for network in (presets.DESCRIPTOR[name].network, presets.CONDITION[name].network):
        pairs = zip(density.tile, network.stride, strict=True)
        assert all(side % stride == 0 for side, stride in pairs)


def test_the_command_says_in_one_line_what_it_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["descripter"],
        ["descriptor", "--preset", "huge"],
        ["descriptor", "--preset=tiny", "--store", str(tmp_path), "--run", str(tmp_path / "r")],
    ):
        assert run.main(arguments) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert message.startswith("Expected")


def test_the_command_trains_with_flags_over_a_preset(folder: Path, tmp_path: Path) -> None:
    flags = ["--store", str(folder), "--run", str(tmp_path), "--steps", "1", "--device", "cpu"]
    flags += ["--crops.size", "8", "12", "12", "--crops.positions", "64", "--crops.pairs", "2"]
    flags += ["--network.channels", "8", "16", "--contrast.width", "16"]
    flags += ["--precision", "32-true"]
    assert run.main(["descriptor", "--preset", "tiny", *flags]) == 0
    stored = from_json(DescriptorSettings, read_json(tmp_path / "settings.json"))
    assert stored.network.stem == presets.DESCRIPTOR["tiny"].network.stem
    assert stored.network.channels == (8, 16)
    assert (tmp_path / "network.safetensors").exists()


def test_a_level_two_voxels_deep_is_refused_in_bfloat16_on_a_processor(
    folder: Path, tmp_path: Path
) -> None:
    settings = descriptor_settings(folder, tmp_path)
    network = replace(NETWORK, channels=(8, 16, 16))
    for loop in (replace(LOOP, precision="bf16-mixed"), replace(LOOP, steps=1)):
        chosen = replace(settings, network=network, loop=loop)
        if loop.precision == "32-true":
            assert descriptor.main(chosen).finished
        else:
            with pytest.raises(InputError, match=r"\[8, 4, 2\] deep"):
                descriptor.main(chosen)


def test_all_stages_in_one_go_hand_their_folders_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    stages = ("phantoms", "prepare", "descriptor", "condition", "density", "export")
    for stage in stages:
        monkeypatch.setattr(getattr(all_stages, stage), "main", calls.append)
    all_stages.main(all_stages.EverythingSettings(out=tmp_path, steps=50, seed=4), "tiny")
    made, prepared, described, conditioned, density, exported = calls
    assert prepared.scans == (made.out,)
    assert {described.store, conditioned.store, density.store, exported.store} == {prepared.store}
    assert (density.descriptor, density.condition) == (described.run, conditioned.run)
    assert exported.density == density.run
    for settings in (described, conditioned, density):
        assert (settings.loop.steps, settings.loop.warmup, settings.loop.seed) == (50, 5, 4)
    calls.clear()
    all_stages.main(all_stages.EverythingSettings((Path("scans"),), tmp_path), "small")
    assert calls[0].scans == (Path("scans"),)
    assert calls[1].network == presets.DESCRIPTOR["small"].network


def test_the_fast_model_learns_from_the_model_that_was_just_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    for stage in ("prepare", "descriptor", "condition", "density", "distil", "export"):
        monkeypatch.setattr(getattr(all_stages, stage), "main", calls.append)
    settings = all_stages.EverythingSettings(
        (Path("scans"),), tmp_path, held_out=("z*",), steps=50
    )
    all_stages.main(replace(settings, distil=True), "tiny")
    density, exported, taught, again = calls[-4:]
    assert Path(taught.model) == exported.out
    assert (taught.held_out, taught.exclude) == (density.held_out, ()) == (("z*",), ())
    assert (taught.loop.steps, taught.store) == (50, density.store)
    assert exported.distilled is None
    assert (again.distilled, again.reference) == (taught.run, exported.reference)
    assert again.out not in (exported.out, taught.run)


@pytest.mark.parametrize("named", [["a", "b"], ["--scans", "a", "b"]])
@pytest.mark.parametrize("after", [True, False])
def test_scans_stand_alone_or_after_their_flag(
    monkeypatch: pytest.MonkeyPatch, named: list[str], after: bool
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(all_stages, "main", lambda settings, preset: calls.append(settings))
    flags = ["--preset", "tiny", "--out", "o", "--steps", "7"]
    assert run.main(["all", *(flags + named if after else named + flags)]) == 0
    assert calls[0].scans == (Path("a"), Path("b"))
    assert (calls[0].out, calls[0].steps) == (Path("o"), 7)


@pytest.mark.parametrize(
    ("condition", "trained", "sincos"),
    [("masked", "condition", 2), ("ape", "ape", 2), ("sincos", None, 2), ("none", None, 0)],
)
def test_each_condition_trains_what_it_needs_on_all_but_the_held_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    condition: Any,  # noqa: ANN401 - one of four words
    trained: str | None,
    sincos: int,
) -> None:
    calls: dict[str, Any] = {}
    for stage in ("prepare", "descriptor", "condition", "ape", "density", "export"):
        keep = lambda settings, stage=stage: calls.__setitem__(stage, settings)
        monkeypatch.setattr(getattr(all_stages, stage), "main", keep)
    settings = all_stages.EverythingSettings(
        (Path("scans"),), tmp_path, condition=condition, held_out=("z*",)
    )
    all_stages.main(settings, "tiny")
    assert {"condition", "ape"} & set(calls) == ({trained} if trained else set())
    density = calls["density"]
    for stage in ("condition", "ape"):
        assert getattr(density, stage) == (tmp_path / stage if stage == trained else None)
        if stage in calls:
            assert calls[stage].exclude == ("z*",)
    assert density.sincos == sincos
    assert calls["descriptor"].exclude == density.held_out == calls["export"].reference == ("z*",)
    assert calls["prepare"].fine is None


def test_the_preset_of_the_paper_cuts_crops_from_a_finer_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("training.prepare.main", calls.append)
    for preset in ("tiny", "paper"):
        assert run.main(["prepare", "scans", "--preset", preset]) == 0
    assert [settings.fine for settings in calls] == [None, (1.5, 1.0, 1.0)]
    for table in (presets.DESCRIPTOR, presets.CONDITION, presets.APE):
        crops = table["paper"].crops
        assert (crops.grid, crops.spread, crops.scale[0]) == ("fine", "uniform", 1.0)
        assert table["tiny"].crops.grid == "screening"


def test_a_store_without_scans_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none of 2"):
        descriptor.main(replace(descriptor_settings(folder, tmp_path), exclude=("?",)))
