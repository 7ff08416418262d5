"""From a store in HU to a whole-volume model that screens, stage by stage, killed and resumed."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from safetensors.torch import load_file

from ctscreener.encoded import Encoded
from ctscreener.encoder import EncoderSettings
from ctscreener.errors import InputError
from ctscreener.heads import GaussianSettings, Source
from ctscreener.model import load_model
from ctscreener.screening import ScreenSettings, screen
from ctscreener.settings import read_json
from Testing.engine.torso import torso
from Testing.training.plain_store import make_plain_store, write_encoder
from Testing.training.small_discriminator import PATIENTS, settings_for
from Testing.training.small_store import make_store
from training import discriminator, export, fit_density, fold_model, left_out
from training.data import drawn_rows, masked_views, placed_rows
from training.data.store import Store
from training.discriminator_settings import DiscriminatorSettings
from training.evaluation.array_cache import load_any
from training.export import ExportSettings
from training.fit_density import FitDensitySettings
from training.fit_invariant import FitInvariantSettings
from training.whole_model import left_out_reference, load_encoded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, an encoder, and a finished run on them."""
    made = tmp_path_factory.mktemp("whole")
    make_plain_store(made / "store", PATIENTS)
    write_encoder(made / "encoder")
    discriminator.main(settings_for(made))
    return made


def results(run: Path) -> dict[str, Any]:
    """All numbers of a run: heads, scores of scans left out, scales."""
    found: dict[str, Any] = {n: t.numpy() for n, t in load_file(run / "heads.safetensors").items()}
    for path in sorted((run / "folds").iterdir()):
        found |= {f"fold {path.stem} {n}": t.numpy() for n, t in load_file(path).items()}
    for path in sorted((run / "left_out").iterdir()):
        found |= {f"{path.stem} {name}": values for name, values in load_any(path).items()}
    return found | {"model": read_json(run / "model.json"), "folds": read_json(run / "folds.json")}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert np.array_equal(value, expected[name]), name


def test_every_voxel_of_the_body_has_both_scores(folder: Path) -> None:
    run, store = folder / "run", Store(folder / "store")
    for name in store.names:
        body = store.prepared(name).body[::2, ::4, ::4]
        kept = load_any(run / "left_out" / f"{name}.npz")
        for part in ("discriminator", "density"):
            assert kept[part].shape == (body.sum(),)
            assert np.isfinite(kept[part]).all()
            assert kept[part].std() > 0
    model = load_encoded(run, (1.0, 0.3))
    total = np.concatenate(list(left_out_reference(run, model.settings).values()))
    # Both parts are brought to a deviation of 1 around 0.
    assert abs(total.mean()) < 0.05
    assert 0.7 <= total.std() <= 1.3
    assert read_json(run / "result.json")["networks"] == 4


def test_what_is_exported_is_loaded_and_screens(folder: Path) -> None:
    out = folder / "model"
    settings = ExportSettings(discriminator=folder / "run", out=out, odd=1e9, weights=(1.0, 0.5))
    export.main(settings)
    model = load_model(str(out))
    assert isinstance(model.networks, Encoded)
    assert (model.settings.discriminator_part.weight, model.settings.density_part.weight) == (
        1,
        0.5,
    )
    assert [scan["name"] for scan in model.provenance["reference"]] == sorted(PATIENTS)
    scores = left_out_reference(folder / "run", model.settings)
    values = np.concatenate([scores[name] for name in PATIENTS])
    tenth = float(model.calibration.rarity(np.quantile(values, [0.9]))[0])
    assert tenth == pytest.approx(1, abs=0.1)
    stored = load_file(folder / "run" / "heads.safetensors")
    for name, tensor in stored.items():
        found = model.networks.state_dict()[name]
        np.testing.assert_allclose(found, tensor, rtol=1e-3, atol=1e-4, err_msg=name)
    screened = screen(torso(), model, ScreenSettings(device="cpu"))
    assert np.isfinite(screened.rarity).any()
    assert np.nanstd(screened.rarity) > 0
    card = (out / "CARD.md").read_text()
    assert str(folder) not in card + (out / "model.json").read_text()


class Killed(BaseException):
    """A run ends here."""


