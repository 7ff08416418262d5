"""Side and level are those of the patient, wherever the grid and the transform put the body."""

import numpy as np
import pytest

from ScreenerSlicerLib.scene import place_words
from ScreenerSlicerLib.scene.place import Place
from ScreenerSlicerLib.scene.place_words import Body
from ScreenerSlicerLib.scene.volume import map_node, world_point
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps


def cylinder(affine: np.ndarray) -> np.ndarray:
    """A body of 60 x 50 mm that leans to the left as it rises, on a grid of `SHAPE`."""
    index = np.moveaxis(np.indices(lumps.SHAPE), 0, -1)
    right, anterior, superior = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    inside = ((right + 0.5 * superior) / 30) ** 2 + (anterior / 25) ** 2 < 1
    return np.where(inside, 0.0, np.nan).astype(np.float32)


@pytest.mark.parametrize("samples", [10, 1000])
@pytest.mark.parametrize("name", ["lying", "left-handed", "tilted", "sagittal slices"])
def test_places_are_told_from_the_body_at_that_height(
    slicer_scene: SlicerScene, monkeypatch: pytest.MonkeyPatch, name: str, samples: int
) -> None:
    monkeypatch.setattr(place_words, "SAMPLES", samples)
    geometry = lumps.GEOMETRIES[name]
    scan_node = lumps.add_scan(slicer_scene.scene, geometry)
    body = Body.of(map_node(slicer_scene.scene, cylinder(geometry.affine), scan_node, "map"))
    assert body is not None
    assert body.place_of((15.0, 0.0, 0.0)) == Place("right", "middle")
    assert body.place_of((-15.0, 0.0, 0.0)) == Place("left", "middle")
    assert body.place_of((4.0, 20.0, 0.0)) == Place("midline", "middle")
    # The middle of the body is 10 mm further left 20 mm further up.
    assert body.place_of((8.0, 0.0, 20.0)) == Place("right", "upper")
    assert body.place_of((-8.0, 0.0, -20.0)) == Place("left", "lower")


def test_places_are_those_of_the_world(slicer_scene: SlicerScene) -> None:
    half_turn = np.diag([-1.0, 1.0, -1.0, 1.0])
    half_turn[:3, 3] = [80.0, 0.0, 60.0]
    geometry = lumps.Geometry(lumps.LYING, half_turn)
    scan_node = lumps.add_scan(slicer_scene.scene, geometry)
    node = map_node(slicer_scene.scene, cylinder(lumps.LYING), scan_node, "map")
    body = Body.of(node)
    assert body is not None
    assert body.place_of(world_point(node, (15.0, 0.0, 25.0))) == Place("left", "lower")


def test_beyond_the_body_there_are_words_too_and_without_one_there_is_none(
    slicer_scene: SlicerScene,
) -> None:
    body = Body(np.array([[-10.0, 0, 0], [10, 0, 0], [0, 0, 9]]))
    assert body.place_of((50.0, 0.0, 500.0)) == Place("right", "upper")
    assert body.place_of((-50.0, 0.0, -500.0)) == Place("left", "lower")
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    nothing = np.full(lumps.SHAPE, np.nan, np.float32)
    assert Body.of(map_node(slicer_scene.scene, nothing, scan_node, "map")) is None
