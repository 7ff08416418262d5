"""Scenes for the tests of what the module does with nodes."""

import pytest

# First: without Slicer's libraries, it skips these tests and says why.
from Testing.host.fixtures import scene_with_views, slicer_scene  # isort: split

import slicer

from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.screening import Screening
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps
from Testing.slicer.fake_job import Jobs

__all__ = ["logics", "scene_with_views", "slicer_scene"]


@pytest.fixture
def logics(slicer_scene: SlicerScene) -> Logics:
    """What the module asks of the application, on the same scene."""
    of_modules = slicer_scene.logics.of_modules()
    names = ("colors", "segmentations", "terminologies", "volumerendering", "sequences")
    return Logics(slicer_scene.logics.application, *(of_modules[name] for name in names))


@pytest.fixture
def jobs() -> Jobs:
    """The jobs that a screening makes, in the place of processes."""
    return Jobs()


@pytest.fixture
def screening(slicer_scene: SlicerScene, logics: Logics, jobs: Jobs) -> Screening:
    """A screening on the scene, with fake jobs."""
    return Screening(slicer_scene.scene, logics, ["python"], jobs)


@pytest.fixture
def scan_node(slicer_scene: SlicerScene) -> slicer.vtkMRMLScalarVolumeNode:
    """A CT of the lumps, under a transform."""
    return lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["transformed"])
