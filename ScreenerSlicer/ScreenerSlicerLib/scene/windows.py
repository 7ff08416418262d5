"""The windows in which radiologists read a CT: lung, soft tissue, bone."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import slicer

Window = Literal["lung", "soft", "bone"]

WINDOWS: MappingProxyType[Window, tuple[float, float]] = MappingProxyType(
    {"lung": (1500.0, -600.0), "soft": (400.0, 40.0), "bone": (1800.0, 400.0)}
)
"""Width and level of each, in HU."""
SAME_HU = 0.5


def set_window(scan_node: slicer.vtkMRMLScalarVolumeNode, window: Window) -> None:
    """Show a scan in one of the usual windows."""
    display = _display(scan_node)
    width, level = WINDOWS[window]
    modifying = display.StartModify()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(width, level)
    display.EndModify(modifying)


def window_of(scan_node: slicer.vtkMRMLScalarVolumeNode | None) -> Window | None:
    """Tell in which of the usual windows a scan is shown; None in any other."""
    display = scan_node.GetScalarVolumeDisplayNode() if scan_node else None
    if display is None:
        return None
    shown = display.GetWindow(), display.GetLevel()
    return next((name for name, one in WINDOWS.items() if _same(one, shown)), None)


def is_automatic(scan_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Tell whether nobody, neither a user nor the scan's own header, has chosen its window."""
    return bool(_display(scan_node).GetAutoWindowLevel())


def _same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) < SAME_HU for a, b in zip(one, other, strict=True))


def _display(
    scan_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLScalarVolumeDisplayNode:
    if scan_node.GetScalarVolumeDisplayNode() is None:
        scan_node.CreateDefaultDisplayNodes()
    return scan_node.GetScalarVolumeDisplayNode()
