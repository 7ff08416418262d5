"""An encoder is trained on with the objective of the descriptor, and models of it say so."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from scipy import ndimage

from ctscreener.encoder import Encoder, EncoderSettings
from ctscreener.errors import InputError
from ctscreener.heads import GaussianSettings, Source
from ctscreener.model import load_model
from ctscreener.screening import ScreenSettings, screen
from ctscreener.settings import read_json
from Testing.engine.small_encoded import small_encoder
from Testing.engine.torso import torso
from Testing.training.plain_store import ENCODER, make_plain_store, write_encoder
from Testing.training.small_store import make_store
from training import discriminator, export, run, tune
from training.data.crops import CropSettings
from training.data.drawing import DrawSettings
from training.data.rows import RowSettings
from training.dense_contrast import DenseContrast, at_places, draw_weights
from training.descriptor import ContrastSettings
from training.discriminator_settings import DiscriminatorSettings
from training.encoder import load_encoder
from training.export import ExportSettings
from training.fit_heads import FitSettings
from training.loop.loop import LoopSettings, seeded
from training.synthetic.corruption import CorruptionSettings
from training.tune import TuneSettings

PATIENTS = {"a": 1, "b": 2, "c": 3}
LOOP = LoopSettings(
    steps=8, lr=3e-3, warmup=1, average=0.5, precision="32-true", device="cpu", log_every=1
)
SETTINGS = TuneSettings(
    alone=2,
    crops=CropSettings((8, 16, 16), pairs=2, positions=64),
    contrast=ContrastSettings(objective="simclr", width=32, projected=8),
    loop=LOOP,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, an encoder, and a finished run on them that leaves a scan out."""
    made = tmp_path_factory.mktemp("tune")
    make_plain_store(made / "store", PATIENTS)
    write_encoder(made / "encoder")
    tune.main(settings_for(made, "tuned"))
    return made


def settings_for(folder: Path, name: str) -> TuneSettings:
    return replace(
        SETTINGS,
        store=folder / "store",
        run=folder / name,
        encoder=folder / "encoder",
        exclude=("c",),
    )


