"""The stand-ins offer what the oldest supported Slicer has, and the module uses nothing newer."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

from Testing.host import ctk_widgets, dicom_database, mrml_widgets
from Testing.host.offered import NEWER, OFFERED
from Testing.host.pythonqt import AS_IN_CPP

FOLDER = Path(__file__).parents[2] / "ScreenerSlicer"
ASKED_FOR = {("install/slicer_packages.py", "slicer.packaging")}
"""Where a newer thing is used because it is asked beforehand whether it is there."""


def stand_ins() -> Iterator[type]:
    for module in (ctk_widgets, dicom_database, mrml_widgets):
        for thing in vars(module).values():
            if isinstance(thing, type) and AS_IN_CPP in vars(thing):
                yield thing


def own_names(cls: type) -> set[str]:
    """What a stand-in has beside what its Qt class has."""
    of_qt = {name for base in cls.__mro__ if "PySide6" in base.__module__ for name in dir(base)}
    of_host = {"staticMetaObject", "vtk_signals"}
    return {name for name in vars(cls) if name[0] != "_"} - of_qt - of_host


@pytest.mark.parametrize("cls", list(stand_ins()), ids=lambda cls: cls.__name__)
def test_a_stand_in_offers_nothing_newer(cls: type) -> None:
    assert own_names(cls) - OFFERED[cls.__name__] == set()


def test_the_module_uses_nothing_newer() -> None:
    files = [FOLDER / "ScreenerSlicer.py", *FOLDER.glob("ScreenerSlicerLib/**/*.py")]
    files += FOLDER.glob("Resources/UI/*.ui")
    found = {
        (file.relative_to(FOLDER).as_posix().removeprefix("ScreenerSlicerLib/"), name)
        for file in files
        for name in NEWER
        if re.search(rf"\b{re.escape(name)}\b", file.read_text(encoding="utf-8"))
    }
    assert found == ASKED_FOR
