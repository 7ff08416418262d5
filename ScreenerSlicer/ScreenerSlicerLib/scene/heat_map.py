"""The heat map: a rarity map laid over the scan in all slice views, with its legend."""

from __future__ import annotations

from typing import Self, final

import numpy as np
import slicer

from ctscreener.colours import HIGHEST
from ctscreener.findings import NOTICE
from ScreenerSlicerLib.scene.legend import LAYERS, Legend
from ScreenerSlicerLib.scene.rarity_colours import rarity_colours
from ScreenerSlicerLib.scene.rendering import Rendering
from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.study import put_into_study
from ScreenerSlicerLib.scene.volume import map_node

MARK = "Screener.RarityMap"
"""The attribute by which a map is known, also in a scene that was saved and opened again."""
OPACITY = "Screener.Opacity"
HIDDEN = "Screener.Hidden"
DEFAULT_OPACITY = 0.7
DEFAULT_THRESHOLD = 3.0
BEYOND_ALL = 1e9
"""The upper threshold: with one that a voxel can exceed, the rarest voxels would vanish."""
NARROWEST = 0.1
BARE = "Screener.Bare"
"""The attribute of the layers of a view that is to show the scan alone."""


def colour_by_rarity(
    display: slicer.vtkMRMLScalarVolumeDisplayNode, colours: slicer.vtkMRMLColorNode
) -> None:
    """Let a display colour its volume as every map is coloured, at the default threshold."""
    display.AutoWindowLevelOff()
    display.AutoThresholdOff()
    display.InterpolateOff()
    display.ApplyThresholdOn()
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetWindowLevelMinMax(0.0, HIGHEST)
    display.SetThreshold(DEFAULT_THRESHOLD, BEYOND_ALL)


