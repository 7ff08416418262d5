"""The panel beside Slicer's own windows: its keys, its lists of nodes, its links and messages."""

import shutil
from pathlib import Path

import pytest
from PySide6 import QtWidgets

from Testing.module.opened import ROOT, Opened, torso

MENUS = {"Alt+F", "Alt+E", "Alt+V", "Alt+H"}
"""Slicer's File, Edit, View and Help."""
PREVIEW = ROOT / "ScreenerSlicer" / "Resources" / "Models" / "preview"


def test_keys_are_none_of_slicers_and_each_is_one_button_s(opened: Opened) -> None:
    buttons = opened.widget.parent.findChildren(QtWidgets.QAbstractButton)
    keys = [key for one in buttons if (key := one.shortcut.toString())]
    assert {"Alt+B", "Alt+N", "Alt+A"} <= set(keys)
    assert len(keys) == len(set(keys))
    assert set(keys) & MENUS == set()


@pytest.mark.parametrize("name", ["inputSelector", "mapSelector"])
def test_no_list_offers_to_delete_what_is_read(opened: Opened, name: str) -> None:
    assert not getattr(opened.ui, name).removeEnabled


def test_links_of_a_card_lead_outside(opened: Opened) -> None:
    # Else a click replaces the card by a page that is not there.
    assert opened.ui.modelCard.openExternalLinks


def test_a_message_says_nothing_that_a_moved_threshold_makes_untrue(opened: Opened) -> None:
    opened.add(torso())
    opened.screen()
    told = opened.ui.messageLabel.text
    assert "inding" not in told
    assert "rarity" not in told
    assert "From rarity 3.0 on: 2" in opened.ui.findingsLabel.text
    opened.ui.thresholdSlider.value = 3.9
    opened.host.wait(lambda: "From rarity 3.9 on: 1" in opened.ui.findingsLabel.text)


def test_a_model_that_was_changed_is_told_where_the_installation_is_checked(
    opened: Opened, tmp_path: Path
) -> None:
    own = tmp_path / "mine"
    shutil.copytree(PREVIEW, own)
    weights = own / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    opened.ui.modelFolderEdit.currentPath = str(own)
    opened.host.click(opened.ui.installationButton)
    opened.host.click(opened.ui.checkButton)
    assert "The model mine cannot be used" in opened.ui.installLabel.text
