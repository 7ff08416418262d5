"""The picture shows the map: where it says, from the threshold on, in the colours of the legend."""

import numpy as np
import pytest
import vtk
from scipy.ndimage import binary_erosion

from ctscreener.colours import rarity_to_rgba
from ctscreener.findings import NOTICE
from ScreenerSlicerLib.scene import rarity_colours
from ScreenerSlicerLib.scene.heat_map import HeatMap
from ScreenerSlicerLib.scene.legend import BANDS
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.volume import world_point
from Testing.host.scene import SlicerScene
from Testing.host.views import SliceView
from Testing.slicer import lumps
from Testing.slicer.pictures import coloured, seen_values, wrong

PEAK = (5, 10, 30)
ZOOM = 4


def shown(host: SlicerScene, logics: Logics, geometry: lumps.Geometry) -> HeatMap:
    """A scan with its map over it in all views, opaque, all views centred on the highest peak."""
    scan_node = lumps.add_scan(host.scene, geometry)
    heat_map = HeatMap.create(host.scene, logics, lumps.rarity(), scan_node, "map")
    heat_map.show(scan_node)
    heat_map.set_opacity(1.0)
    host.views.fit()
    ras = (geometry.affine @ (*PEAK, 1))[:3]
    for view in host.views.slices.values():
        view.node.JumpSliceByCentering(*world_point(scan_node, tuple(ras)))
    return heat_map


def zoomed(view: SliceView) -> None:
    """Let every voxel of a lying scan fill a square of pixels in an axial view."""
    width, height = view.size
    view.node.SetFieldOfView(width * 2 / ZOOM, height * 2 / ZOOM, 1)


@pytest.mark.parametrize("name", lumps.GEOMETRIES)
def test_colour_lies_where_the_map_says(
    scene_with_views: SlicerScene, logics: Logics, name: str
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES[name])
    for view in scene_with_views.views.slices.values():
        expected = seen_values(view, heat_map.node) >= lumps.LOW
        seen = coloured(view.pixels())
        assert expected.sum() > 50
        assert wrong(seen, expected).sum() == 0
        assert seen.sum() == pytest.approx(expected.sum(), rel=0.03)


@pytest.mark.parametrize("name", ["lying", "tilted", "bent"])
def test_a_rarity_has_the_colour_that_the_engine_gives_it(
    scene_with_views: SlicerScene, logics: Logics, name: str
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES[name])
    view = scene_with_views.views.red
    values, picture = seen_values(view, heat_map.node), view.pixels()
    for rarity in (4.5, 7.0):
        inside = binary_erosion(values == rarity)
        colour = rarity_to_rgba(np.array(rarity))[:3].astype(int)
        assert inside.any()
        assert np.abs(picture[inside].astype(int) - colour).max() <= 3


@pytest.mark.parametrize("threshold", [2.5, 3.0, 3.01, 4.5, 5.5, 6.9, 7.0, 7.1])
def test_pixels_are_the_voxels_from_the_threshold_on(
    scene_with_views: SlicerScene, logics: Logics, threshold: float
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES["lying"])
    view, values = scene_with_views.views.red, lumps.rarity()
    zoomed(view)
    heat_map.set_threshold(threshold)
    assert heat_map.threshold == threshold
    for d in (5, 10):
        view.node.SetSliceOffset((lumps.LYING @ (d, 0, 0, 1))[2])
        voxels = int((values[d] >= threshold).sum())
        assert coloured(view.pixels()).sum() == voxels * ZOOM**2


def test_what_was_not_scored_stays_clear_at_any_threshold(
    scene_with_views: SlicerScene, logics: Logics
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES["tilted"])
    view = scene_with_views.views.green
    heat_map.set_threshold(-1e6)
    with_map = view.pixels()
    values = seen_values(view, heat_map.node)
    view.composite.SetForegroundVolumeID(None)
    bare = view.pixels()
    changed = np.any(with_map != bare, axis=-1)
    assert wrong(changed, np.isfinite(values)).sum() == 0
    assert changed.any()
    assert not changed.all()


def test_opacity_blends_colour_and_scan(scene_with_views: SlicerScene, logics: Logics) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES["lying"])
    view = scene_with_views.views.red
    inside = seen_values(view, heat_map.node) == 4.5
    pictures = {}
    for opacity in (0.0, 0.4, 1.0):
        heat_map.set_opacity(opacity)
        assert heat_map.opacity == opacity
        pictures[opacity] = view.pixels()[inside].astype(float)
    blended = 0.6 * pictures[0.0] + 0.4 * pictures[1.0]
    assert np.abs(pictures[0.4] - blended).max() <= 2
    assert np.abs(pictures[1.0] - pictures[0.0]).max() > 60


def test_flicker_hides_and_brings_back_the_same_picture(
    scene_with_views: SlicerScene, logics: Logics
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES["lying"])
    view = scene_with_views.views.red
    heat_map.set_opacity(0.6)
    before = view.pixels()
    heat_map.flicker()
    assert not heat_map.visible
    assert not coloured(view.pixels()).any()
    heat_map.set_opacity(0.8)
    assert not coloured(view.pixels()).any()
    heat_map.set_opacity(0.6)
    heat_map.flicker()
    assert np.array_equal(view.pixels(), before)


def test_views_that_show_something_else_are_left_alone(
    scene_with_views: SlicerScene, logics: Logics
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES["lying"])
    other = lumps.add_scan(scene_with_views.scene, lumps.GEOMETRIES["lying"])
    layers = scene_with_views.views.red.composite
    layers.SetForegroundVolumeID(other.GetID())
    layers.SetForegroundOpacity(0.3)
    heat_map.set_opacity(0.9)
    heat_map.set_visible(False)
    assert layers.GetForegroundOpacity() == 0.3
    heat_map.set_visible(True)
    heat_map.show(None)
    assert layers.GetForegroundVolumeID() == heat_map.node.GetID()
    assert layers.GetForegroundOpacity() == 0.9
    assert layers.GetBackgroundVolumeID() != other.GetID()


