"""The model of one fold: it scores scans left out as the stage did, and is measured on those."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ctscreener.encoded import PLAIN, Encoded
from ctscreener.errors import InputError
from ctscreener.files import write_map
from ctscreener.heads import GaussianSettings, Source
from ctscreener.model import Model, load_model
from ctscreener.settings import read_json, to_json, write_json
from ctscreener.shifts import on_finest
from Testing.training.plain_store import AFFINE, make_plain_store, patient, write_encoder
from Testing.training.small_discriminator import PATIENTS
from Testing.training.small_discriminator import SETTINGS as SMALL
from training import discriminator, evaluate, export
from training.data.sources import hash_source
from training.data.store import Store, StoredScan, write_manifest
from training.evaluate import EvaluateSettings
from training.evaluation.array_cache import load_any
from training.evaluation.cases import Case
from training.evaluation.trained_on import check_fold
from training.export import ExportSettings
from training.fit_density import FitDensitySettings
from training.fold_model import fold_path

SHAPE = (16, 36, 40)
LARGE = AFFINE @ np.diag([2.6, 2.2, 2.2, 1.0])
"""Where the files lie: what is as small as in the store shows no body."""
SETTINGS = replace(SMALL, fit_density=FitDensitySettings(voxels=40))
CONDITIONAL = GaussianSettings((Source(1),), 4, sincos=1, surround=((0, 1),))
WEIGHTS = (1.0, 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans as files, a store of them, and a finished run of each kind of density."""
    made = tmp_path_factory.mktemp("folds")
    make_plain_store(made / "store", PATIENTS)
    (made / "scans").mkdir()
    scans = []
    for name, seed in PATIENTS.items():
        path = made / "scans" / f"{name}.nii.gz"
        write_map(path, patient(seed, SHAPE)[0].astype(float), LARGE)
        scans.append(StoredScan(name, SHAPE, AFFINE, str(path), hash_source(path)))
    write_manifest(made / "store", to_json(PLAIN), scans, [])
    write_encoder(made / "encoder")
    settings = replace(SETTINGS, store=made / "store", encoder=made / "encoder", run=made / "run")
    discriminator.main(settings)
    discriminator.main(
        replace(settings, run=made / "placed", density=CONDITIONAL, rows_at=made / "run" / "rows")
    )
    return made


def exported(folder: Path, fold: int | None, run: str = "run", **more: Any) -> Path:  # noqa: ANN401
    out = folder / f"{run}_{fold}"
    settings = ExportSettings(discriminator=folder / run, fold=fold, out=out, weights=WEIGHTS)
    export.main(replace(settings, odd=1e9, **more))
    return out


def scores_of(model: Model, store: Store, name: str) -> np.ndarray:
    """Sums of a whole scan of the store by an exported model, of the body's voxels."""
    prepared = store.prepared(name)
    assert isinstance(model.networks, Encoded)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        whole, _ = model.networks.whole(
            prepared.image, prepared.body, torch.device("cpu"), lambda *_: None
        )
    return whole[on_finest(prepared.body)]


def summed(model: Model, run: Path, name: str) -> np.ndarray:
    """The same from what the run kept of the scan."""
    kept = load_any(run / "left_out" / f"{name}.npz")
    settings = model.settings
    parts = {"discriminator": settings.discriminator_part, "density": settings.density_part}  # pyright: ignore[reportAttributeAccessIssue]
    summands = [p.weight * (kept[n] - p.centre) / p.scale for n, p in parts.items()]
    return np.sum(summands, axis=0)


def folds_of(folder: Path, run: str = "run") -> dict[str, int]:
    return read_json(folder / run / "folds.json")


@pytest.mark.parametrize("run", ["run", "placed"])
def test_a_fold_scores_the_scans_left_out_as_the_stage_did(folder: Path, run: str) -> None:
    store = Store(folder / "store")
    for fold in (0, 1):
        model = load_model(str(exported(folder, fold, run)))
        for name, own in folds_of(folder, run).items():
            found, kept = scores_of(model, store, name), summed(model, folder / run, name)
            apart = np.abs(found - kept).mean() / kept.std()
            # Those that it was trained on were scored by other networks, as the second line shows.
            assert (apart < 0.005) == (own == fold), (name, apart)
            assert own == fold or apart > 0.5


