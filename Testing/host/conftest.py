"""Tests of the test host. Only they are collected: the host itself needs what may be missing."""

from importlib.util import find_spec
from pathlib import Path

from Testing.host.fixtures import scene_with_views, slicer_scene

# Test files that need Qt skip themselves, the others still run.
if find_spec("PySide6"):
    from Testing.host.qt_fixtures import blind_application, slicer_application

    __all__ = ["blind_application", "scene_with_views", "slicer_application", "slicer_scene"]

HERE = Path(__file__).parent
collect_ignore = [file.name for file in HERE.glob("*.py") if not file.name.startswith("test_")]
collect_ignore.append("sample")
