"""A finding that is gone to is seen in the window that suits it, unless the reader has another."""

import numpy as np
import pytest
import slicer.util

from ScreenerSlicerLib.scene.windows import WINDOWS, Window, window_of
from Testing.module.opened import Opened, torso


@pytest.fixture
def read(opened: Opened) -> Opened:
    """A result of two findings, of which the second lies in a lung."""
    scan = opened.add(torso())
    result = opened.screen()
    assert len(result.findings) == 2
    d, h, w = result.findings[1].peak_index
    hu = slicer.util.arrayFromVolume(scan)
    hu[d - 9 : d + 10, h - 9 : h + 10, w - 9 : w + 10] = -850
    opened.click_row(0)
    return opened


def shown(read: Opened) -> Window | None:
    return window_of(read.result.scan_node)


def test_each_finding_is_seen_in_its_window(read: Opened) -> None:
    assert shown(read) == "soft"
    read.click_row(1)
    assert shown(read) == "lung"
    assert read.ui.lungButton.checked
    read.host.click(read.ui.previousButton)
    assert shown(read) == "soft"
    node = read.result.scan_node
    assert node is not None
    slicer.util.arrayFromVolume(node)[:] = 700
    read.click_row(0)
    assert shown(read) == "bone"


def test_a_window_that_was_set_by_hand_stays(read: Opened) -> None:
    node = read.result.scan_node
    assert node is not None
    display = node.GetScalarVolumeDisplayNode()
    display.SetWindowLevel(900, -100)
    read.click_row(1)
    assert (display.GetWindow(), display.GetLevel()) == (900, -100)
    read.host.click(read.ui.boneButton)
    read.click_row(1)
    assert shown(read) == "lung"


def test_the_window_of_a_header_is_nobodys_choice(opened: Opened) -> None:
    """Most CTs from DICOM come with one that is none of the three."""
    scan = slicer.util.addVolumeFromArray(torso(), name="CT")
    display = scan.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(350, 40)
    opened.ui.inputSelector.setCurrentNode(scan)
    assert window_of(scan) is None
    opened.screen()
    assert window_of(scan) == "soft"
    display.SetWindowLevel(320, 50)
    opened.click_row(1)
    assert (display.GetWindow(), display.GetLevel()) == (320, 50)


def test_ticking_the_box_fits_the_finding_that_is_seen(read: Opened) -> None:
    read.host.click(read.ui.suitWindowBox)
    read.click_row(1)
    assert shown(read) == "soft"
    read.host.click(read.ui.suitWindowBox)
    assert shown(read) == "lung"


def test_it_can_be_turned_off_and_the_scene_knows(read: Opened) -> None:
    assert read.parameters.suitWindow
    read.host.click(read.ui.suitWindowBox)
    assert not read.parameters.suitWindow
    read.click_row(1)
    assert shown(read) == "soft"


def test_room_around_the_body_is_no_lung(read: Opened) -> None:
    """A finding of 2 voxels' depth at the skin: most of what is around it is air, not scored."""
    node, rarity = read.result.scan_node, read.result.rarity.hu
    assert node is not None
    hu = slicer.util.arrayFromVolume(node)
    d, h, w = read.result.findings[0].peak_index
    hu[:] = -1000
    hu[d, h, w] = 40
    rarity[:] = np.nan
    rarity[d, h, w] = 4.0
    read.host.click(read.ui.lungButton)
    read.click_row(0)
    display = node.GetScalarVolumeDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == WINDOWS["soft"]
