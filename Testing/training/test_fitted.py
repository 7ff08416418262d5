"""Fitted baselines: a folder in, the same scores out, and no scan that it has seen."""

import json
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.files import read_scan, write_map
from ctscreener.preprocess import PreprocessSettings
from ctscreener.provenance import fingerprint
from ctscreener.scan import CANONICAL
from training.baselines.fitted import (
    BaselineSettings,
    Fitted,
    bodies,
    check_fitted,
    load_fitted,
    main,
)
from training.baselines.trivial import MeanAtPlace, body_of

AFFINE = np.eye(4)
AFFINE[:3, :3] = CANONICAL.T * (8.0, 3.5, 3.5)


@pytest.fixture
def train(tmp_path: Path, rng: np.random.Generator) -> Path:
    folder = tmp_path / "train"
    folder.mkdir()
    for name in "ab":
        hu = np.full((16, 40, 44), -1000.0)
        hu[:, 8:-8, 8:-8] = rng.normal(20, 15, (16, 24, 28))
        write_map(folder / f"{name}.nii.gz", hu, AFFINE)
    (folder / "broken.nii.gz").write_bytes(b"no scan")
    return folder


@pytest.fixture
def fitted(train: Path, tmp_path: Path) -> Path:
    main(BaselineSettings((train,), tmp_path / "mean"))
    return tmp_path / "mean"


def test_a_loaded_baseline_scores_as_the_one_that_was_fitted(train: Path, fitted: Path) -> None:
    paths = [train / "a.nii.gz", train / "b.nii.gz"]
    scan = read_scan(paths[0])
    body = body_of(scan, PreprocessSettings())
    mean = MeanAtPlace.fit(bodies(paths, PreprocessSettings()))
    loaded = load_fitted(fitted)
    np.testing.assert_array_equal(loaded.scorer.scores(scan, body), mean.scores(scan, body))
    assert loaded.name == "mean"
    assert len(loaded.seen) == 3


def test_a_baseline_is_not_measured_on_what_it_saw(train: Path, fitted: Path) -> None:
    loaded = load_fitted(fitted)
    check_fitted([loaded], ["0" * 64], ["random"])
    with pytest.raises(InputError) as error:
        check_fitted([loaded], [fingerprint(train / "a.nii.gz")["sha256"]], [])
    assert error.value.code == "baseline.seen"
    with pytest.raises(InputError) as error:
        check_fitted([Fitted("random", "", frozenset(), loaded.scorer)], [], ["random"])
    assert error.value.code == "baseline.name"


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("baseline.json", None, "baseline.missing"),
        ("baseline.json", '{"format": "other"}', "baseline.version"),
        ("baseline.json", "[]", "baseline.version"),
        ("arrays.safetensors", b"short", "baseline.damaged"),
        ("arrays.safetensors", None, "baseline.damaged"),
    ],
)
def test_what_is_no_baseline_is_refused(
    fitted: Path, file: str, content: str | bytes | None, code: str
) -> None:
    path = fitted / file
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        load_fitted(fitted)
    assert error.value.code == code


def test_other_arrays_than_described_are_refused(fitted: Path) -> None:
    description = json.loads((fitted / "baseline.json").read_text())
    description["sha256"] = "0" * 64
    (fitted / "baseline.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match="other arrays"):
        load_fitted(fitted)
