"""What the views show: the scan whole, in its window, with its colours, legend, outline and 3D."""

from pathlib import Path

import numpy as np
import slicer

from Testing.module.opened import Opened, torso


def test_a_scan_is_shown_whole_when_it_is_chosen(seen: Opened) -> None:
    first = seen.add(torso())
    assert seen.backgrounds() == {first.GetID()}
    red = seen.host.scene.views.red
    assert (red.pixels().max(axis=-1) > 0).mean() > 0.3
    wide = red.node.GetFieldOfView()[0]
    assert 80 <= wide < 200
    second = seen.add(torso()[:, :36, :40], "Other")
    assert seen.backgrounds() == {second.GetID()}
    assert red.node.GetFieldOfView()[0] < wide
    # What a reader has done to the views of a scan that is shown stays.
    red.node.SetFieldOfView(10, 10, 1)
    seen.ui.opacitySlider.value = 0.4
    assert red.node.GetFieldOfView()[0] == 10


def test_windows_are_one_click_away_and_one_that_was_set_stays(seen: Opened) -> None:
    scan = seen.add(torso())
    display = scan.GetScalarVolumeDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (400, 40)
    assert seen.ui.softTissueButton.checked
    seen.host.click(seen.ui.lungButton)
    assert (display.GetWindow(), display.GetLevel()) == (1500, -600)
    assert [seen.ui.lungButton.checked, seen.ui.softTissueButton.checked] == [True, False]
    display.SetWindowLevel(1000, 0)
    assert not seen.ui.lungButton.checked
    seen.add(torso(), "Other")
    seen.ui.inputSelector.setCurrentNode(scan)
    assert (display.GetWindow(), display.GetLevel()) == (1000, 0)


def test_what_is_no_ct_keeps_its_window(seen: Opened) -> None:
    picture = np.tile(np.arange(256, dtype=np.uint8), (32, 64, 1))
    display = seen.add(picture, "MR").GetScalarVolumeDisplayNode()
    assert display.GetAutoWindowLevel()


def test_the_bare_scan_is_seen_until_the_colours_are_wanted_again(seen: Opened) -> None:
    seen.add(torso())
    result = seen.screen()
    view = seen.host.scene.views.red

    def coloured() -> int:
        pixels = view.pixels().astype(int)
        # The legend stands on the right, and the mark is of a colour that no rarity has.
        warm = pixels[..., 0] > pixels[..., 2] + 60
        return int(warm[:, :128].sum())

    result.navigation.go_to(1)
    assert coloured() > 0
    seen.host.click(seen.ui.hideButton)
    assert coloured() == 0
    assert seen.ui.hideButton.checked
    seen.host.click(seen.ui.hideButton)
    assert coloured() > 0
    seen.host.click(seen.ui.hideButton)
    seen.screen()
    # Another map begins with its colours, and the button says so.
    assert not seen.ui.hideButton.checked
    assert seen.result.heat_map.visible


def test_legend_outline_and_3d_come_and_go(seen: Opened) -> None:
    seen.add(torso())
    result = seen.screen()
    ui = seen.ui
    seen.host.click(ui.legendBox)
    assert not result.heat_map.legend_shown
    seen.host.click(ui.outlineBox)
    assert result.outline.node is not None
    seen.host.click(ui.outlineBox)
    assert result.outline.node is None
    seen.host.click(ui.renderBox)
    assert result.heat_map.rendered
    seen.host.click(ui.renderBox)
    assert not result.heat_map.rendered


def test_side_by_side_outlives_another_run_and_a_saved_scene(seen: Opened, tmp_path: Path) -> None:
    seen.add(torso())
    seen.screen().navigation.go_to(1)
    red, yellow = seen.host.scene.views.red, seen.host.scene.views.yellow
    wide = seen.host.picture().width
    seen.host.click(seen.ui.sideBySideBox)
    assert red.composite.GetForegroundVolumeID() is None
    assert yellow.node.GetOrientation() == "Axial"
    assert seen.host.picture().width == wide

    again = seen.screen()
    assert red.composite.GetForegroundVolumeID() is None
    assert yellow.composite.GetForegroundVolumeID() == again.map_node.GetID()
    seen.host.scene.save(tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    seen.host.scene.load(tmp_path / "scene.mrb")
    seen.host.wait(lambda: seen.table() != [])
    assert seen.ui.sideBySideBox.checked
    assert red.composite.GetForegroundVolumeID() is None

    seen.host.click(seen.ui.sideBySideBox)
    assert yellow.node.GetOrientation() == "Sagittal"
    assert red.composite.GetForegroundVolumeID() == seen.result.map_node.GetID()


def test_an_outline_of_nothing_says_so(seen: Opened) -> None:
    seen.add(torso())
    result = seen.screen()
    seen.host.click(seen.ui.outlineBox)
    assert not seen.ui.outlineLabel.visible
    seen.ui.outlineSpin.value = 5.5
    assert "Nothing in this scan is as rare as 5.5" in seen.ui.outlineLabel.text
    assert seen.ui.outlineLabel.visible
    seen.ui.outlineSpin.value = 4.5
    assert not seen.ui.outlineLabel.visible
    assert result.outline.node is not None
