"""A region that is chosen in the panel: fitted to the scan, refused without size, scored alone."""

import numpy as np
import pytest
import slicer
import vtk

from Testing.module.opened import Opened, torso


def test_a_region_alone_is_screened(opened: Opened) -> None:
    scan = opened.add(torso())
    region = opened.ui.regionSelector.addNode()
    bounds = [0.0] * 6
    region.GetRASBounds(bounds)
    whole = [0.0] * 6
    scan.GetRASBounds(whole)
    assert bounds == pytest.approx(whole, abs=1e-3)
    region.SetSize(40.0, 40.0, 40.0)
    opened.host.app.processEvents()
    result = opened.screen()
    low, high = (np.array(result.provenance["parameters"]["region"][at::2]) for at in (0, 1))
    assert high - low == pytest.approx([40.0] * 3)
    scored = np.argwhere(np.isfinite(result.rarity.hu))
    assert np.ptp(scored, axis=0).max() <= 40
    assert "a region alone" in opened.ui.mapLabel.text


def test_a_turned_region_says_that_its_straight_box_is_scored(opened: Opened) -> None:
    opened.add(torso())
    region = opened.ui.regionSelector.addNode()
    region.SetSize(40.0, 40.0, 20.0)
    opened.host.app.processEvents()
    assert "a box of 4.0 x 4.0 x 2.0 cm" in opened.ui.cardLabel.text
    assert "turned" not in opened.ui.cardLabel.text
    turn = vtk.vtkTransform()
    turn.RotateZ(45)
    matrix = region.GetObjectToNodeMatrix()
    vtk.vtkMatrix4x4.Multiply4x4(matrix, turn.GetMatrix(), matrix)
    region.GetObjectToNodeMatrix().DeepCopy(matrix)
    opened.host.app.processEvents()
    assert "a box of 5.7 x 5.7 x 2.0 cm" in opened.ui.cardLabel.text
    assert "the straight box around it is scored, 100 % larger" in opened.ui.cardLabel.text


def test_a_region_that_was_made_elsewhere_is_fitted_and_one_without_size_is_refused(
    opened: Opened,
) -> None:
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    opened.ui.regionSelector.setCurrentNode(region)
    scan = opened.add(torso())
    whole, fitted = [0.0] * 6, [0.0] * 6
    scan.GetRASBounds(whole)
    region.GetRASBounds(fitted)
    assert fitted == pytest.approx(whole, abs=1e-3)
    region.SetSize(0.0, 40.0, 40.0)
    opened.host.app.processEvents()
    assert "The region has no size" in opened.ui.refusalLabel.text
    assert not opened.ui.screenButton.enabled
