"""The windows in which radiologists read a CT: lung, soft tissue, bone."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Literal

import numpy as np
import slicer
import slicer.util

Window = Literal["lung", "soft", "bone"]

WINDOWS: MappingProxyType[Window, tuple[float, float]] = MappingProxyType(
    {"lung": (1500.0, -600.0), "soft": (400.0, 40.0), "bone": (1800.0, 400.0)}
)
"""Width and level of each, in HU."""
SAME_HU = 0.5
AROUND_MM = 10.0
"""So far around a finding its window is chosen by."""
LUNG_BELOW_HU, BONE_ABOVE_HU = -400.0, 250.0
CAME_WITH = "ScreenerSlicer.cameWith"
"""Attribute of a scan's display: the window that nobody has set by hand, such as its header's."""


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


def suited(hu: np.ndarray) -> Window:
    """Choose the window that shows a tissue.

    Arguments:
        hu: Voxels around a finding, without those outside of the body.

    Example:
        >>> suited(np.array([-850, -800, 20])), suited(np.array([40])), suited(np.array([900]))
        ('lung', 'soft', 'bone')
    """
    middle = float(np.median(hu))
    if middle < LUNG_BELOW_HU:
        return "lung"
    return "bone" if middle > BONE_ABOVE_HU else "soft"


def suit_window(
    scan_node: slicer.vtkMRMLScalarVolumeNode, rarity: np.ndarray, index: tuple[int, int, int]
) -> None:
    """Show a scan in the usual window that suits what is around a voxel.

    A window that is none of the usual ones was set by hand, and stays; one that the scan came with
    was not.

    Arguments:
        scan_node: The scan.
        rarity: Its map, NaN outside of the body, `(D, H, W)`.
        index: The voxel, `(d, h, w)`.
    """
    if window_of(scan_node) is None and not _is_as_it_came(scan_node):
        return
    spacing = scan_node.GetSpacing()[::-1]
    reach = [math.ceil(AROUND_MM / step) for step in spacing]
    around = tuple(
        slice(max(0, i - far), i + far + 1) for i, far in zip(index, reach, strict=True)
    )
    hu, scored = slicer.util.arrayFromVolume(scan_node)[around], np.isfinite(rarity[around])
    set_window(scan_node, suited(hu[scored] if scored.any() else hu))


def is_automatic(scan_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Tell whether nobody, neither a user nor the scan's own header, has chosen its window."""
    return bool(_display(scan_node).GetAutoWindowLevel())


def note_window(scan_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Note the window that a scan comes with, once: it was set by its header, or by Slicer."""
    display = _display(scan_node)
    if display.GetAttribute(CAME_WITH) is None:
        display.SetAttribute(CAME_WITH, f"{display.GetWindow()} {display.GetLevel()}")


def _is_as_it_came(scan_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    display = _display(scan_node)
    width, _, level = (display.GetAttribute(CAME_WITH) or "").partition(" ")
    if not width:
        return False
    return _same((float(width), float(level)), (display.GetWindow(), display.GetLevel()))


def _same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) < SAME_HU for a, b in zip(one, other, strict=True))


def _display(
    scan_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLScalarVolumeDisplayNode:
    if scan_node.GetScalarVolumeDisplayNode() is None:
        scan_node.CreateDefaultDisplayNodes()
    return scan_node.GetScalarVolumeDisplayNode()
