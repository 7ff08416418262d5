"""What the module does when Slicer starts, and what it never does unasked."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
import vtk

from ScreenerSlicerLib.install.assistant import PENDING
from ScreenerSlicerLib.process.job_maker import STUB
from ScreenerSlicerLib.scene import sample_data
from Testing.host.application import Application
from Testing.module.opened import Opened, torso


def offered_terms() -> set[str]:
    names = vtk.vtkStringArray()
    slicer.modules.terminologies.logic().GetLoadedTerminologyNames(names)
    return {names.GetValue(index) for index in range(names.GetNumberOfValues())}


def test_terms_are_offered_once_slicer_has_started(opened: Opened) -> None:
    assert not any("Screener" in name for name in offered_terms())
    opened.host.app.startupCompleted.emit()
    opened.host.raise_errors()
    assert sum("Screener" in name for name in offered_terms()) == 1


def test_the_sample_is_offered_where_slicer_has_sample_data(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[dict[str, Any]] = []
    logic = SimpleNamespace(registerCustomSampleDataSource=lambda **one: offered.append(one))
    module = SimpleNamespace(SampleDataLogic=logic, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "SampleData", module)
    opened.host.app.startupCompleted.emit()
    opened.host.raise_errors()
    (one,) = offered
    assert one["uris"].startswith("file://")
    assert one["checksums"] == sample_data.CHECKSUM
    assert sample_data.THUMBNAIL.is_file()


def test_the_sample_is_loaded_and_chosen_by_one_click(opened: Opened) -> None:
    opened.host.click(opened.ui.sampleButton)
    assert opened.ui.inputSelector.currentNode().GetName() == "Screener sample phantom"
    assert opened.ui.screenButton.enabled


def test_a_scan_that_is_there_is_chosen(blind_application: Application) -> None:
    node = slicer.util.addVolumeFromArray(torso(), name="Already there")
    opened = Opened.in_host(blind_application, STUB)
    assert opened.ui.inputSelector.currentNode() is node


def test_an_installation_goes_on_after_a_restart(
    opened: Opened, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = opened.widget.panel.settings
    settings[PENDING] = "1"
    monkeypatch.setattr(
        "ScreenerSlicerLib.install.slicer_packages.installed_version", lambda _: "99"
    )
    with caplog.at_level("INFO"):
        opened.host.app.startupCompleted.emit()
        opened.host.raise_errors()
    assert not settings.get(PENDING)
    assert "Everything that Screener needs is installed." in caplog.text


def test_the_self_test_passes_and_can_fail(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.host.run_self_test("ScreenerSlicer")
    monkeypatch.setenv("SCREENER_STUB", '{"die": "scoring"}')
    with pytest.raises(Exception, match="ended without a result"):
        opened.host.run_self_test("ScreenerSlicer")
