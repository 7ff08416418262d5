"""A scan that is moved after its screening leaves its map behind, and the panel says so."""

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from Testing.module.opened import Opened, torso

SAID = "The scan was moved since"


def transform() -> slicer.vtkMRMLLinearTransformNode:
    """A move by 50 mm to the right."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 50.0)
    node.SetMatrixTransformToParent(matrix)
    return node


@pytest.mark.parametrize("hardened", [False, True])
def test_a_move_after_the_screening_is_told_with_every_finding(
    opened: Opened, hardened: bool
) -> None:
    scan = opened.add(torso())
    opened.screen()
    assert SAID not in opened.ui.findingLabel.text
    scan.SetAndObserveTransformNodeID(transform().GetID())
    if hardened:
        slicer.vtkSlicerTransformLogic().hardenTransform(scan)
        assert scan.GetTransformNodeID() is None
    opened.click_row(1)
    assert SAID in opened.ui.findingLabel.text


def test_what_moves_together_stays_together(opened: Opened) -> None:
    scan, moving = opened.add(torso()), transform()
    scan.SetAndObserveTransformNodeID(moving.GetID())
    result = opened.screen()
    moving.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    opened.click_row(1)
    assert SAID not in opened.ui.findingLabel.text
    assert np.isfinite(result.rarity.hu).any()
