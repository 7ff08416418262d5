"""Fixtures for tests that click; a `conftest.py` imports them.

Where PySide6 or a library of Qt is missing, importing this skips the tests of that folder and says
why.
"""

from collections.abc import Iterator

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

from Testing.host.application import Application
from Testing.host.graphics import NoGraphics


@pytest.fixture
def slicer_application(request: pytest.FixtureRequest) -> Iterator[Application]:
    """A new application with Slicer's usual views; skipped where nothing draws off-screen."""
    try:
        host = Application(holds_gil=request.config.getoption("hold_gil"))
    except NoGraphics as error:
        pytest.skip(str(error))
    with host:
        yield host


@pytest.fixture
def blind_application(request: pytest.FixtureRequest) -> Iterator[Application]:
    """A new application without views, as `--no-main-window` gives."""
    with Application(False, holds_gil=request.config.getoption("hold_gil")) as host:
        yield host
