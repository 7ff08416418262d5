"""From finding to finding: all slice views jump to where it is rarest, and a box marks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import slicer

from ctscreener.findings import Index, Triple
from ScreenerSlicerLib.scene.mark import Mark
from ScreenerSlicerLib.scene.row import Row
from ScreenerSlicerLib.scene.volume import world_point


def jump(
    scene: slicer.vtkMRMLScene, map_node: slicer.vtkMRMLScalarVolumeNode, ras: Triple
) -> Triple:
    """Centre all slice views, and the crosshair, on a point of a map.

    Arguments:
        scene: The scene of the views.
        map_node: The map, under any transform.
        ras: RAS mm of the map's own frame, such as a finding's peak. A peak is a better place to
            look at than a centre, which can lie outside of a bent region.

    Returns:
        Where that is in the world, RAS mm.
    """
    point = world_point(map_node, ras)
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(point)
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *point, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    return point


@final
class Navigation:
    """A walk through the findings of a map, in the order of the table, round and round.

    The walk keeps to the finding's peak, so that it goes on from the same finding after a change
    of the threshold has given it another number.

    Arguments:
        scene: The scene of the views.
        map_node: The map.
        rows: Returns its findings as they are at the time.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        map_node: slicer.vtkMRMLScalarVolumeNode,
        rows: Callable[[], Sequence[Row]],
    ) -> None:
        self._scene = scene
        self._map_node = map_node
        self._rows = rows
        self._peak: Index | None = None

    @property
    def current(self) -> int | None:
        """The rank of the finding that was gone to; None before, and once it is gone."""
        return next(
            (row.finding.rank for row in self._rows() if row.finding.peak_index == self._peak),
            None,
        )

    def go_to(self, rank: int) -> Row:
        """Show a finding.

        Arguments:
            rank: Which, from 1.

        Raises:
            ValueError: There is no such finding.
        """
        rows = self._rows()
        if not 1 <= rank <= len(rows):
            raise ValueError(f"Expected a finding from 1 to {len(rows)}, got {rank}.")
        finding = rows[rank - 1].finding
        self._peak = finding.peak_index
        jump(self._scene, self._map_node, finding.peak_ras)
        Mark(self._scene).put(self._map_node, finding)
        return rows[rank - 1]

    def leave(self) -> None:
        """Go nowhere and mark nothing, for another map is looked at."""
        self._peak = None
        self.settle()

    def settle(self) -> None:
        """Mark nothing once the finding that was gone to is no more, or is no finding now."""
        if self.current is None:
            Mark(self._scene).remove(self._map_node)

    def next(self) -> Row | None:
        """Show the next finding, after the last one the first; None where there are none."""
        return self._step(1)

    def previous(self) -> Row | None:
        """Show the finding before, before the first one the last; None where there are none."""
        return self._step(-1)

    def _step(self, by: int) -> Row | None:
        count = len(self._rows())
        if not count:
            return None
        now = self.current
        if now is None:
            return self.go_to(1 if by > 0 else count)
        return self.go_to((now - 1 + by) % count + 1)
