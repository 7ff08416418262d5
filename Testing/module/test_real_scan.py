"""The whole story on a real scan with the bundled model, which takes about a minute.

It runs where `SCREENER_SCANS` names a folder of scans; `-m "not slow"` leaves it out.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util

from ScreenerSlicerLib.process.job_maker import ENGINE
from Testing.host.application import Application
from Testing.module.opened import Opened

SCAN = "lungdx_a0002.nii.gz"
LONGEST_SECONDS = 540.0


@pytest.mark.slow
def test_a_real_scan_from_load_to_save(
    slicer_application: Application, real_scans: Path, tmp_path: Path
) -> None:
    if not (real_scans / SCAN).is_file():
        pytest.skip(f"{SCAN} is not in {real_scans}")
    opened = Opened.in_host(slicer_application, ENGINE)
    host, ui = opened.host, opened.ui
    scan = slicer.util.loadVolume(str(real_scans / SCAN))
    ui.inputSelector.setCurrentNode(scan)
    assert "as in a CT" in ui.cardLabel.text
    assert ui.screenButton.enabled, ui.screenButton.toolTip
    ui.thresholdSlider.value = 2.5

    opened.start()
    told: list[tuple[int, str]] = []

    def ended() -> bool:
        told.append((ui.progressBar.value, ui.progressLabel.text))
        return ui.screenButton.text == "Screen volume"

    host.wait(ended, LONGEST_SECONDS)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert any("Scoring" in text and " of " in text for _, text in told)
    assert ui.messageLabel.text.startswith("Done in "), ui.messageLabel.text

    result = opened.result
    assert result.provenance["model"]["name"] == "preview"
    assert result.rarity.shape == result.scan.shape
    scored = np.isfinite(result.rarity.hu)
    assert 0.05 < scored.mean() < 1.0
    assert result.scan.hu[scored].mean() > result.scan.hu[~scored].mean()

    ui.thresholdSlider.value = 2.0
    host.wait(lambda: result.table.settings.threshold == 2.0)
    findings = len(opened.table())
    assert findings
    opened.click_row(0)
    host.click(ui.rejectButton)
    host.click(ui.exportButton)
    if findings > 1:
        host.click(ui.segmentsButton)
        assert result.segmentation_node is not None
    ui.folderEdit.currentPath = str(tmp_path)
    host.click(ui.tablesButton)
    (file,) = tmp_path.glob("*.json")
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert len(kept["findings"]) == findings
    assert kept["findings"][0]["verdict"] == "rejected"
    host.scene.save(tmp_path / "scene.mrb")
    assert (tmp_path / "scene.mrb").stat().st_size > 1e6
