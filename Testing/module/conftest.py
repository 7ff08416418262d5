"""The module in the test host, opened and with a worker that needs no PyTorch."""

from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

from Testing.host.application import Application
from Testing.host.qt_fixtures import blind_application, slicer_application
from Testing.module.opened import ROOT, Opened

__all__ = ["blind_application", "slicer_application"]


RECORDED = "Testing.slicer.recorded_worker"


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stub has left of each scan."""
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, recordings: Path) -> None:
    """Let a run find the workers of the tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SCREENER_RECORDED", str(recordings))


@pytest.fixture
def opened(blind_application: Application) -> Opened:
    """The module, opened, with the stub for its engine; no views."""
    return Opened.in_host(blind_application, RECORDED)


@pytest.fixture
def seen(slicer_application: Application) -> Opened:
    """The module, opened, with the stub for its engine; with views."""
    return Opened.in_host(slicer_application, RECORDED)


@pytest.fixture
def temporary(opened: Opened) -> Path:
    """Where the opened module's runs keep their files."""
    return Path(opened.host.app.temporaryPath)