def test_a_moved_range_of_colours_hides_nothing(
    scene_with_views: SlicerScene, logics: Logics
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES["lying"])
    view = scene_with_views.views.red
    before = coloured(view.pixels())
    assert heat_map.colour_range == (0.0, 6.0)
    for low, high in [(4.0, 8.0), (7.0, 7.0), (0.0, 100.0)]:
        heat_map.set_range(low, high)
        assert np.array_equal(coloured(view.pixels()), before)
        assert heat_map.colour_range == pytest.approx((low, max(high, low + 0.1)))
    heat_map.set_range(2.0, 5.0)
    assert heat_map.colour_range == pytest.approx((2.0, 5.0))


def test_the_legend_shows_the_colours_that_are_seen_in_one_view(
    scene_with_views: SlicerScene, logics: Logics
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES["lying"])
    views = scene_with_views.views
    heat_map.legend(False)
    assert not heat_map.legend_shown
    heat_map.set_threshold(3.5)
    before = {name: view.pixels() for name, view in views.slices.items()}
    heat_map.legend(True)
    assert heat_map.legend_shown
    after = {name: view.pixels() for name, view in views.slices.items()}
    assert np.array_equal(before["Yellow"], after["Yellow"])
    assert np.array_equal(before["Green"], after["Green"])
    # On the right, beside what is shown of the scan.
    picture = np.where(before["Red"] == after["Red"], 0, after["Red"]).astype(int)
    bar = np.argmax(coloured(picture).sum(axis=0))
    rows = np.flatnonzero(coloured(picture)[:, bar])
    assert bar > picture.shape[1] * 0.9
    # Small: a third of the view, and no more than a fifth of its width.
    assert 40 < len(rows) < picture.shape[0] / 3
    assert (picture.max(axis=(0, 2)) > 100).sum() < picture.shape[1] * 0.4
    # From the top, 6, to the bottom, the threshold, in equal steps.
    rarity = 6 - 2.5 * (np.arange(len(rows)) + 0.5) / len(rows)
    expected = rarity_to_rgba(rarity)[:, :3].astype(int)
    assert np.abs(picture[rows, bar] - expected).max() <= 255 * 4 / BANDS
    legend = heat_map.legend_node
    assert legend is not None
    assert "research use only" in legend.GetTitleText()
    names = legend.GetPrimaryDisplayNode().GetColorNode()
    said = [names.GetColorName(n) for n in range(BANDS)]
    assert [one for one in said if one.strip()] == ["threshold 3.5", "4", "5", "6"]
    heat_map.set_threshold(4.9)
    assert names.GetColorName(0) == "threshold 4.9"


def test_in_3d_what_is_below_the_threshold_or_not_scored_is_clear(
    scene_with_views: SlicerScene, logics: Logics
) -> None:
    heat_map = shown(scene_with_views, logics, lumps.GEOMETRIES["lying"])
    view = scene_with_views.views.three_d
    heat_map.render(False)
    assert not heat_map.rendered
    heat_map.render(True)
    scene_with_views.views.fit()
    view.look_from((0.0, 1.0, 0.0), (0.0, 0.0, 0.0))
    first = view.pixels()
    heat_map.set_threshold(100.0)
    bare = view.pixels()
    heat_map.set_threshold(3.0)
    assert np.array_equal(view.pixels(), first)

    def seen() -> np.ndarray:
        return np.any(view.pixels() != bare, axis=-1)

    sizes = []
    for threshold in (3.2, 4.2, 6.0):
        heat_map.set_threshold(threshold)
        sizes.append(int(seen().sum()))
    assert sizes[0] > 1.3 * sizes[1] > 1.3 * sizes[2] > 0
    heat_map.set_threshold(4.2)
    # From the front the patient's left is at the right; the lump is at the left and below.
    rows, columns = np.nonzero(seen())
    assert np.median(columns) > view.size[0] / 2
    assert np.median(rows) > view.size[1] / 2
    heat_map.render(False)
    assert not heat_map.rendered
    assert scene_with_views.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 3


def test_a_map_says_what_it_is_not(slicer_scene: SlicerScene, logics: Logics) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    heat_map = HeatMap.create(slicer_scene.scene, logics, lumps.rarity(), scan_node, "map")
    assert heat_map.node.GetDescription() == NOTICE


def test_maps_are_found_by_what_they_are(slicer_scene: SlicerScene, logics: Logics) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    made = [
        HeatMap.create(slicer_scene.scene, logics, lumps.rarity(), scan_node, "map").node
        for _ in range(2)
    ]
    assert [one.node for one in HeatMap.all_in(slicer_scene.scene, logics)] == made
    tables = {node.GetDisplayNode().GetColorNodeID() for node in made}
    assert len(tables) == 1


def test_the_table_file_holds_the_engine_s_colours(
    slicer_scene: SlicerScene, logics: Logics
) -> None:
    assert rarity_colours.FILE.read_text(encoding="ascii") == rarity_colours.table_text()
    node = rarity_colours.rarity_colours(slicer_scene.scene, logics)
    assert node.GetNumberOfColors() == 256
    colour = [0.0] * 4
    for index in range(256):
        node.GetColor(index, colour)
        expected = rarity_to_rgba(np.array(max(6 * index / 255, 2.02))) / 255
        assert colour[:3] == pytest.approx(expected[:3], abs=1.5 / 255)
        assert colour[3] == 1.0
    assert isinstance(node.GetLookupTable(), vtk.vtkLookupTable)
