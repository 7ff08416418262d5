"""All views jump to the peak, in any geometry, and the walk keeps its place."""

import numpy as np
import pytest

from ctscreener.findings import FindingSettings
from ScreenerSlicerLib.scene.findings_table import FindingsTable
from ScreenerSlicerLib.scene.heat_map import HeatMap
from ScreenerSlicerLib.scene.navigation import Navigation
from ScreenerSlicerLib.scene.slicer_logics import Logics
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps
from Testing.slicer.pictures import seen_values


def walk(
    host: SlicerScene, logics: Logics, geometry: lumps.Geometry
) -> tuple[Navigation, FindingsTable, HeatMap]:
    """The findings of the lumps in a geometry, and a walk through them."""
    scan_node = lumps.add_scan(host.scene, geometry)
    heat_map = HeatMap.create(host.scene, logics, lumps.rarity(), scan_node, "map")
    heat_map.show(scan_node)
    table = FindingsTable.create(host.scene, "findings")
    fill(table, geometry, 3.0)
    return Navigation(host.scene, heat_map.node, table.rows), table, heat_map


def fill(table: FindingsTable, geometry: lumps.Geometry, threshold: float) -> None:
    settings = FindingSettings(threshold, 0.05)
    scan = lumps.Scan(lumps.hu(), geometry.affine)
    found = lumps.find(lumps.rarity(), scan, settings)
    rarity = lumps.Scan(lumps.rarity(), geometry.affine)
    table.fill(found, [None] * len(found), rarity, settings)


@pytest.mark.parametrize("name", lumps.GEOMETRIES)
def test_every_view_shows_the_peak_in_its_middle(
    scene_with_views: SlicerScene, logics: Logics, name: str
) -> None:
    navigation, table, heat_map = walk(scene_with_views, logics, lumps.GEOMETRIES[name])
    scene_with_views.views.fit()
    for rank, row in enumerate(table.rows(), start=1):
        assert navigation.go_to(rank) == row
        for view in scene_with_views.views.slices.values():
            width, height = view.size
            values = seen_values(view, heat_map.node)
            middle = values[height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1]
            assert np.isin(row.finding.peak_rarity, middle.astype(np.float32))


def test_the_crosshair_goes_along(slicer_scene: SlicerScene, logics: Logics) -> None:
    geometry = lumps.GEOMETRIES["transformed"]
    navigation, table, _ = walk(slicer_scene, logics, geometry)
    navigation.go_to(2)
    crosshair = slicer_scene.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    assert isinstance(geometry.parent, np.ndarray)
    place = geometry.parent @ (*table.rows()[1].finding.peak_ras, 1)
    assert crosshair.GetCrosshairRAS() == pytest.approx(place[:3])


def test_the_walk_goes_round(slicer_scene: SlicerScene, logics: Logics) -> None:
    navigation, _, _ = walk(slicer_scene, logics, lumps.GEOMETRIES["lying"])
    assert navigation.current is None

    def ranks(steps: int) -> list[int]:
        rows = [navigation.next() if steps > 0 else navigation.previous() for _ in range(4)]
        return [row.finding.rank for row in rows if row]

    assert ranks(1) == [1, 2, 3, 1]
    assert ranks(-1) == [3, 2, 1, 3]
    assert navigation.current == 3
    with pytest.raises(ValueError, match="from 1 to 3, got 4"):
        navigation.go_to(4)


def test_the_walk_keeps_to_the_finding_when_its_number_changes(
    slicer_scene: SlicerScene, logics: Logics
) -> None:
    geometry = lumps.GEOMETRIES["lying"]
    navigation, table, _ = walk(slicer_scene, logics, geometry)
    navigation.go_to(2)
    fill(table, geometry, 6.0)
    assert navigation.current is None
    fill(table, geometry, 3.0)
    assert navigation.current == 2
    fill(table, geometry, 9.0)
    assert navigation.next() is None
    assert navigation.previous() is None


def test_a_walk_that_starts_backwards_starts_at_the_end(
    slicer_scene: SlicerScene, logics: Logics
) -> None:
    navigation, _, _ = walk(slicer_scene, logics, lumps.GEOMETRIES["lying"])
    row = navigation.previous()
    assert row is not None
    assert row.finding.rank == 3
