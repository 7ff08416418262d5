"""Where a finding lies, in words that any body has: its side, and the third of what was scanned.

No anatomy is claimed: that would need to be known, and a list of findings is no report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

import numpy as np
import slicer

from ScreenerSlicerLib.scene.place import Level, Place, Side
from ScreenerSlicerLib.scene.volume import shared_scan_of, world_points

if TYPE_CHECKING:
    from ctscreener.findings import Triple

SAMPLES = 48
"""Voxels that are looked at along each axis: every tenth of a slice of 512."""
MIDLINE_MM = 10.0
"""Nearer than this to the middle is neither right nor left."""
SLAB_MM = 20.0
"""The middle is that of the body this far above and below: bodies lie bent and tilted."""


@final
class Body:
    """The body of a scan, as far as it was scored, in the world.

    Arguments:
        points: Voxels of the body, thinned out, RAS mm in the world, `(N, 3)`; at least one.

    Example:
        >>> body = Body(np.array([[-150.0, 0, 0], [150, 0, 0], [0, 0, 300]]))
        >>> body.place_of((80.0, 0.0, 250.0))
        Place(side='right', level='upper')
    """

    def __init__(self, points: np.ndarray) -> None:
        assert len(points), "a body has voxels"
        self._points = points
        self._lowest, self._highest = points[:, 2].min(), points[:, 2].max()

    @classmethod
    def of(cls, map_node: slicer.vtkMRMLScalarVolumeNode) -> Self | None:
        """Find the body of a map: the voxels that were scored.

        Arguments:
            map_node: A map, NaN where not scored.

        Returns:
            The body where the map's transform puts it now; None where nothing was scored.
        """
        scan = shared_scan_of(map_node)
        step = np.array([max(1, extent // SAMPLES) for extent in scan.shape])
        thinned = scan.hu[:: step[0], :: step[1], :: step[2]]
        index = np.argwhere(np.isfinite(thinned)) * step
        if not len(index):
            return None
        return cls(world_points(map_node, index @ scan.affine[:3, :3].T + scan.affine[:3, 3]))

    def place_of(self, point: Triple) -> Place:
        """Say where a point lies.

        Arguments:
            point: RAS mm in the world.
        """
        right, _, height = point
        near = np.abs(self._points[:, 2] - height) <= SLAB_MM
        middle = np.median(self._points[near if near.any() else ..., 0])
        side: Side = "right" if right > middle else "left"
        if abs(right - middle) < MIDLINE_MM:
            side = "midline"
        share = (height - self._lowest) / max(self._highest - self._lowest, 1.0)
        level: Level = "upper" if share > 2 / 3 else "middle" if share > 1 / 3 else "lower"
        return Place(side, level)