def killed_at(count: int, call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that ends the run when it is called for the `count`-th time."""
    calls = 0

    def counted(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it is called with
        nonlocal calls
        calls += 1
        if calls == count:
            raise Killed
        return call(*args, **named)

    return counted


def test_a_run_that_is_killed_goes_on_and_gives_the_same_numbers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, drawn, fitted = settings_for(folder, "again"), [], []
    for module, name, count in (
        (drawn_rows, "draw_rows", 1),
        (drawn_rows, "draw_rows", 4),
        (discriminator, "fit_discriminator", 2),
        (fold_model, "save_file", 2),
        (left_out, "save_arrays", 3),
        (discriminator, "save_file", 1),
        (discriminator, "write_json", 4),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed_at(count, getattr(module, name)))
            with pytest.raises(Killed):
                discriminator.main(settings)
        assert not (settings.run / "result.json").exists()
    draw, fit = drawn_rows.draw_rows, discriminator.fit_discriminator
    monkeypatch.setattr(drawn_rows, "draw_rows", lambda *a: drawn.append(a) or draw(*a))
    monkeypatch.setattr(discriminator, "fit_discriminator", lambda *a: fitted.append(a) or fit(*a))
    discriminator.main(settings)
    assert not drawn
    assert not fitted
    assert_same(results(settings.run), results(folder / "run"))


def test_scans_are_scored_by_networks_that_never_saw_their_patient(folder: Path) -> None:
    """Another scan of d: what scores d, and the other patient of its fold, stays bit by bit."""
    make_plain_store(folder / "other", {**PATIENTS, "d": 5})
    settings = settings_for(folder, "other_run", "other")
    shutil.copytree(folder / "run" / "rows", settings.run / "rows")
    discriminator.main(settings)
    before, after = (
        {path.name: path.read_bytes() for path in (run / "heads").iterdir()}
        for run in (folder / "run", settings.run)
    )
    fold = read_json(settings.run / "folds.json")["d"]
    own = {name for name in before if name.startswith(f"{fold}-")}
    assert len(own) == 2
    assert own == {name for name in after if name.startswith(f"{fold}-")}
    assert all(before[name] == after[name] for name in own)
    assert before.keys() & after.keys() == own
    old, new = results(folder / "run"), results(settings.run)
    for part in ("discriminator", "density"):
        assert np.array_equal(new[f"b {part}"], old[f"b {part}"])
        for name in ("a", "c", "d"):
            assert not np.array_equal(new[f"{name} {part}"], old[f"{name} {part}"])


def test_another_encoder_or_other_maps_need_other_heads(folder: Path) -> None:
    write_encoder(folder / "coarse", EncoderSettings((2,), (1,)))
    settings = replace(
        settings_for(folder, "run_of_two"),
        encoder=folder / "coarse",
        density=GaussianSettings((Source(0),), 4),
        seeds=1,
    )
    discriminator.main(settings)
    names = {path.name for path in (settings.run / "heads").iterdir()}
    assert not names & {path.name for path in (folder / "run" / "heads").iterdir()}
    model = load_encoded(settings.run, (1.0, 0.0))
    assert {s.stage for s in model.settings.sources} == {0}


def refused(settings: DiscriminatorSettings, code: str) -> str:
    with pytest.raises(InputError) as error:
        discriminator.main(settings)
    assert error.value.code == code
    assert error.value.action
    assert "\n" not in str(error.value)
    assert not settings.run.exists()
    return str(error.value)


def test_a_store_that_is_not_plain_is_refused(folder: Path, tmp_path: Path) -> None:
    make_store(tmp_path / "store", {"a": (24, 36, 36), "b": (20, 30, 33)})
    told = refused(
        replace(settings_for(folder, "no"), store=tmp_path / "store"), "discriminator.store"
    )
    assert "--plain" in told


def test_what_cannot_be_trained_is_refused_before_anything_is_drawn(folder: Path) -> None:
    settings = settings_for(folder, "no")
    refused(replace(settings, encoder=folder / "nowhere"), "encoder.unfinished")
    refused(replace(settings, exclude=("b", "c", "d")), "discriminator.patients")
    refused(replace(settings, patient="()"), "discriminator.patients")
    refused(replace(settings, folds=1), "discriminator.patients")
    refused(replace(settings, patient="(x)"), "folds.patient")
    for wrong in ({"invariant": -1}, {"invariant": 100_000}, {"reach": (0,)}, {"blocks": 0}):
        density = replace(settings.density, **wrong)  # pyright: ignore[reportArgumentType]
        told = refused(replace(settings, density=density), "discriminator.density")
        assert next(iter(wrong)) in told
    coarse = GaussianSettings((Source(2),), 3)
    assert "stage2" in refused(replace(settings, density=coarse), "discriminator.density")


def test_an_unfinished_run_is_not_exported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        export.main(ExportSettings(discriminator=tmp_path, out=tmp_path / "model"))
    assert error.value.code == "export.unfinished"
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("head", ["gaussian", "flow"])
def test_a_density_may_know_the_place_the_surroundings_and_what_to_expect(
    folder: Path, head: Literal["gaussian", "flow"], monkeypatch: pytest.MonkeyPatch
) -> None:
    density = GaussianSettings(
        (Source(1),), 4, head, 1, ((0, 1),), invariant=3, invariant_hidden=4, reach=(1,), blocks=2
    )
    few = FitInvariantSettings(steps=3, pairs=2, voxels=16, width=8, projected=4)
    fit = FitDensitySettings(voxels=40, epochs=2, batch=16, invariant=few)
    settings = replace(settings_for(folder, f"{head}_run"), density=density, fit_density=fit)
    settings = replace(settings, rows_at=folder / "run" / "rows")
    discriminator.main(settings)
    first = results(settings.run)
    for path in (settings.run / "left_out").iterdir():
        path.unlink()
    # What is kept is not fitted or read again, and gives the same numbers.
    monkeypatch.setattr(fit_density, "fit_conditional", None)
    monkeypatch.setattr(placed_rows, "place", None)
    monkeypatch.setattr(masked_views, "draw_views_of", None)
    discriminator.main(settings)
    assert_same(results(settings.run), first)
    assert len(list((settings.run / "density").iterdir())) == 3
    out = folder / f"{head}_model"
    export.main(ExportSettings(discriminator=settings.run, out=out, odd=1e9, weights=(0.0, 1.0)))
    model = load_model(str(out))
    assert model.settings.density == density  # pyright: ignore[reportAttributeAccessIssue]
    card = (out / "CARD.md").read_text()
    assert "given sin-cos of the place" in card
    assert "a masking-invariant network of 3 channels" in card
    screened = screen(torso(), model, ScreenSettings(device="cpu"))
    assert np.nanstd(screened.rarity) > 0
