"""From raw scans to a model that screens, with one command."""

import json
from pathlib import Path

import numpy as np
import pytest

from ctscreener import command
from ctscreener.files import write_map
from ctscreener.model import load_model
from ctscreener.settings import read_json
from training import run


def write_scan(path: Path, seed: int) -> None:
    """A torso of soft tissue with two lungs and a spine, 48 slices of 4 mm."""
    rng = np.random.default_rng(seed)
    d, h, w = np.ogrid[-1:1:48j, -1:1:72j, -1:1:72j]
    size = rng.uniform(0.75, 0.85)
    hu = np.where((h / 0.8) ** 2 + w**2 < size**2, 40.0, -1000.0) + 0 * d
    for side in (-0.35, 0.35):
        lung = ((w - side) / 0.22) ** 2 + (h / 0.4) ** 2 + ((d + rng.uniform(0, 0.2)) / 0.8) ** 2
        hu[lung < 1] = -850
    hu[np.broadcast_to(w**2 + (h - 0.45) ** 2 < 0.01, hu.shape)] = 400
    affine = np.array([[0, 0, 3.5, 0], [0, 3.5, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1.0]])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_map(path, (hu + rng.normal(0, 15, hu.shape)).astype(np.float32), affine)


@pytest.mark.slow
def test_one_command_leads_from_raw_scans_to_a_model_that_screens(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "all"
    for seed in range(3):
        write_scan(scans / f"p{seed}.nii.gz", seed)
    (scans / "notes.nii.gz").write_bytes(b"no scan")
    flags = ["--preset", "tiny", str(scans), "--out", str(out), "--steps", "2"]
    assert run.main(["all", *flags, "--held-out", "p2", "--workers", "1"]) == 0
    model = load_model(str(out / "model"))
    assert [scan["name"] for scan in model.provenance["reference"]] == ["p2"]
    for stage in ("descriptor", "condition", "density"):
        data = model.provenance["stages"][stage]["data"]
        assert [scan["name"] for scan in data] == ["p0", "p1"]
        assert read_json(out / stage / "run.json")["stage"] == stage
    screened = [str(scans / "p2.nii.gz"), "--model", str(out / "model")]
    assert command.main(["screen", *screened, "--out", str(tmp_path / "result")]) == 0
    findings = json.loads((tmp_path / "result" / "findings.json").read_text())
    assert findings["provenance"]["model"]["weights_sha256"] == model.sha256
    assert (tmp_path / "result" / "anomaly.nrrd").exists()