def rows(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def moved(folder: Path, name: str) -> dict[str, float]:
    """How far each tensor of a run's encoder is from where it started."""
    state, start = (load_encoder(folder / n)[0].state_dict() for n in (name, "encoder"))
    return {key: float((state[key] - start[key]).abs().max()) for key in start}


@pytest.mark.parametrize("stride", [(2, 4, 4), (4, 8, 8)])
def test_maps_are_read_where_their_voxels_lie(stride: tuple[int, int, int]) -> None:
    z = torch.randn(2, 3, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    numbers = np.random.default_rng(0)
    places = numbers.uniform(0, 1, (2, 20, 3)) * (np.array(z.shape[2:]) * stride)
    found = at_places(z, torch.from_numpy(places.astype(np.float32)), stride)
    for batch, channel in np.ndindex(2, 3):
        at = (places[batch] / stride).T
        expected = ndimage.map_coordinates(z[batch, channel].numpy(), at, order=1, mode="nearest")
        np.testing.assert_allclose(found[batch, :, channel], expected, atol=1e-5)


def test_every_stage_is_trained_and_told_of(folder: Path) -> None:
    assert min(moved(folder, "tuned").values()) > 1e-4
    encoder, about = load_encoder(folder / "tuned")
    assert encoder.settings == ENCODER
    assert about.tuned is not None
    assert not about.elsewhere
    assert about.sha256 == read_json(folder / "tuned" / "encoder.json")["weights_sha256"]
    start = read_json(folder / "encoder" / "encoder.json")
    assert about.sha256 != start["sha256"]
    assert about.tuned["start"]["sha256"] == start["sha256"]
    assert about.tuned["result"]["step"] == LOOP.steps
    assert about.tuned["settings"]["contrast"]["objective"] == "simclr"
    assert [scan["name"] for scan in about.tuned["data"]] == ["a", "b"]


def test_what_is_frozen_stays_as_it_is(folder: Path) -> None:
    tune.main(replace(settings_for(folder, "frozen"), frozen=1))
    for name, far in moved(folder, "frozen").items():
        assert (far == 0) == name.startswith(("stem", "stages.0")), name


def test_heads_learn_alone_at_first(folder: Path) -> None:
    still = replace(settings_for(folder, "alone"), alone=LOOP.steps)
    tune.main(replace(still, loop=replace(LOOP, weight_decay=0.0)))
    assert max(moved(folder, "alone").values()) == 0
    found = [row["loss"] for row in rows(folder / "alone")]
    assert found[-1] != found[0]


def test_what_is_trained_is_what_screens(folder: Path) -> None:
    """There is no BatchNorm whose statistics could differ: training and use are one function."""
    encoder = load_encoder(folder / "tuned")[0]
    x = torch.rand(1, 1, 9, 16, 17, generator=torch.Generator().manual_seed(1))
    kinds = {type(part) for part in encoder.modules()}
    assert not {kind for kind in kinds if issubclass(kind, torch.nn.modules.batchnorm._BatchNorm)}
    with torch.no_grad():
        for one, other in zip(encoder.train()(x), encoder.eval()(x), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("objective", ["simclr", "vicreg"])
@pytest.mark.parametrize("random", [True, False])
def test_the_loss_falls_on_one_pair_of_crops(
    objective: Literal["simclr", "vicreg"], random: bool
) -> None:
    contrast = ContrastSettings(objective=objective, width=32, projected=8)
    with seeded(0):
        encoder = Encoder(EncoderSettings((4, 4), (2, 2))) if random else small_encoder(ENCODER)
        if random:
            draw_weights(encoder)
        made = DenseContrast(encoder, 0, contrast)
        images, places = torch.rand(4, 1, 8, 16, 16), torch.rand(4, 16, 3) * 7
    # The same voxels in both views.
    images[2:], places[2:] = images[:2] * 0.9, places[:2]
    optimizer = torch.optim.Adam(made.parameters(), 5e-3)
    losses = []
    for _ in range(15):
        loss = made(images, places, torch.tensor(0.0))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
    assert losses[-1] < 0.9 * losses[0]


def test_random_weights_keep_the_size_of_what_passes() -> None:
    with seeded(1):
        encoder = Encoder(EncoderSettings((8, 16), (3, 8)))
        draw_weights(encoder)
        x = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad():
        for z in encoder(x):
            assert 0.1 < float(z.square().mean().sqrt()) < 10


def test_a_run_that_is_killed_goes_on_and_gives_the_same_numbers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(folder, "again")
    often = replace(settings, loop=replace(LOOP, checkpoint_seconds=0.0))
    render = tune.Batches.render
    for step in (3, 3):
        left = [step]

        def killed(self: tune.Batches, *given: Any, left: list[int] = left) -> Any:  # noqa: ANN401
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return render(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(tune.Batches, "render", killed)
            with pytest.raises(KeyboardInterrupt):
                tune.main(often)
        assert not (settings.run / "encoder.json").exists()
    tune.main(often)
    assert rows(settings.run) == rows(folder / "tuned")
    kept = [(folder / name / "encoder.safetensors").read_bytes() for name in ("again", "tuned")]
    assert kept[0] == kept[1]


def test_an_encoder_of_our_own_begins_with_random_weights(folder: Path) -> None:
    flags = ["--store", str(folder / "store"), "--run", str(folder / "own"), "--steps", "2"]
    flags += ["--sizes.widths", "2", "3", "--sizes.bottlenecks", "1", "1", "--device", "cpu"]
    flags += ["--crops.size", "8", "16", "16", "--crops.pairs", "2", "--crops.positions", "32"]
    flags += ["--contrast.width", "16", "--precision", "32-true"]
    assert run.main(["encoder", "--tune", *flags]) == 0
    encoder, about = load_encoder(folder / "own")
    assert encoder.settings == ENCODER
    assert about.tuned is not None
    assert about.tuned["start"] is None
    assert "Astra" not in about.source


def test_an_encoder_may_be_tuned_again(folder: Path) -> None:
    twice = replace(settings_for(folder, "twice"), encoder=folder / "tuned", exclude=("a",))
    tune.main(replace(twice, loop=replace(LOOP, steps=2)))
    about = load_encoder(folder / "twice")[1]
    assert about.tuned is not None
    assert about.source == load_encoder(folder / "tuned")[1].source
    assert {scan["name"] for scan in about.tuned["data"]} == {"a", "b", "c"}
    assert about.tuned["start"]["tuned"]["result"]["step"] == LOOP.steps


def refused(settings: TuneSettings, code: str) -> str:
    with pytest.raises(InputError) as error:
        tune.main(settings)
    assert error.value.code == code
    assert error.value.action
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_trained_is_refused(folder: Path, tmp_path: Path) -> None:
    settings = settings_for(folder, "no")
    make_store(tmp_path / "store", {"a": (24, 36, 36), "b": (20, 30, 33)})
    assert "--plain" in refused(
        replace(settings, store=tmp_path / "store", exclude=()), "tune.store"
    )
    refused(replace(settings, frozen=2), "tune.frozen")
    refused(replace(settings, encoder=folder / "nowhere"), "encoder.unfinished")
    deep = replace(LOOP, precision="bf16-mixed")
    refused(replace(settings, loop=deep), "training.two_deep")
    refused(replace(settings, exclude=("b", "c")), "store.too_few")
    assert not settings.run.exists()


def test_a_run_does_not_go_on_from_another_encoder(folder: Path) -> None:
    write_encoder(folder / "moving", seed=3)
    settings = replace(settings_for(folder, "moving_run"), encoder=folder / "moving")
    tune.main(replace(settings, loop=replace(LOOP, max_minutes=0.0)))
    os.rename(folder / "moving", folder / "away")
    write_encoder(folder / "moving", seed=4)
    refused(settings, "tune.other_start")


def test_weights_that_are_not_those_of_the_description_are_refused(folder: Path) -> None:
    write_encoder(folder / "torn")
    path = folder / "torn" / "encoder.safetensors"
    path.write_bytes(path.read_bytes()[:-2] + b"\1\1")
    with pytest.raises(InputError, match="weights of another hash"):
        load_encoder(folder / "torn")


def test_a_model_of_a_tuned_encoder_holds_its_weights_and_says_so(folder: Path) -> None:
    rows_of = RowSettings(1, 20, 60, 0.5, CorruptionSettings(fewest=3, radius_mm=(3.0, 6.0)))
    settings = DiscriminatorSettings(
        store=folder / "store",
        encoder=folder / "tuned",
        run=folder / "heads",
        folds=2,
        seeds=1,
        draw=DrawSettings(donors=2, rows=rows_of),
        fit=FitSettings(hidden=4, epochs=1, batch=64),
        density=GaussianSettings((Source(1),), 4),
    )
    discriminator.main(settings)
    export.main(ExportSettings(discriminator=settings.run, out=folder / "model", odd=1e9))
    model = load_model(str(folder / "model"))
    assert model.settings.elsewhere is None  # pyright: ignore[reportAttributeAccessIssue]
    for name, value in load_encoder(folder / "tuned")[0].state_dict().items():
        assert torch.equal(model.networks.state_dict()[f"encoder.{name}"], value), name
    stages = model.provenance["stages"]
    assert list(stages) == ["encoder", "discriminator"]
    assert stages["encoder"]["start"]["source"] == "random numbers"
    card = (folder / "model" / "CARD.md").read_text()
    assert "Its encoder is not the public one" in card
    assert "8 steps of dense SimCLR" in card
    assert "on 2 of them" in card
    assert str(folder) not in card + (folder / "model" / "model.json").read_text()
    assert np.isfinite(screen(torso(), model, ScreenSettings(device="cpu")).rarity).any()
    write_encoder(folder / "kept")
    (folder / "tuned").rename(folder / "elsewhere")
    (folder / "kept").rename(folder / "tuned")
    with pytest.raises(InputError) as error:
        export.main(ExportSettings(discriminator=settings.run, out=folder / "no", odd=1e9))
    assert error.value.code == "export.encoder"
