"""Recipes: every command that they give is one that its stage takes, and nothing left out is used."""

import subprocess
from pathlib import Path

import pytest

from Testing.training.recipe_calls import FOLDS, ROOT, Call, calls_kept, follow
from training.baselines.methods import NAMES

RECIPES = sorted(path.name for path in (ROOT / "training" / "recipes").glob("*.sh"))
RECIPES.remove(MINUTES := "minutes.sh")
FAMILIES = (
    *("lung_nodule", "lung_opacity", "kidney_tumour"),
    *("liver_tumour", "lung_mass", "pleural_effusion"),
)
"""In the order in which `preview.sh` puts lesions in."""


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Names of scans, two of them with masks, one a DICOM folder."""
    folder = tmp_path / "scans"
    (folder / "lidc0001_dicom").mkdir(parents=True)
    for name in ("lidc0001_dicom_lesion", "lidc_0002", "lidc_0002_lesion", "lidc_0003"):
        (folder / f"{name}.nii.gz").touch()
    for name in ("lidc_0003_lesion", "matrad_liver", "acrin_lower", "ts_example", "cmb_crc"):
        (folder / f"{name}.nii.gz").touch()
    return folder


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """The settings that each stage is called with, in place of its work."""
    return calls_kept(monkeypatch)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_command_is_one_that_its_stage_takes(
    recipe: str, scans: Path, tmp_path: Path, given: list[Call]
) -> None:
    follow(recipe, scans, tmp_path)
    assert {"phantoms", "insert", "prepare"} & dict(given).keys()
    assert {"evaluate", "export"} & dict(given).keys()


@pytest.mark.parametrize("route", ["encoder", "scratch"])
def test_every_command_of_the_minutes_is_one_that_its_stage_takes(
    route: str, scans: Path, tmp_path: Path, given: list[Call]
) -> None:
    for call in ("pack", "smoke", "main", "unpack"):
        follow(MINUTES, scans, tmp_path, CALL=call, ROUTE=route, OUT=str(tmp_path / "minutes"))
        (tmp_path / "notes").unlink()
    stages = [stage for stage, _ in given]
    trained = {"encoder": ["tune", "discriminator"], "scratch": ["descriptor", "condition"]}[route]
    assert stages[0] == "prepare"
    assert {*trained, "pack", "unpack", "pace", "export"} <= set(stages)
    packed = next(settings for stage, settings in given if stage == "pack")
    assert "lidc_0002" in packed.exclude, "what is measured at home stays there"
    assert packed.most_mib <= 64
    loops = [s.loop for stage, s in given if stage in trained and hasattr(s, "loop")]
    minutes = [loop.max_minutes for loop in loops if loop.schedule == "minutes"]
    assert sum(filter(None, minutes)) < 2 * 580 / 60, "networks train side by side"
    back = [settings for stage, settings in given if stage == "pack"][-1]
    assert back.part_mb <= 16


def test_what_is_left_out_is_neither_trained_nor_calibrated_on(
    scans: Path, tmp_path: Path, given: list[Call]
) -> None:
    tested, held_out = ("lidc0001_dicom", "lidc_0002", "matrad_liver"), ("acrin_lower",)
    names = {"TESTED": " ".join(tested), "HELD_OUT": " ".join(held_out)}
    out = follow("scratch_left_out.sh", scans, tmp_path, **names)
    by_stage = dict(given)
    for stage in ("descriptor", "condition"):
        assert by_stage[stage].exclude == (*tested, *held_out)
    assert (by_stage["density"].exclude, by_stage["density"].held_out) == (tested, held_out)
    assert by_stage["distil"].exclude == tested
    assert set(by_stage["distil"].held_out) >= {*held_out}
    left, distilled_model, trained = (settings for stage, settings in given if stage == "export")
    for one in (left, distilled_model):
        assert (one.left_out, one.reference) == (True, held_out)
    assert {"lidc_0003", "ts_example", "cmb_crc"} <= set(trained.reference)
    assert not set(trained.reference) & {*tested, *held_out}
    phantoms, real = (settings.data for stage, settings in given if stage == "baseline")
    assert phantoms.only == ("mixed_4000_*",)
    assert {"lidc_0003", "ts_example", "cmb_crc"} <= set(real.only)
    assert not set(real.only) & {*tested, *held_out}
    paths = (scans / "lidc0001_dicom", scans / "lidc_0002.nii.gz", scans / "matrad_liver.nii.gz")
    evaluations = [settings for stage, settings in given if stage == "evaluate"]
    measured, apart, distilled, _ = evaluations
    assert {settings.unlabelled for settings in evaluations} == {paths}
    models = [Path(settings.scores[0].removeprefix("model:")) for settings in evaluations]
    assert [model.name for model in models] == [
        *("scratch_left_out", "scratch_left_out"),
        *("scratch_left_out_distilled", "trained_reference"),
    ]
    assert [settings.overlap for settings in evaluations] == [0.5, 0.0, 0.0, 0.5]
    # What is measured was exported: the distilled model under the name that it was given.
    assert {*models} == {*(left.out, distilled_model.out, trained.out)}
    assert apart.sets == distilled.sets == measured.sets
    rivals = {phantoms.run / "fitted", real.run / "fitted"}
    assert all(rivals <= set(map(Path, settings.scores)) for settings in evaluations)
    assert len({settings.out for settings in evaluations}) == 4
    inserted = {settings.family: settings.scans for stage, settings in given if stage == "insert"}
    assert inserted.pop("kidney_tumour") == (*paths, scans / "acrin_lower.nii.gz")
    assert set(inserted.values()) == {paths}
    # Kidneys were found nowhere: no such set. Masks of scans that are trained on are no test.
    assert [folder.name for folder in measured.sets] == [
        *("annotated", "inserted_lung_nodule", "inserted_lung_opacity", "inserted_liver_tumour"),
        *("phantoms_lung_nodule", "phantoms_lung_opacity"),
        *("phantoms_kidney_tumour", "phantoms_liver_tumour"),
    ]
    assert sorted(path.name for path in (out / "annotated").iterdir()) == [
        *("lidc0001_dicom", "lidc0001_dicom_lesion.nii.gz"),
        *("lidc_0002.nii.gz", "lidc_0002_lesion.nii.gz"),
    ]
    assert len(by_stage["tables"].results) == 4


def test_whole_volume_models_are_measured_on_what_they_never_saw(
    scans: Path, tmp_path: Path, given: list[Call]
) -> None:
    tested = ("lidc0001_dicom", "lidc_0002", "matrad_liver")
    out = follow("left_out.sh", scans, tmp_path, TESTED=" ".join(tested))
    runs = [settings for stage, settings in given if stage == "discriminator"]
    assert [settings.exclude for settings in runs] == [tested, tested]
    # Lesions are trained on in scans that are neither tested nor have masks.
    trained, measured = [], []
    for stage, settings in given:
        if stage == "insert":
            (trained if "made" in settings.out.parts else measured).append(settings)
    assert {path.name for settings in trained for path in settings.scans} == {
        *("acrin_lower.nii.gz", "ts_example.nii.gz", "cmb_crc.nii.gz")
    }
    paths = (scans / "lidc0001_dicom", scans / "lidc_0002.nii.gz", scans / "matrad_liver.nii.gz")
    assert {settings.scans for settings in measured} == {paths}
    assert {settings.seed for settings in trained}.isdisjoint(s.seed for s in measured)
    exported = {settings.out for stage, settings in given if stage == "export"}
    evaluations = [settings for stage, settings in given if stage == "evaluate"]
    models = {Path(settings.scores[0].removeprefix("model:")) for settings in evaluations}
    assert models == exported
    assert len({settings.out for settings in evaluations}) == 6
    assert {settings.unlabelled for settings in evaluations} == {paths}
    assert out / "annotated" in evaluations[0].sets


def test_rivals_are_trained_for_equal_seconds_on_scans_that_are_not_measured(
    scans: Path, tmp_path: Path, given: list[Call]
) -> None:
    tested = ("lidc0001_dicom", "lidc_0002")
    names = {"TESTED": " ".join(tested), "BUDGET": "7", "MODELS": "preview other"}
    more = {"STUNET": str(scans), "ENCODER": "/encoder", "DESCRIPTOR": "/descriptor"}
    out = follow("rivals.sh", scans, tmp_path, **names, **more)
    fitted = [settings.data for stage, settings in given if stage == "baseline"]
    assert {settings.exclude for settings in fitted} == {tested}
    assert {settings.seconds for settings in fitted} == {7.0}
    own = [
        settings for stage, settings in given if stage in {"descriptor", "condition", "density"}
    ]
    assert {settings.exclude for settings in own} == {tested}
    assert sum(settings.loop.max_minutes for settings in own) * 60 == pytest.approx(7)
    assert {settings.loop.schedule for settings in own} == {"minutes"}
    # Every rival there is, and PatchCore on other features.
    assert {settings.run.name for settings in fitted} == {
        *NAMES,
        *("patchcore_descriptor", "patchcore_encoder"),
    }
    plain = {"patchcore_encoder", "stunet"}
    for settings in fitted:
        assert settings.store.name == ("store_plain" if settings.run.name in plain else "store")
    first, second, third = (settings for stage, settings in given if stage == "evaluate")
    assert {Path(score) for score in first.scores} >= {one.run / "fitted" for one in fitted}
    assert second.scores == ("model:other", "gradient", "random")
    assert third.scores[0] == f"model:{out / 'scratch' / 'model'}"
    assert first.sets == second.sets == third.sets
    assert first.sets[0] == out / "annotated"
    assert len(dict(given)["tables"].results) == 3


@pytest.mark.parametrize("inserted", [True, False])
def test_bundled_models_are_made_without_the_scans_that_have_masks(
    scans: Path, tmp_path: Path, given: list[Call], inserted: bool
) -> None:
    follow("preview.sh", scans, tmp_path, **({} if inserted else {"WITHOUT_INSERTED": "1"}))
    assert ("insert" in dict(given)) == inserted
    runs = [settings for stage, settings in given if stage == "discriminator"]
    masked = {path.name.removesuffix("_lesion.nii.gz") for path in scans.glob("*_lesion.nii.gz")}
    assert len(runs) == 2
    for settings in runs:
        assert masked <= set(settings.exclude)
        # Where no scan takes a lesion of a family, there is no folder of it to learn from.
        assert [path.name for path in settings.draw.inserted] == [
            f"inserted_{family}" for family in FAMILIES if inserted and family != "kidney_tumour"
        ]
    hosts = {path for stage, some in given if stage == "insert" for path in some.scans}
    assert not masked & {path.name.removesuffix(".nii.gz") for path in hosts}


@pytest.mark.parametrize("stages", ["2", "3"])
def test_every_scan_is_measured_by_the_model_of_its_own_fold(
    scans: Path, tmp_path: Path, given: list[Call], stages: str
) -> None:
    more = {"STAGES": stages, "WEIGHTS": ".9 .1", "COPIES": "3"}
    out = follow("development.sh", scans, tmp_path, **more)
    exports = {settings.fold: settings for stage, settings in given if stage == "export"}
    measured = [settings for stage, settings in given if stage == "evaluate"]
    assert [*exports] == [0, 1, 2]
    for fold, settings in exports.items():
        assert settings.discriminator == tmp_path / "made" / f"discriminator_{stages}"
        assert settings.weights == (0.9, 0.1)
        (one,) = (one for one in measured if one.scores == (f"model:{settings.out}",))
        names = {path.name.removesuffix(".nii.gz") for path in one.unlabelled}
        assert names == {name for name, its in FOLDS.items() if its == fold}
        assert all(path.exists() for path in one.unlabelled)
        # Kidneys were found nowhere: no such set. Of two folds a scan has a mask beside it.
        here = ["annotated"] * (fold > 0) + ["lung_nodule", "lung_mass", "liver_tumour"]
        assert [folder.name for folder in one.sets] == here
        assert {folder.parent for folder in one.sets} == {settings.out.parent}
        inserted = [
            s for stage, s in given if stage == "insert" and s.out.parent in one.out.parents
        ]
        assert {s.scans for s in inserted} == {one.unlabelled}
        assert {(s.count, s.seed) for s in inserted} == {(3, 8200)}
        assert len(inserted) == 4
    assert sorted(path.name for path in (out / "fold_2" / "annotated").iterdir()) == [
        *("lidc_0003.nii.gz", "lidc_0003_lesion.nii.gz")
    ]
    pooled = dict(given)["tables"]
    assert pooled.pool
    assert pooled.results == tuple(one.out / "results.json" for one in measured)


def test_without_a_finished_run_nothing_is_measured(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        follow("development.sh", scans, tmp_path, MADE=str(tmp_path / "nowhere"))
    assert error.value.returncode == 2
    assert b"Expected a finished run of preview.sh" in error.value.stderr
    assert not (tmp_path / "notes").exists()


def test_finished_networks_and_data_are_taken_as_they_are(
    scans: Path, tmp_path: Path, given: list[Call]
) -> None:
    follow(
        "scratch_left_out.sh",
        scans,
        tmp_path,
        DATA="/data",
        NETWORKS="/nets",
        WITHOUT_DISTILLED="1",
    )
    stages = [stage for stage, _ in given]
    assert not {"prepare", "descriptor", "condition", "distil"} & set(stages)
    density = dict(given)["density"]
    assert density.store == Path("/data/store_density")
    assert (density.descriptor, density.condition) == (
        Path("/nets/descriptor"),
        Path("/nets/condition"),
    )
    assert (stages.count("evaluate"), stages.count("export")) == (3, 2)


@pytest.mark.parametrize(
    ("recipe", "stage", "before"),
    [
        ("scratch_left_out.sh", "condition", {"phantoms", "prepare", "descriptor"}),
        ("preview.sh", "insert", set()),
        ("preview.sh", "encoder", {"insert", "prepare"}),
        ("left_out.sh", "discriminator", {"insert", "prepare", "encoder"}),
        ("development.sh", "export", set()),
        ("development.sh", "evaluate", {"export", "insert"}),
    ],
)
def test_a_recipe_stops_where_a_stage_fails(
    recipe: str, stage: str, before: set[str], scans: Path, tmp_path: Path
) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        follow(recipe, scans, tmp_path, FAIL=stage)
    begun = {
        text.split("\n")[1] for text in (tmp_path / "notes").read_text().split("\n--end\n")[:-1]
    }
    assert begun == {*before, stage}