def test_nothing_of_a_fold_enters_its_model(folder: Path) -> None:
    folds = folds_of(folder)
    others = [name for name, fold in folds.items() if fold != 1]
    model = load_model(str(exported(folder, 1)))
    assert [scan["name"] for scan in model.provenance["reference"]] == others
    facts = model.provenance["stages"]["discriminator"]
    assert [scan["name"] for scan in facts["data"]] == others
    assert (facts["result"]["networks"], facts["result"]["scans"]) == (2, len(others))
    assert model.provenance["fold"] == {
        "number": 1,
        "count": 2,
        "tested": sorted(folds.keys() - set(others)),
    }
    # Both parts are of deviation 1, and rarity refers to, the scores of the other scans alone.
    kept = [load_any(folder / "run" / "left_out" / f"{name}.npz") for name in others]
    for part in ("discriminator", "density"):
        scale = getattr(model.settings, f"{part}_part")
        values = np.concatenate([one[part] for one in kept])
        assert (scale.centre, scale.scale) == (
            pytest.approx(values.mean()),
            pytest.approx(values.std()),
        )
    values = np.concatenate([summed(model, folder / "run", name) for name in others])
    tenth = float(model.calibration.rarity(np.quantile(values, [0.9]))[0])
    assert tenth == pytest.approx(1, abs=0.05)


def test_the_card_says_that_it_is_one_fold(folder: Path) -> None:
    notes = folder / "notes.md"
    notes.write_text("Of mine.")
    card = (exported(folder, 0, notes=notes) / "CARD.md").read_text()
    tested = ", ".join(name for name, fold in folds_of(folder).items() if fold == 0)
    assert "**One fold of a cross validation, made to be measured and not to be used**" in card
    assert f"trained without the scans of fold 0 of folds 0 to 1 ({tested})" in card
    assert "Trained on 2 scans" in card
    assert "Of mine." in card
    assert "One fold" not in (exported(folder, None) / "CARD.md").read_text()


def test_all_folds_together_are_the_model_of_all(folder: Path) -> None:
    """Its networks are those of the folds, side by side."""
    whole = load_file(folder / "run" / "heads.safetensors")
    folds = [load_file(fold_path(folder / "run", fold)) for fold in (0, 1)]
    assert folds[0].keys() == whole.keys()
    for name in ("discriminator.bias", *(n for n in whole if "discriminator.inputs" in n)):
        np.testing.assert_array_equal(torch.cat([one[name] for one in folds]), whole[name])


def measure(folder: Path, model: Path, *names: str, labelled: bool = False) -> dict[str, Any]:
    paths = tuple(folder / "scans" / f"{name}.nii.gz" for name in names)
    out = folder / f"results_{'_'.join(names)}_{model.name}_{labelled}"
    settings = EvaluateSettings(scores=(f"model:{model}",), out=out, device="cpu", resamples=5)
    if labelled:
        (folder / "set").mkdir(exist_ok=True)
        for path in paths:
            shutil.copy(path, folder / "set")
            write_map(folder / "set" / f"{path.name[:-7]}_lesion.nii.gz", np.zeros(SHAPE), LARGE)
        settings = replace(settings, sets=(folder / "set",))
    else:
        settings = replace(settings, unlabelled=paths)
    evaluate.main(settings)
    return read_json(out / "results.json")


@pytest.mark.parametrize("labelled", [False, True])
def test_a_fold_is_measured_on_its_own_scans_alone(folder: Path, labelled: bool) -> None:
    tested = [name for name, fold in folds_of(folder).items() if fold == 0]
    trained = [name for name, fold in folds_of(folder).items() if fold == 1]
    model = exported(folder, 0)
    (rarities,) = measure(folder, model, *tested, labelled=labelled)["rarities"]
    assert (rarities["scans"], rarities["seen"]) == (2, {"discriminator": 0, "calibration": 0})
    with pytest.raises(InputError) as error:
        measure(folder, model, tested[0], trained[1], labelled=labelled)
    assert error.value.code == "evaluate.fold"
    assert f"such as {trained[1]}." in error.value.message
    # The model of all folds may be measured on what it was trained on: it is told.
    (rarities,) = measure(folder, exported(folder, None), trained[1])["rarities"]
    assert rarities["seen"]["discriminator"] == 1


