"""What `slicer.app.layoutManager()` returns: Slicer's way to the views of the test host."""

from dataclasses import dataclass
from typing import final

import slicer

from Testing.host.scene import SlicerScene
from Testing.host.views import SliceView, ThreeDView


@dataclass(frozen=True)
class SliceController:
    """The bar above a slice view."""

    view: SliceView

    def fitSliceToBackground(self) -> None:
        """Show the whole of the background volume."""
        self.view.fit()


@dataclass(frozen=True)
class SliceWidget:
    """A slice view with its bar; it is its own `sliceView()`."""

    view: SliceView

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        """The logic of the slice."""
        return self.view.logic

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        """The node of the slice."""
        return self.view.node

    def mrmlSliceCompositeNode(self) -> slicer.vtkMRMLSliceCompositeNode:
        """The node that names the layers."""
        return self.view.composite

    def sliceController(self) -> SliceController:
        """The bar above the view."""
        return SliceController(self.view)

    def sliceView(self) -> "SliceWidget":
        """The view itself."""
        return self

    def forceRender(self) -> None:
        """Draw now."""
        self.view.pixels()

    def fitSliceToBackground(self) -> None:
        """Show the whole of the background volume."""
        self.view.fit()


@dataclass(frozen=True)
class ThreeDWidget:
    """A 3D view; it is its own `threeDView()`."""

    view: ThreeDView

    def threeDView(self) -> "ThreeDWidget":
        """The view itself."""
        return self

    def mrmlViewNode(self) -> slicer.vtkMRMLViewNode:
        """The node of the view."""
        return self.view.node

    def forceRender(self) -> None:
        """Draw now."""
        self.view.pixels()

    def resetFocalPoint(self) -> None:
        """Look at the middle of what is shown."""
        self.view.fit()

    def resetCamera(self) -> None:
        """Move until all is in sight."""
        self.view.fit()


@final
class LayoutManager:
    """The views by name and number; the layout is that of the scene's layout node.

    Arguments:
        host: A scene that has views.
    """

    tableViewCount = 0
    plotViewCount = 0
    threeDViewCount = 1

    def __init__(self, host: SlicerScene) -> None:
        self._host = host

    @property
    def layout(self) -> int:
        """The number of the layout."""
        return self._node.GetViewArrangement()

    @property
    def _node(self) -> slicer.vtkMRMLLayoutNode:
        return self._host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")

    def setLayout(self, layout: int) -> None:
        """Choose a layout."""
        self._node.SetViewArrangement(layout)

    def sliceViewNames(self) -> tuple[str, ...]:
        """Red, Yellow and Green."""
        return tuple(self._host.views.slices)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        """A slice view by its name, or none."""
        view = self._host.views.slices.get(name)
        return None if view is None else SliceWidget(view)

    def threeDWidget(self, index: int) -> ThreeDWidget | None:
        """The 3D view, which is number 0."""
        return ThreeDWidget(self._host.views.three_d) if index == 0 else None

    def mrmlSliceLogics(self) -> object:
        """The logics of all slices."""
        return self._host.logics.application.GetSliceLogics()

    def resetSliceViews(self) -> None:
        """Show the whole of the background volume in every slice view."""
        for view in self._host.views.slices.values():
            view.fit()

    def resetThreeDViews(self) -> None:
        """Show all of what is shown in 3D."""
        self._host.views.three_d.fit()
