"""The evaluation: what cannot be measured is refused before anything is."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from Testing.training.small_evaluation import four_scans, small_settings, untrained_model
from training.evaluate import EvaluateSettings, main
from training.evaluation.cases import find_cases


@pytest.fixture
def scans(tmp_path: Path, rng: np.random.Generator) -> Path:
    return four_scans(tmp_path / "scans", rng)


@pytest.fixture
def settings(tmp_path: Path, scans: Path, rng: np.random.Generator) -> EvaluateSettings:
    return small_settings(tmp_path / "out", untrained_model(tmp_path / "untrained", rng), scans)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"labels": (1, 2)}, "evaluate.labels"),
        ({"sets": ()}, "evaluate.sets"),
        ({"unlabelled": (Path("nowhere"),)}, "prepare.missing"),
        ({"others": ("healthy", "ignored")}, "evaluate.labels"),
        ({"scores": ("model:nobody",)}, "model.missing"),
        ({"scores": ("gradient",)}, "evaluate.scores"),
        ({"scores": ("model:preview", "model:preview")}, "evaluate.scores"),
        ({"scores": ("model:preview", "nobody")}, "evaluate.scores"),
        ({"scores": ("model:preview", "gradient", "gradient")}, "baseline.name"),
        ({"workers": 0}, "workers.few"),
        ({"share": (3, 2)}, "evaluate.settings"),
        ({"protocols": ()}, "evaluate.settings"),
        ({"patient": "scan_(.*)"}, "evaluate.patient"),
        ({"patient": "("}, "evaluate.patient"),
    ],
)
def test_unusable_settings_are_refused(
    settings: EvaluateSettings, change: dict, code: str
) -> None:
    with pytest.raises(InputError) as error:
        main(dataclasses.replace(settings, **change))
    assert error.value.code == code


def test_folders_without_masks_and_masks_without_scans_are_refused(
    tmp_path: Path, scans: Path
) -> None:
    for sets, code in (
        ((tmp_path,), "evaluate.no_masks"),
        ((scans, scans), "evaluate.sets"),
    ):
        with pytest.raises(InputError) as error:
            find_cases(sets)
        assert error.value.code == code
    (scans / "a.nii.gz").unlink()
    with pytest.raises(InputError, match="a_lesion"):
        find_cases((scans,))
