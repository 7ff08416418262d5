"""The colour table of rarities, as a node that is saved with the scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer

from ctscreener.colours import HIGHEST, LOWEST, colour_table
from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class
from ScreenerSlicerLib.scene.slicer_logics import Logics

FILE = Path(__file__).parents[2] / "Resources" / "Colors" / "ScreenerRarity.ctbl"
MARK = "Screener.RarityColours"
"""The attribute by which the node is known again."""


def rarity_colours(scene: slicer.vtkMRMLScene, logics: Logics) -> slicer.vtkMRMLColorTableNode:
    """Return the scene's table of rarity colours, read from its file where it has none yet."""
    for node in nodes_of_class(scene, "vtkMRMLColorTableNode"):
        if node.GetAttribute(MARK):
            return node
    node = logics.colors.LoadColorFile(str(FILE), "Rarity (Screener)")
    node.SetAttribute(MARK, "1")
    return node


def table_text() -> str:
    """Write the table file: 256 colours from rarity 0 to 6.

    The engine leaves low rarities without colour. Here they have the palest one, and the
    threshold alone decides what is seen: once a user moves the range of colours, an invisible
    part of the table would hide voxels above the threshold.
    """
    table = colour_table()
    rarity = np.linspace(0, HIGHEST, len(table))
    palest = table[np.argmax(rarity > LOWEST)]
    lines = ["# Color table file ScreenerRarity", f"# {len(table)} values"]
    for index, (value, shown) in enumerate(zip(rarity, table, strict=True)):
        red, green, blue, _ = shown if value > LOWEST else palest
        lines.append(f"{index} rarity_{value:.2f} {red} {green} {blue} 255")
    return "\n".join([*lines, ""])
