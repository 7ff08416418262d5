"""Fixtures for the tests of every folder; a `conftest.py` imports those that it wants.

Where slicer-core is missing, importing this skips the tests of that folder and says why.
"""

from collections.abc import Iterator

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from Testing.host.graphics import NoGraphics
from Testing.host.scene import SlicerScene


@pytest.fixture
def slicer_scene() -> Iterator[SlicerScene]:
    """A new scene with Slicer's logics and no views."""
    with SlicerScene() as host:
        yield host


@pytest.fixture
def scene_with_views(slicer_scene: SlicerScene) -> SlicerScene:
    """A new scene with Slicer's usual views; skipped where nothing draws off-screen."""
    try:
        slicer_scene.add_views()
    except NoGraphics as error:
        pytest.skip(str(error))
    return slicer_scene
