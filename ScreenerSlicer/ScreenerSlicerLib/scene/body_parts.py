"""The parts of a scan's body, kept with its map: findings are found by them again and again.

Kept as a text of the map's node, so that they are saved with the scene, and go with the map.
"""

import slicer

from ctscreener.parts import Parts
from ScreenerSlicerLib.scene.packed_parts import unpacked

PARTS = "Screener.Parts"
"""The attribute of a map."""


def keep_parts(map_node: slicer.vtkMRMLScalarVolumeNode, text: str) -> None:
    """Keep what `packed` returned with a map; nothing where it is empty."""
    if text:
        map_node.SetAttribute(PARTS, text)


def parts_of(map_node: slicer.vtkMRMLScalarVolumeNode) -> Parts | None:
    """Return the parts of a map's scan; None where they are not known, as of older results."""
    text = map_node.GetAttribute(PARTS)
    return unpacked(text) if text else None