@final
class HeatMap:
    """A map in the scene and how it is shown; all of that is saved with the scene.

    A voxel is coloured where its rarity is at or above the threshold, by its own value and not
    by one interpolated from its neighbours: what is coloured is what the findings are made of.
    Voxels that were not scored are NaN and stay clear.

    Arguments:
        scene: The scene of the map.
        logics: Slicer's logics on that scene.
        node: A map that `create` has made, at any time before.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        logics: Logics,
        node: slicer.vtkMRMLScalarVolumeNode,
    ) -> None:
        self._scene = scene
        self._logics = logics
        self._rendering = Rendering(scene, logics, node)
        self._legend = Legend(scene, logics, node)
        self.node = node

    @classmethod
    def create(
        cls,
        scene: slicer.vtkMRMLScene,
        logics: Logics,
        rarity: np.ndarray,
        like_node: slicer.vtkMRMLScalarVolumeNode,
        name: str,
    ) -> Self:
        """Add a map to the scene, with fixed colours, at the default threshold, not yet shown.

        Arguments:
            scene: Where to.
            logics: Slicer's logics on that scene.
            rarity: Rarity on the scan's grid, NaN where not scored, `(D, H, W)`; see `map_node`.
            like_node: The scan.
            name: What the map is called.
        """
        node = map_node(scene, rarity, like_node, name)
        node.SetAttribute(MARK, "1")
        node.SetDescription(NOTICE)
        put_into_study(scene, node, like_node)
        display = slicer.vtkMRMLScalarVolumeDisplayNode()
        scene.AddNode(display)
        colour_by_rarity(display, rarity_colours(scene, logics))
        node.SetAndObserveDisplayNodeID(display.GetID())
        heat_map = cls(scene, logics, node)
        heat_map.set_range(0.0, HIGHEST)
        heat_map.set_threshold(DEFAULT_THRESHOLD)
        return heat_map

    @classmethod
    def all_in(cls, scene: slicer.vtkMRMLScene, logics: Logics) -> list[Self]:
        """Find the maps of a scene, in the order in which they came."""
        found = nodes_of_class(scene, "vtkMRMLScalarVolumeNode")
        return [cls(scene, logics, node) for node in found if node.GetAttribute(MARK)]

    @property
    def threshold(self) -> float:
        """The rarity from which a voxel is coloured."""
        return self._display.GetLowerThreshold()

    def set_threshold(self, rarity: float) -> None:
        """Colour voxels from this rarity on, and no others."""
        display = self._display
        if (display.GetLowerThreshold(), display.GetUpperThreshold()) == (rarity, BEYOND_ALL):
            return
        display.SetThreshold(rarity, BEYOND_ALL)
        self._rendering.follow(rarity)
        self._legend.follow()

    @property
    def colour_range(self) -> tuple[float, float]:
        """The rarities of the first and of the last colour."""
        return self._display.GetWindowLevelMin(), self._display.GetWindowLevelMax()

    def set_range(self, low: float, high: float) -> None:
        """Spread the colours over other rarities than 0 to 6, where a colour means the same.

        Arguments:
            low: The rarity of the first colour; rarer than that are the others.
            high: The rarity of the last; a range narrower than 0.1 is made as wide as that.
        """
        wanted = low, max(high, low + NARROWEST)
        if wanted == self.colour_range:
            return
        self._display.SetWindowLevelMinMax(*wanted)
        self._legend.follow()

    @property
    def opacity(self) -> float:
        """How much of the scan the colours cover, 0 to 1, when they are not hidden."""
        return float(self.node.GetAttribute(OPACITY) or DEFAULT_OPACITY)

    def set_opacity(self, opacity: float) -> None:
        """Let the colours cover more or less of the scan, 0 to 1."""
        self.node.SetAttribute(OPACITY, repr(float(opacity)))
        self._put_opacity()

    @property
    def visible(self) -> bool:
        """Whether the colours are shown."""
        return not self.node.GetAttribute(HIDDEN)

    def set_visible(self, visible: bool) -> None:
        """Hide the colours for a look at the bare scan, or show them again as they were."""
        # None removes an attribute.
        self.node.SetAttribute(HIDDEN, None if visible else "1")
        self._put_opacity()

    def flicker(self) -> None:
        """Hide the colours where they are shown, and the other way round."""
        self.set_visible(not self.visible)

    def show(self, background_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Lay the map over the scan in every slice view that is not to show the scan alone.

        Arguments:
            background_node: The scan; None leaves in each view what it shows.
        """
        for layers in nodes_of_class(self._scene, LAYERS):
            if background_node is not None:
                layers.SetBackgroundVolumeID(background_node.GetID())
            if not layers.GetAttribute(BARE):
                layers.SetForegroundVolumeID(self.node.GetID())
        self._put_opacity()

    def leave(self) -> None:
        """Take the map off every slice view; the scan stays."""
        for layers in nodes_of_class(self._scene, LAYERS):
            if layers.GetForegroundVolumeID() == self.node.GetID():
                layers.SetForegroundVolumeID(None)

    def legend(self, shown: bool) -> None:
        """Show or hide what the colours mean."""
        if shown:
            self._legend.show()
        else:
            self._legend.hide()

    @property
    def legend_node(self) -> slicer.vtkMRMLColorLegendDisplayNode | None:
        """The legend, for those who want it elsewhere or larger; None before it was shown."""
        return self._legend.node

    @property
    def legend_shown(self) -> bool:
        """Whether the legend is shown."""
        return self._legend.shown

    def render(self, shown: bool) -> None:
        """Show or hide the map in the 3D views; what is seen there follows the threshold.

        It takes much of a weak graphics card, so it is off until asked for.

        Raises:
            RuntimeError: The host has no volume rendering.
        """
        if shown:
            self._rendering.show(self.threshold)
        else:
            self._rendering.hide()

    @property
    def rendered(self) -> bool:
        """Whether the map is shown in the 3D views."""
        return self._rendering.shown

    @property
    def _display(self) -> slicer.vtkMRMLScalarVolumeDisplayNode:
        return self.node.GetScalarVolumeDisplayNode()

    def _put_opacity(self) -> None:
        """Set the opacity of the views that show this map; others are none of its business."""
        for layers in nodes_of_class(self._scene, LAYERS):
            if layers.GetForegroundVolumeID() == self.node.GetID():
                layers.SetForegroundOpacity(self.opacity if self.visible else 0.0)
