"""The legend: what the colours mean, small, in one view, from the threshold on."""

from __future__ import annotations

from typing import final

import numpy as np
import slicer

from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.translation import tr as _

LEGEND = "ScreenerLegend"
"""The role of the display node, beside that of the map itself, whose colours are shown."""
LAYERS = "vtkMRMLSliceCompositeNode"
BANDS = 13
"""Slicer draws letters as high as a band: with more of them no number can be read."""
SIZE, POSITION = (0.27, 0.34), (0.99, 0.03)
"""Share of the view, and where in what is left of it, from below on the left."""
LETTERS = 12
NARROWEST = 0.1
CLEAR = 0.25
"""So far above the threshold, in rarity, a number has room of its own."""
NO_LABEL = " "


@final
class Legend:
    """The colours of a map from its threshold to the last one, the threshold named.

    Slicer draws all colours of a display node's table. So the legend has a display node and a
    table of its own, which hold the visible ones alone.

    Arguments:
        scene: The scene of the map.
        logics: Slicer's logics on that scene.
        map_node: The map.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        logics: Logics,
        map_node: slicer.vtkMRMLScalarVolumeNode,
    ) -> None:
        self._scene = scene
        self._logics = logics
        self._map_node = map_node

    @property
    def node(self) -> slicer.vtkMRMLColorLegendDisplayNode | None:
        """The legend; None before it was shown."""
        own = self._own
        if own is None:
            return None
        return self._logics.colors.GetColorLegendDisplayNode(own)

    @property
    def shown(self) -> bool:
        """Whether it is shown."""
        return self.node is not None and bool(self.node.GetVisibility())

    def show(self) -> slicer.vtkMRMLColorLegendDisplayNode:
        """Show it, in the first slice view that shows the map."""
        node = self.node or self._make()
        node.SetVisibility(True)
        node.SetViewNodeIDs(self._view_ids())
        self.follow()
        return node

    def hide(self) -> None:
        """Show it no longer."""
        if self.node is not None:
            self.node.SetVisibility(False)

    def follow(self) -> None:
        """Take the threshold and the colours that the map has now."""
        own, node, shown = self._own, self.node, self._map_node.GetScalarVolumeDisplayNode()
        if own is None or node is None:
            return
        first, last = shown.GetWindowLevelMin(), shown.GetWindowLevelMax()
        lowest = shown.GetLowerThreshold()
        highest = max(last, lowest + NARROWEST)
        table = own.GetColorNode()
        modifying = table.StartModify()
        for band, rarity in enumerate(np.linspace(lowest, highest, BANDS).tolist()):
            colour = [0.0] * 4
            entries = shown.GetColorNode().GetNumberOfColors()
            share = (rarity - first) / (last - first)
            entry = min(max(int(share * entries), 0), entries - 1)
            shown.GetColorNode().GetColor(entry, colour)
            table.SetColor(band, NO_LABEL, *colour[:3], 1.0)
        for band, label in _labels(lowest, highest).items():
            table.SetColorName(band, label)
        table.EndModify(modifying)
        own.SetWindowLevelMinMax(lowest, highest)
        # The views look at a legend when it changes, not when the layers do.
        node.Modified()

    def remove(self) -> None:
        """Take it out of the scene, and what it was drawn from."""
        own, node = self._own, self.node
        if own is not None:
            for one in (node, own.GetColorNode(), own):
                self._scene.RemoveNode(one)

    @property
    def _own(self) -> slicer.vtkMRMLScalarVolumeDisplayNode | None:
        return self._map_node.GetNodeReference(LEGEND)

    def _make(self) -> slicer.vtkMRMLColorLegendDisplayNode:
        table = slicer.vtkMRMLColorTableNode()
        table.SetTypeToUser()
        table.SetNumberOfColors(BANDS)
        table.SetHideFromEditors(True)
        table.SetName(_("Legend of {map}").format(map=self._map_node.GetName()))
        self._scene.AddNode(table)
        own = slicer.vtkMRMLScalarVolumeDisplayNode()
        own.AutoWindowLevelOff()
        own.SetHideFromEditors(True)
        self._scene.AddNode(own)
        own.SetAndObserveColorNodeID(table.GetID())
        self._map_node.AddAndObserveDisplayNodeID(own.GetID())
        self._map_node.SetNodeReferenceID(LEGEND, own.GetID())
        node = self._logics.colors.AddDefaultColorLegendDisplayNode(own)
        node.SetTitleText(_("Rarity\nresearch use only"))
        node.SetUseColorNamesForLabels(True)
        node.SetLabelFormat("%s")
        node.SetMaxNumberOfColors(BANDS)
        node.SetNumberOfLabels(BANDS)
        node.SetSize(*SIZE)
        node.SetPosition(*POSITION)
        for words in (node.GetTitleTextProperty(), node.GetLabelTextProperty()):
            words.SetFontSize(LETTERS)
        return node

    def _view_ids(self) -> list[str]:
        """The slice view that has the legend; all of them where none shows the map."""
        views = {
            one.GetLayoutName(): one for one in nodes_of_class(self._scene, "vtkMRMLSliceNode")
        }
        for layers in nodes_of_class(self._scene, LAYERS):
            view = views.get(layers.GetLayoutName())
            shows = layers.GetForegroundVolumeID() == self._map_node.GetID()
            if view is not None and shows and view.IsMappedInLayout():
                return [view.GetID()]
        return []


def _labels(lowest: float, highest: float) -> dict[int, str]:
    """What stands beside which band: the threshold, and the whole numbers above it."""
    labels = {0: _("threshold {rarity:.1f}").format(rarity=lowest)}
    for rarity in range(int(np.ceil(lowest + CLEAR)), int(highest) + 1):
        band = round((rarity - lowest) / (highest - lowest) * (BANDS - 1))
        labels[band] = str(rarity)
    return labels
