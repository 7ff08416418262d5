"""A student learns what its teacher says, goes on where it stopped, and is exported as a model."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ctscreener import command
from ctscreener.files import write_map
from ctscreener.model import Distilled, ModelSettings, load_model
from ctscreener.screening import ScreenSettings, score
from ctscreener.settings import read_json, write_json
from Testing.engine.torso import canonical_affine, torso
from Testing.training.small_distillation import TILE, settings_for, write_teacher
from Testing.training.small_store import make_store
from training import distil, export, presets, run
from training.data import teacher_scores as lessons_module
from training.data.store import Store
from training.data.teacher_scores import Lesson, Lessons, draw, learn, whole
from training.distil import DistilSettings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and a teacher."""
    folder = tmp_path_factory.mktemp("distil")
    shapes = {name: (24, 36 + 3 * n, 36) for n, name in enumerate("abcde")}
    make_store(folder / "store", shapes)
    write_teacher(folder / "teacher")
    return folder


@pytest.fixture(scope="module")
def trained(made: Path) -> DistilSettings:
    """A finished distillation."""
    settings = settings_for(made, "run", 150)
    assert distil.main(settings).finished
    return settings


def rows(run: Path, name: str = "metrics.jsonl") -> list[dict[str, float]]:
    lines = (run / name).read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_student_comes_to_say_what_its_teacher_says(trained: DistilSettings) -> None:
    losses = [row["loss"] for row in rows(trained.run)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    watched = rows(trained.run, "watched.jsonl")
    end = read_json(trained.run / "held_out.json")
    # Grey values alone explain nothing: the teacher finds dark as rare as bright.
    assert grey_baseline(trained) < 0.4
    assert end["pearson"] > 0.75
    assert end["spearman"] > 0.5
    assert end["pearson"] > watched[0]["pearson"] + 0.3


def grey_baseline(settings: DistilSettings) -> float:
    """Correlation of the teacher's scores with the mean grey value of a block, held out."""
    store = Store(settings.store, ("a", "b", "c", "d"))
    teacher = load_model(settings.model)
    told = learn(teacher.networks, store, [2], 0, settings.run / "teacher" / "held_out")
    image = told.image.float().unfold(1, 2, 2).unfold(2, 3, 3).unfold(3, 3, 3).mean((-1, -2, -3))
    inside = told.nll.isfinite()
    return abs(float(np.corrcoef(image[inside], told.nll[inside])[0, 1]))


def test_what_was_killed_goes_on_to_the_same_numbers(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_run, broken = (settings_for(made, name, 6) for name in ("whole", "broken"))
    distil.main(whole_run)
    # A checkpoint at every step; the setting is free.
    broken = replace(broken, loop=replace(broken.loop, checkpoint_seconds=0.0))
    asked: list[tuple[int, ...]] = []
    ours = lessons_module.answers

    def dying(teacher: object, prepared: object, *more: object) -> object:
        if len(asked) == 2:
            raise RuntimeError("killed")
        asked.append(prepared.shape)  # pyright: ignore[reportAttributeAccessIssue]
        return ours(teacher, prepared, *more)  # pyright: ignore[reportArgumentType]

    def dying_draw(lessons: Lessons, index: int, *more: object) -> Lesson:
        if index == 4:
            raise RuntimeError("killed")
        return draw(lessons, index, *more)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(lessons_module, "answers", dying)
    with pytest.raises(RuntimeError, match="killed"):
        distil.main(broken)
    kept = {path.name for path in (broken.run / "teacher").iterdir()}
    assert kept == {"a.safetensors", "b.safetensors"}
    monkeypatch.setattr(lessons_module, "answers", ours)
    monkeypatch.setattr(distil, "draw", dying_draw)
    with pytest.raises(RuntimeError, match="killed"):
        distil.main(broken)
    assert (broken.run / "checkpoint.safetensors").exists()
    assert not (broken.run / "student.safetensors").exists()
    monkeypatch.setattr(distil, "draw", draw)

    def never(*more: object) -> object:
        raise AssertionError("asked again")

    monkeypatch.setattr(lessons_module, "answers", never)
    distil.main(broken)
    assert rows(broken.run) == rows(whole_run.run)
    assert len(rows(broken.run)) == 6
    one, other = (load_file(s.run / "student.safetensors") for s in (whole_run, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert read_json(broken.run / "held_out.json") == read_json(whole_run.run / "held_out.json")


def test_a_lesson_is_what_a_screening_of_that_tile_gives(trained: DistilSettings) -> None:
    teacher = load_model(trained.model)
    store = Store(trained.store, ("b", "c", "d", "e"))
    told = learn(teacher.networks, store, [1], 0, trained.run / "one")
    prepared = store.prepared("a")
    start = told.start[0].tolist()
    d, h, w = (slice(a, a + n) for a, n in zip(start, TILE, strict=True))
    np.testing.assert_array_equal(told.image[0], prepared.image[d, h, w])
    alone = replace(prepared, image=prepared.image[d, h, w], body=prepared.body[d, h, w])
    nll = score(alone, teacher.networks, ScreenSettings(), torch.device("cpu")).scores
    np.testing.assert_allclose(told.nll[0], nll, atol=1e-5)
    # A box of a tile: its voxels, its place in the scan, its scores.
    lesson = told.cut(0, (slice(2, 6), slice(1, 5), slice(4, 8)))
    np.testing.assert_array_equal(lesson.image[0], prepared.image[d, h, w][4:12, 3:15, 12:24])
    np.testing.assert_array_equal(lesson.nll, told.nll[0][2:6, 1:5, 4:8])
    middle = (start[1] + 3 * (1 + np.arange(4)) + 1.5) / prepared.shape[1]
    np.testing.assert_allclose(lesson.positions[1, 0, :, 0], middle, rtol=1e-6)


def test_every_tile_comes_once_before_any_comes_again(trained: DistilSettings) -> None:
    count = 6
    numbers = torch.arange(count).float()[:, None, None, None].expand(count, 4, 4, 4)
    shape = torch.full((count, 3), 24, dtype=torch.int32)
    some = Lessons(
        torch.zeros(count, 8, 12, 12, dtype=torch.uint8),
        torch.zeros(count, 3, dtype=torch.int32),
        shape,
        numbers,
        (2, 3, 3),
    )
    for turn in range(2):
        steps = [draw(some, 3 * turn + step, 2, (4, 4, 4), 5) for step in range(3)]
        assert sorted(n for step in steps for n in step.nll[:, 0, 0, 0].tolist()) == [*range(6)]
    assert torch.equal(draw(some, 1, 2, (2, 2, 2), 5).nll, draw(some, 1, 2, (2, 2, 2), 5).nll)
    assert whole((4, 5, 6)) == (slice(0, 4), slice(0, 5), slice(0, 6))


def test_the_exported_model_says_where_it_is_from_and_screens(
    trained: DistilSettings, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = made / "teacher_fast"
    places = ["--store", str(trained.store), "--distilled", str(trained.run), "--out", str(out)]
    assert run.main(["export", *places, "--reference", "a", "b"]) == 0
    model, teacher = load_model(str(out)), load_model(trained.model)
    assert isinstance(model.networks, Distilled)
    assert model.settings.smooth == 0
    assert model.provenance["teacher"] == {"name": "teacher", "sha256": teacher.sha256}
    assert [scan["name"] for scan in model.provenance["stages"]["distil"]["data"]] == [*"abcd"]
    assert str(made) not in json.dumps(model.provenance)
    assert "Fast, less exact" in model.card
    assert f"`teacher` (weights {teacher.sha256[:12]})" in model.card
    assert "| descriptor | 7 |" in model.card
    assert "| distil | 150 |" in model.card
    assert f"by {read_json(trained.run / 'held_out.json')['pearson']:.2f}" in model.card
    kept = export.load_distilled(trained.run).state_dict()
    assert all(
        torch.equal(value, kept[name]) for name, value in model.networks.state_dict().items()
    )
    prepared = Store(trained.store).prepared("a")
    nll = score(prepared, model.networks, ScreenSettings(), torch.device("cpu")).scores
    rarity = model.calibration.rarity(nll[np.isfinite(nll)])
    assert 0.02 < (rarity > 1).mean() < 0.3
    shape = (22, 25, 25)
    scan = torso(canonical_affine(shape, (4.0, 3.4, 3.4)), shape)
    write_map(made / "scan.nii.gz", scan.hu, scan.affine)
    flags = ["--model", str(out), "--out", str(made / "screened"), "--device", "cpu"]
    flags += ["--overlap", "0"]
    assert command.main(["screen", str(made / "scan.nii.gz"), *flags]) == 0
    assert (made / "screened" / "anomaly.nrrd").exists()


def refusal(settings: DistilSettings, *flags: str) -> list[str]:
    """The flags of the same distillation elsewhere."""
    places = ["--store", str(settings.store), "--model", settings.model]
    sizes = ["--student.network.inputs", "9", "--student.sincos", "1", "--student.surround"]
    sizes += ["--block", "8", "8", "8"]
    return ["distil", *places, "--run", str(settings.run), *sizes, "--device", "cpu", *flags]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "nobody"], "No model or folder is called nobody"),
        (["--student.network.inputs", "7"], "expected inputs=9, found 7"),
        (["--student.network.channels", *"888888"], "no multiple of"),
        (["--block", "8", "8", "9"], "a --block within the (8, 8, 8) pooled voxels"),
        (["--block", "4", "4", "6"], "a --block whose sides are multiples of (4, 4, 4)"),
        (["--exclude", "*"], "Expected scans in the store"),
    ],
)
def test_what_cannot_be_distilled_ends_in_one_line(
    made: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    settings = settings_for(made, "refused", 2)
    assert run.main(refusal(settings, *flags)) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not settings.run.exists()


def test_a_student_does_not_teach(
    trained: DistilSettings, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made / "student_folder"
    export.main(export.ExportSettings(trained.store, distilled=trained.run, out=folder))
    settings = settings_for(made, "refused", 2)
    assert run.main(refusal(settings, "--model", str(folder))) == 2
    assert "is distilled" in capsys.readouterr().err


def test_scans_that_were_prepared_otherwise_are_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Path(shutil.copytree(made / "store", tmp_path / "store"))
    manifest = read_json(store / "manifest.json")
    manifest["preprocess"]["clahe_clip"] = 0.01
    write_json(store / "manifest.json", manifest)
    settings = settings_for(made, "refused", 2)
    assert run.main(refusal(settings, "--store", str(store))) == 2
    assert "other settings of preprocessing" in capsys.readouterr().err


def test_a_run_has_one_teacher_and_answers_that_fit(
    trained: DistilSettings, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(trained.run, tmp_path / "run"))
    settings = replace(trained, run=copy)
    facts = read_json(copy / "teacher.json")
    for other, told in (
        ({"sha256": "0" * 64}, "a teacher of SHA-256 0000"),
        ({"smooth": 9.0}, r"a blur of 9\.0 mm, found .* and 3\.0 mm"),
    ):
        write_json(copy / "teacher.json", facts | other)
        with pytest.raises(distil.InputError, match=told):
            distil.main(settings)
    write_json(copy / "teacher.json", facts)
    answers = copy / "teacher" / "a.safetensors"
    answers.write_bytes(answers.read_bytes()[:-40])
    with pytest.raises(distil.InputError, match="Expected the teacher's scores of tiles"):
        distil.main(settings)


def test_an_unfinished_run_is_not_exported(made: Path, tmp_path: Path) -> None:
    with pytest.raises(distil.InputError, match="finished run of the stage `distil`"):
        export.main(export.ExportSettings(made / "store", distilled=tmp_path))


@pytest.mark.parametrize("name", presets.DISTIL)
def test_presets_fit_the_models_of_their_density(name: str) -> None:
    settings = presets.DISTIL[name]
    model = ModelSettings(student=settings.student, tile=presets.DENSITY[name].tile)
    assert Distilled(model)
    pooled = [side // unit for side, unit in zip(model.tile, model.pool, strict=True)]
    assert list(settings.block) == pooled
