"""Slice views and a 3D view, drawn off-screen by Slicer's own displayable managers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from Testing.host import graphics

ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
SLICE_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
"""What draws into a slice view, beside the slice."""
CLOSER = 1.2
"""A box fills so much more of a view than the ball around it, which VTK goes by."""
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLVolumeRenderingDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
"""What draws into the 3D view."""


@final
class Canvas:
    """A window that nobody sees, and what draws into it.

    Arguments:
        size: Width and height in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        graphics.prepare()
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        # Displayable managers ask the window for an interactor.
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._interactor.Initialize()
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = self.window.GetSize()
        return width, height

    def connect(
        self,
        factory: slicer.vtkMRMLDisplayableManagerFactory,
        names: Sequence[str],
        node: slicer.vtkMRMLAbstractViewNode,
    ) -> None:
        """Let displayable managers draw what the scene shows in a view node."""
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self._managers.SetRenderer(self.renderer)
        self._managers.Initialize(factory, self.renderer)
        self._managers.SetMRMLDisplayableNode(node)
        node.SetMappedInLayout(1)

    def pixels(self) -> np.ndarray:
        """Draw, and return what is to be seen: uint8, `(height, width, 3)`, top row first."""
        self.window.Render()
        width, height = self.size
        values = vtk.vtkUnsignedCharArray()
        self.window.GetPixelData(0, 0, width - 1, height - 1, 0, values, 0)
        return vtk_to_numpy(values).reshape(height, width, 3)[::-1].copy()

    def close(self) -> None:
        """Let go of the scene and of the graphics."""
        self._managers.SetMRMLDisplayableNode(None)
        self._interactor.SetRenderWindow(None)
        self.window.RemoveRenderer(self.renderer)
        self.window.Finalize()


@final
class SliceView:
    """One slice view with the layers that its composite node names.

    Attributes:
        node: The `vtkMRMLSliceNode`.
        logic: The `vtkMRMLSliceLogic`.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        application: slicer.vtkSlicerApplicationLogic,
        name: str,
        size: tuple[int, int],
    ) -> None:
        self._canvas = Canvas(size)
        self._canvas.renderer.GetActiveCamera().ParallelProjectionOn()
        # The blended slice is shown by Qt's side in Slicer; here by a mapper of our own.
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._slice = vtk.vtkActor2D()
        self._slice.SetMapper(self._mapper)
        self._slice.GetProperty().SetDisplayLocationToBackground()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        application.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(ORIENTATIONS[name])
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        self._canvas.connect(factory, SLICE_MANAGERS, self.node)
        self.resize(size)

    @property
    def composite(self) -> slicer.vtkMRMLSliceCompositeNode:
        """The node that names the view's layers."""
        return self.logic.GetSliceCompositeNode()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._canvas.size

    def resize(self, size: tuple[int, int]) -> None:
        """Make the view this wide and high, in pixels."""
        self._canvas.window.SetSize(*size)
        self.logic.ResizeSliceNode(*size)

    def fit(self) -> None:
        """Show the whole of the background volume, as the view's button does."""
        self.logic.ResizeSliceNode(*self.size)
        self.logic.FitSliceToBackground()
        self.logic.SnapSliceOffsetToIJK()

    def pixel_of(self, ras: Sequence[float]) -> tuple[int, int]:
        """Row and column at which a place in RAS mm appears when its slice is shown."""
        to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), to_xy)
        column, row, *_ = to_xy.MultiplyPoint((*ras, 1.0))
        return round(self.size[1] - 1 - row), round(column)

    def pixels(self) -> np.ndarray:
        """Draw, and return what is to be seen: uint8, `(height, width, 3)`, top row first."""
        image = self.logic.GetImageDataConnection()
        self._canvas.renderer.RemoveViewProp(self._slice)
        if image is not None:
            self._mapper.SetInputConnection(image)
            self._canvas.renderer.AddViewProp(self._slice)
        return self._canvas.pixels()

    def close(self) -> None:
        """Let go of the scene and of the graphics."""
        self._canvas.close()
        self.logic.SetMRMLScene(None)


@final
class ThreeDView:
    """The 3D view.

    Attributes:
        node: The `vtkMRMLViewNode`.
        logic: The `vtkMRMLViewLogic`.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        application: slicer.vtkSlicerApplicationLogic,
        size: tuple[int, int],
    ) -> None:
        self._canvas = Canvas(size)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(application)
        application.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddViewNode("1")
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        self._canvas.connect(factory, THREE_D_MANAGERS, self.node)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._canvas.size

    def resize(self, size: tuple[int, int]) -> None:
        """Make the view this wide and high, in pixels."""
        self._canvas.window.SetSize(*size)

    def fit(self) -> None:
        """Move the camera until all that is shown is in sight."""
        self._canvas.renderer.ResetCamera()

    def look_from(
        self,
        direction: Sequence[float],
        at: Sequence[float],
        bounds: Sequence[float] | None = None,
    ) -> None:
        """Turn the camera towards a place, head up, and go near.

        Arguments:
            direction: From where, in RAS.
            at: The place, RAS mm.
            bounds: What is to be in sight, lowest and highest R, A, S in mm; all when None.
        """
        camera = self._canvas.renderer.GetActiveCamera()
        camera.SetFocalPoint(*at)
        camera.SetPosition(*(place + step for place, step in zip(at, direction, strict=True)))
        camera.SetViewUp(0, 0, 1)
        if bounds is None:
            self.fit()
        else:
            self._canvas.renderer.ResetCamera(*bounds)
            camera.Zoom(CLOSER)
            self._canvas.renderer.ResetCameraClippingRange()

    def pixels(self) -> np.ndarray:
        """Draw, and return what is to be seen: uint8, `(height, width, 3)`, top row first."""
        return self._canvas.pixels()

    def close(self) -> None:
        """Let go of the scene and of the graphics."""
        self._canvas.close()
        self.logic.SetMRMLScene(None)


@dataclass(frozen=True)
class Views:
    """The views of Slicer's usual layout: three slices and one in 3D."""

    red: SliceView
    yellow: SliceView
    green: SliceView
    three_d: ThreeDView

    @classmethod
    def of(
        cls,
        scene: slicer.vtkMRMLScene,
        application: slicer.vtkSlicerApplicationLogic,
        size: tuple[int, int],
    ) -> Self:
        """Make the views of a scene, each with this width and height in pixels."""
        application.SetSliceLogics(vtk.vtkCollection())
        application.SetViewLogics(vtk.vtkCollection())
        slices = (SliceView(scene, application, name, size) for name in ORIENTATIONS)
        return cls(*slices, ThreeDView(scene, application, size))

    @property
    def slices(self) -> dict[str, SliceView]:
        """The slice views by their names in Slicer."""
        return {"Red": self.red, "Yellow": self.yellow, "Green": self.green}

    def in_layout(self) -> tuple[tuple[SliceView | ThreeDView, ...], ...]:
        """The views that the scene's layout shows, row by row."""
        layout = self.red.node.GetScene().GetFirstNodeByClass("vtkMRMLLayoutNode")
        kind = slicer.vtkMRMLLayoutNode
        if layout.GetViewArrangement() == kind.SlicerLayoutSideBySideView:
            return ((self.red, self.yellow),)
        return (self.red, self.three_d), (self.green, self.yellow)

    def fit(self) -> None:
        """Show all of the volumes in every view."""
        for view in (self.red, self.yellow, self.green, self.three_d):
            view.fit()

    def close(self) -> None:
        """Let go of the scene and of the graphics."""
        for view in (self.red, self.yellow, self.green, self.three_d):
            view.close()
