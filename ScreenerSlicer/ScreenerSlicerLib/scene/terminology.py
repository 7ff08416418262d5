"""What a segment is called: an anomalous region, which names no disease."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import slicer
import vtk

FILE = (
    Path(__file__).parents[2] / "Resources" / "Terminology" / "ScreenerAnomalousRegion.term.json"
)


def load_terminology(logic: slicer.vtkSlicerTerminologiesModuleLogic) -> None:
    """Let Slicer offer our term where segments are named; a second time does nothing.

    Arguments:
        logic: `slicer.modules.terminologies.logic()`.
    """
    names = vtk.vtkStringArray()
    logic.GetLoadedTerminologyNames(names)
    known = {names.GetValue(index) for index in range(names.GetNumberOfValues())}
    if _content()["SegmentationCategoryTypeContextName"] not in known:
        logic.LoadTerminologyFromFile(str(FILE))


def terminology_entry() -> str:
    """Return our term as segments carry it: category, type and no anatomy.

    Example:
        >>> terminology_entry().split("~")[2]
        '99SCREENER^anomalous-region^Anomalous region'
    """
    content = _content()
    (category,) = content["SegmentationCodes"]["Category"]
    (kind,) = category["Type"]
    name = content["SegmentationCategoryTypeContextName"]
    anatomy = "Anatomic codes - DICOM master list"
    return "~".join([name, _triple(category), _triple(kind), "^^", anatomy, "^^", "^^"])


def _triple(code: dict[str, Any]) -> str:
    return "^".join(code[part] for part in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning"))


def _content() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))
