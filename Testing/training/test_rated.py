"""A fitted rival is measured beside the model, on scans that it did not see."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings
from Testing.training.small_evaluation import (
    four_scans,
    results_of,
    small_settings,
    untrained_model,
    write_case,
)
from training.baselines.folder import load_folder
from training.baselines.mean_at_place import MeanAtPlaceSettings
from training.baselines.method import RunSettings
from training.baselines.stage import main as fit
from training.evaluate import EvaluateSettings, main
from training.evaluation.rated import SCREENER, RarityScore
from training.prepare import PrepareSettings
from training.prepare import main as prepare


@pytest.fixture
def model(tmp_path: Path, rng: np.random.Generator) -> Path:
    return untrained_model(tmp_path / "untrained", rng)


@pytest.fixture
def scans(tmp_path: Path, rng: np.random.Generator) -> Path:
    return four_scans(tmp_path / "scans", rng)


@pytest.fixture
def settings(tmp_path: Path, model: Path, scans: Path) -> EvaluateSettings:
    return small_settings(tmp_path / "out", model, scans)


@pytest.fixture
def mean(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A fitted mean at place of two other scans."""
    for name in "de":
        write_case(tmp_path / "train", name, rng, ())
    preprocess = PreprocessSettings(spacing=(8.0, 3.5, 3.5))
    store, run = tmp_path / "store", tmp_path / "mean"
    prepare(PrepareSettings((tmp_path / "train",), store, workers=1, preprocess=preprocess))
    fit("mean_at_place", MeanAtPlaceSettings(RunSettings(store, run)))
    return run / "fitted"


def test_a_fitted_rival_is_measured_on_the_same_voxels_and_alone_where_the_rest_is_known(
    settings: EvaluateSettings, mean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = results_of(settings)
    asked = []
    original = RarityScore.map
    monkeypatch.setattr(RarityScore, "map", lambda *given: asked.append(1) or original(*given))
    both = dataclasses.replace(settings, scores=(str(mean), *settings.scores))
    results = results_of(both)
    assert not asked
    assert results["baselines"] == {"mean": load_folder(mean).sha256}
    scores, (first, *_) = results["sets"][0]["scores"], results["sets"][0]["scans"]
    assert list(scores) == [SCREENER, "mean", "gradient", "random"]
    assert scores.pop("mean")["auroc"]["pooled"]["value"] > 0.9
    assert scores == before["sets"][0]["scores"]
    assert first["unscored_lesion"] == before["sets"][0]["scans"][0]["unscored_lesion"]
    assert 0.3 < scores["random"]["auroc"]["pooled"]["value"] < 0.7


def test_a_rival_is_not_measured_on_what_it_saw(
    settings: EvaluateSettings, mean: Path, tmp_path: Path, scans: Path
) -> None:
    both = dataclasses.replace(settings, scores=(*settings.scores, str(mean)))
    (scans / "a.nii.gz").write_bytes((tmp_path / "train" / "d.nii.gz").read_bytes())
    with pytest.raises(InputError) as error:
        main(both)
    assert error.value.code == "baseline.seen"


@pytest.mark.parametrize("scores", [("nothing_there",), ("model:preview", "nothing_there")])
def test_a_folder_that_is_missing_is_named_whatever_stands_beside_it(
    settings: EvaluateSettings, scores: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match="rival, .*; found nothing_there"):
        main(dataclasses.replace(settings, scores=scores))
