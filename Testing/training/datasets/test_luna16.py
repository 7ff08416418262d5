"""LUNA16: MetaImage in LPS, balls of nodules, masks of lungs that are no scans."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ctscreener.errors import InputError
from Testing.training.datasets.fabricated import CENTRE, LESION_HU, grid, hu_of, middle, read
from training.datasets import luna16
from training.datasets.luna16 import READER

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.111172165674661221381920536987"


def write(folder: Path, left: bool = True) -> None:
    """A scan whose rows run to the left, or to the right, as some of LUNA16 do."""
    where = grid("LPS" if left else "RAS")
    image = sitk.GetImageFromArray(hu_of(where.places()).transpose(2, 1, 0).astype(np.int16))
    lps = np.diag([-1.0, -1, 1, 1]) @ where.affine
    image.SetOrigin(lps[:3, 3])
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing)
    image.SetDirection((lps[:3, :3] / spacing).ravel())
    for part in ("subset3", "seg-lungs-LUNA16"):
        (folder / part).mkdir(parents=True)
        sitk.WriteImage(image, str(folder / part / f"{UID}.mhd"))
    x, y, z = -CENTRE[0], -CENTRE[1], CENTRE[2]
    rows = f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{UID},{x},{y},{z},20\n1.2,0,0,0,5\n"
    (folder / "annotations.csv").write_text(rows)


@pytest.mark.parametrize("left", [True, False])
def test_balls_are_where_the_nodules_are(tmp_path: Path, left: bool) -> None:
    write(tmp_path, left)
    luna16.nodules.cache_clear()
    assert READER.fits(tmp_path)
    (example,) = READER.examples(tmp_path)
    assert (example.split, example.name) == ("subset3", f"luna16_{UID[-12:]}")
    scan, labels = read(READER, example)
    for what in (labels > 0, np.abs(scan.hu - LESION_HU) < 40):
        np.testing.assert_allclose(middle(what, scan.affine), CENTRE, atol=1)
    ml = (labels > 0).sum() * np.prod(scan.spacing) / 1000
    assert abs(ml / (4 / 3 * np.pi * 1000 / 1000) - 1) < 0.15


def test_a_damaged_table_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "annotations.csv").write_text("seriesuid,coordX\n1.2,5\n")
    luna16.nodules.cache_clear()
    with pytest.raises(InputError, match="line 2") as error:
        read(READER, next(READER.examples(tmp_path)))
    assert error.value.code == "datasets.annotation"
