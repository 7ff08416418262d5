"""What the voxels of findings hold: rarity and HU, as numbers and as a table in the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import slicer
import vtk

from ctscreener.findings import NOTICE, Triple
from ctscreener.scan import Scan
from ScreenerSlicerLib.scene.regions import Region


@dataclass(frozen=True)
class Statistics:
    """What the voxels of a finding hold.

    Arguments:
        rank: Of the finding.
        voxels: How many.
        volume_ml: Their volume.
        rarity_mean: Mean rarity.
        rarity_median: Half of them are rarer.
        rarity_95: One in twenty is rarer.
        rarity_max: Peak rarity.
        hu_mean: Mean HU.
        hu_sd: Standard deviation of the HU.
        hu_min: Lowest HU.
        hu_max: Highest HU.
        centroid_ras: Their centre, RAS mm in the scan's own frame.
    """

    rank: int
    voxels: int
    volume_ml: float
    rarity_mean: float
    rarity_median: float
    rarity_95: float
    rarity_max: float
    hu_mean: float
    hu_sd: float
    hu_min: float
    hu_max: float
    centroid_ras: Triple


def statistics_of(region: Region, rarity: np.ndarray, scan: Scan) -> Statistics:
    """Measure the voxels of a finding.

    Arguments:
        region: The finding with its voxels.
        rarity: The map, `(D, H, W)`.
        scan: The scan.
    """
    rare = rarity.reshape(-1)[region.voxels].astype(np.float64)
    hu = scan.hu.reshape(-1)[region.voxels].astype(np.float64)
    index = np.stack(np.unravel_index(region.voxels, scan.shape), axis=1).mean(axis=0)
    right, anterior, superior = scan.affine[:3, :3] @ index + scan.affine[:3, 3]
    return Statistics(
        rank=region.finding.rank,
        voxels=len(rare),
        volume_ml=region.finding.volume_ml,
        rarity_mean=float(rare.mean()),
        rarity_median=float(np.median(rare)),
        rarity_95=float(np.percentile(rare, 95)),
        rarity_max=float(rare.max()),
        hu_mean=float(hu.mean()),
        hu_sd=float(hu.std()),
        hu_min=float(hu.min()),
        hu_max=float(hu.max()),
        centroid_ras=(float(right), float(anterior), float(superior)),
    )


def put_statistics(
    scene: slicer.vtkMRMLScene, statistics: Sequence[Statistics], name: str
) -> slicer.vtkMRMLTableNode:
    """Add statistics to the scene as a table, one finding a row.

    Arguments:
        scene: Where to.
        statistics: Of each finding.
        name: What the table is called.
    """
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    node.SetDescription(NOTICE)
    node.SetLocked(True)
    names = [field.name for field in fields(Statistics)[:-1]]
    names += ["centroid_right", "centroid_anterior", "centroid_superior"]
    rows = [(*astuple(one)[:-1], *one.centroid_ras) for one in statistics]
    for which, name_of_column in enumerate(names):
        column = vtk.vtkDoubleArray()
        column.SetName(name_of_column)
        for row in rows:
            column.InsertNextValue(row[which])
        node.AddColumn(column)
    return node
