"""The doctor: tells what is sound, what is missing and what is broken, and goes on."""

import json
from pathlib import Path

import numpy as np
import pytest

from ctscreener import doctor
from ctscreener.command import main
from ctscreener.doctor import Check
from ctscreener.files import read_scan, write_map
from ctscreener.model import known_models
from Testing.engine.command_line import scan_and_model
from Testing.engine.small_model import save

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models of a user: a sound one and one whose weights have changed."""
    monkeypatch.setattr("ctscreener.model.BUNDLED", tmp_path / "none")
    monkeypatch.setenv("CTSCREENER_MODELS", str(tmp_path / "models"))
    save(tmp_path / "models" / "sound")
    weights = save(tmp_path / "models" / "changed") / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    return tmp_path / "models"


def test_every_model_is_looked_at_and_a_changed_one_is_a_fault(models: Path) -> None:
    checks = {check.name: check for check in doctor.models()}
    assert [folder.name for folder in known_models()] == ["changed", "sound"]
    sha256 = json.loads((models / "sound" / "model.json").read_text())["sha256"]
    assert checks["model sound"] == Check("model sound", f"SHA-256 {sha256}")
    assert checks["model changed"].sound is False


@pytest.mark.usefixtures("models")
def test_a_fault_is_status_2_and_all_lines_are_printed(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--no-test", "--device", "cpu"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "ok", "ok", "FAULT", "ok"]
    (models / "changed" / "model.json").unlink()
    assert main(["doctor", "--no-test", "--device", "cpu"]) == 0
    assert main(["doctor", "--no-test", "--device", "cuda:99"]) == 2


def test_the_self_test_fails_where_the_first_finding_is_no_lesion(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scan_and_model(tmp_path)
    scan = read_scan(tmp_path / "scan.nrrd")
    monkeypatch.setattr(doctor, "SAMPLE", tmp_path / "scan.nrrd")
    monkeypatch.setattr(doctor, "MASK", tmp_path / "mask.nrrd")
    for value, sound in ((0.0, False), (1.0, True)):
        write_map(tmp_path / "mask.nrrd", np.full(scan.shape, value, np.float32), scan.affine)
        check = doctor.self_test("cpu", str(tmp_path / "model"))
        assert check.sound is sound, check.found
        assert f"the first is {'a' if sound else 'no'} lesion" in check.found
    monkeypatch.setattr(doctor, "SAMPLE", tmp_path / "none.nrrd")
    assert doctor.self_test("cpu", "preview").sound is None


@pytest.mark.slow
def test_the_first_finding_of_the_bundled_model_in_the_sample_is_a_lesion() -> None:
    check = doctor.self_test("cpu", "preview")
    assert check.sound, check.found
    assert "the first is a lesion" in check.found