def test_lesions_put_into_a_scan_are_no_other_scan() -> None:
    stages = {"encoder": {"data": [{"sha256": "1"}]}, "discriminator": {"data": [{"sha256": "2"}]}}
    provenance = {"fold": {"number": 3}, "stages": stages}
    put_in = [Case("set", f"in_{origin}", Path(), None, origin=origin) for origin in "123"]
    with pytest.raises(
        InputError, match="model of fold 3 .* found 1 of 3 that it was, such as in_2"
    ):
        check_fold(provenance, put_in)
    # What an encoder was trained on without labels is told, as of any model.
    check_fold(provenance, [put_in[0], put_in[2]])
    check_fold({"stages": stages}, put_in)


def test_what_is_no_fold_is_refused(folder: Path) -> None:
    for settings, told in (
        (ExportSettings(discriminator=folder / "run", fold=2), "one of 0, 1; found 2"),
        (ExportSettings(discriminator=folder / "run", fold=-1), "one of 0, 1; found -1"),
        (ExportSettings(fold=0), "--discriminator beside --fold 0"),
    ):
        with pytest.raises(InputError) as error:
            export.main(replace(settings, out=folder / "no"))
        assert error.value.code == "export.fold"
        assert told in error.value.message
    assert not (folder / "no").exists()


def test_a_run_from_before_folds_were_kept_is_refused_and_run_again_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = folder / "old"
    shutil.copytree(folder / "run", old)
    shutil.rmtree(old / "folds")
    with pytest.raises(InputError, match="from before they were kept") as error:
        exported(folder, 0, "old")
    assert error.value.code == "export.fold"
    # Run again it trains nothing, scores nothing, and keeps the same.
    monkeypatch.setattr(discriminator, "fit_discriminator", None)
    monkeypatch.setattr("training.left_out.both_scores", None)
    settings = replace(SETTINGS, store=folder / "store", encoder=folder / "encoder", run=old)
    discriminator.main(settings)
    for path in (folder / "run" / "folds").iterdir():
        assert path.read_bytes() == (old / "folds" / path.name).read_bytes()
    exported(folder, 0, "old")


def test_other_shifts_are_scored_anew_and_train_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = folder / "shifted"
    shutil.copytree(folder / "run", other)
    monkeypatch.setattr(discriminator, "fit_discriminator", None)
    settings = replace(SETTINGS, store=folder / "store", encoder=folder / "encoder", run=other)
    before = {path.name: load_any(path) for path in (other / "left_out").iterdir()}
    assert read_json(other / "model.json")["shifts"] == 2
    discriminator.main(replace(settings, shifts=1))
    assert read_json(other / "model.json")["shifts"] == 1
    for name, known in before.items():
        found = load_any(other / "left_out" / name)
        assert np.abs(found["discriminator"] - known["discriminator"]).max() > 0.01
    heads = (other / "heads.safetensors", folder / "run" / "heads.safetensors")
    assert heads[0].read_bytes() == heads[1].read_bytes()


def test_what_an_unfinished_run_left_is_not_exported(folder: Path) -> None:
    half = folder / "half"
    shutil.copytree(folder / "run", half)
    (half / "result.json").unlink()
    with pytest.raises(InputError) as error:
        exported(folder, 0, "half")
    assert error.value.code == "export.unfinished"
    # Of a run with more folds, files of those that there are no more may have been left.
    write_json(half / "result.json", read_json(folder / "run" / "result.json"))
    shutil.copy(half / "folds" / "1.safetensors", half / "folds" / "2.safetensors")
    with pytest.raises(InputError, match="found 2"):
        exported(folder, 2, "half")
