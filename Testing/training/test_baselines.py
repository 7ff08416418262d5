"""Rivals in general: a folder in, the same scores out; listed, refused, trained on with `run.py`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.files import read_scan, write_map
from ctscreener.preprocess import PreprocessSettings
from ctscreener.provenance import fingerprint
from ctscreener.scan import CANONICAL
from training import run
from training.baselines.folder import check_rated, load_folder
from training.baselines.mean_at_place import MeanAtPlace, MeanAtPlaceSettings
from training.baselines.method import RunSettings
from training.baselines.methods import METHODS
from training.baselines.stage import main
from training.baselines.trivial import Chance, body_of
from training.prepare import PrepareSettings
from training.prepare import main as prepare

AFFINE = np.eye(4)
AFFINE[:3, :3] = CANONICAL.T * (8.0, 3.5, 3.5)
PREPROCESS = PreprocessSettings(spacing=(8.0, 3.5, 3.5))


@pytest.fixture
def store(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A store of three scans, whose sources stand in `scans`."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in "abc":
        hu = np.full((16, 40, 44), -1000.0)
        hu[:, 8:-8, 8:-8] = rng.normal(20, 15, (16, 24, 28))
        write_map(folder / f"{name}.nii.gz", hu, AFFINE)
    prepare(PrepareSettings((folder,), tmp_path / "store", workers=1, preprocess=PREPROCESS))
    return tmp_path / "store"


@pytest.fixture
def fitted(store: Path, tmp_path: Path) -> Path:
    """The mean at place of two of them."""
    main("mean_at_place", MeanAtPlaceSettings(RunSettings(store, tmp_path / "mean", limit=2)))
    return tmp_path / "mean" / "fitted"


def test_what_is_excluded_is_not_learnt_from(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--seconds above 0, found -5"):
        RunSettings(store, seconds=-5)
    data = RunSettings(store, tmp_path / "run", exclude=("b",))
    assert data.open().names == ("a", "c")
    assert replace(data, only=("[ab]",)).open().names == ("a",)
    assert replace(data, limit=1).open().names == ("a",)
    main("mean_at_place", MeanAtPlaceSettings(data))
    unseen = fingerprint(tmp_path / "scans" / "b.nii.gz")["sha256"]
    assert unseen not in load_folder(tmp_path / "run" / "fitted").seen


def test_a_loaded_rival_scores_as_the_one_that_was_fitted(fitted: Path, tmp_path: Path) -> None:
    scans = [read_scan(tmp_path / "scans" / f"{name}.nii.gz") for name in "ab"]
    parts = [(scan, body_of(scan, PREPROCESS)) for scan in scans]
    loaded, mean = load_folder(fitted), MeanAtPlace.fit(parts)
    np.testing.assert_array_equal(loaded.map(*parts[0]), mean.map(*parts[0]))
    assert loaded.name == "mean"
    files = {fingerprint(tmp_path / "scans" / f"{name}.nii.gz")["sha256"] for name in "ab"}
    assert loaded.seen == files


def test_a_rival_is_not_measured_on_what_it_saw(fitted: Path, tmp_path: Path) -> None:
    loaded = load_folder(fitted)
    check_rated([loaded, Chance()], ["0" * 64])
    with pytest.raises(InputError) as error:
        check_rated([loaded], [fingerprint(tmp_path / "scans" / "a.nii.gz")["sha256"]])
    assert error.value.code == "baseline.seen"
    with pytest.raises(InputError) as error:
        check_rated([loaded, Chance(name="mean")], [])
    assert error.value.code == "baseline.name"


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("baseline.json", None, "baseline.missing"),
        ("baseline.json", '{"format": "other"}', "baseline.version"),
        ("baseline.json", "[]", "baseline.version"),
        ("weights.safetensors", b"short", "baseline.damaged"),
        ("weights.safetensors", None, "baseline.damaged"),
    ],
)
def test_what_is_no_rival_is_refused(
    fitted: Path, file: str, content: str | bytes | None, code: str
) -> None:
    path = fitted / file
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        load_folder(fitted)
    assert error.value.code == code


@pytest.mark.parametrize("lost", ["data", "preprocess", "settings"])
def test_a_description_that_lacks_something_is_refused(fitted: Path, lost: str) -> None:
    known = json.loads((fitted / "baseline.json").read_text())
    del known[lost]
    (fitted / "baseline.json").write_text(json.dumps(known))
    with pytest.raises(InputError) as error:
        load_folder(fitted)
    assert error.value.code == "baseline.damaged"


def test_a_source_that_is_another_one_by_now_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "scans" / "b.nii.gz").write_bytes(b"another")
    with pytest.raises(InputError) as error:
        main("mean_at_place", MeanAtPlaceSettings(RunSettings(store, tmp_path / "mean")))
    assert error.value.code == "baseline.source"


def test_the_command_lists_every_rival_and_fits_one(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["baseline"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in shown for name in METHODS)
    flags = ["--store", str(store), "--run", str(tmp_path / "mean"), "--only", "[ab]"]
    assert run.main(["baseline", "mean_at_place", *flags]) == 0
    assert load_folder(tmp_path / "mean" / "fitted").name == "mean"
    assert run.main(["baseline", "nobody"]) == 2
    assert "one of mean_at_place" in capsys.readouterr().err


def test_every_preset_is_one_of_three_and_has_the_settings_of_its_rival() -> None:
    for method in METHODS.values():
        assert set(method.presets) in (set(), {"tiny", "small", "paper"})
        assert all(isinstance(one, method.settings) for one in method.presets.values())
