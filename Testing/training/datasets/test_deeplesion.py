"""DeepLesion: 16-bit pictures from the head to the feet, several lesions in a stack."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from Testing.training.datasets.fabricated import CENTRE, SHAPE, SPACING, grid, hu_of, middle
from training.datasets.deeplesion import READER

HEADER = "File_name,Slice_range,Spacing_mm_px_,Train_Val_Test,Possibly_noisy"
FIRST = 57


def write(folder: Path) -> np.ndarray:
    """Pictures whose numbers grow from the head to the feet, and the table."""
    hu = hu_of(grid("LPI").places()).transpose(2, 1, 0)
    series = folder / "Images_png" / "000001_01_01"
    series.mkdir(parents=True)
    for number, values in enumerate(hu, FIRST):
        picture = Image.fromarray((values + 32768).astype(np.uint16))
        picture.save(series / f"{number:03}.png")
    last = FIRST + len(hu) - 1
    spacing = f'"{SPACING[2]}, {SPACING[1]}, {SPACING[0]}"'
    rows = [f'000001_01_01_{key:03}.png,"{FIRST}, {last}",{spacing},3,0' for key in (66, 70)]
    rows.append(f'000002_01_01_010.png,"1, 20",{spacing},1,0')
    (folder / "DL_info.csv").write_text("\n".join([HEADER, *rows]))
    return hu


def test_stacks_lie_right_and_each_is_there_once(tmp_path: Path) -> None:
    hu = write(tmp_path)
    assert READER.fits(tmp_path)
    first, second = READER.examples(tmp_path)
    assert (first.patient, first.split, second.split) == ("deeplesion_000001", "test", "train")
    scan = READER.read(first, read_scan)
    np.testing.assert_array_equal(np.sort(scan.hu, axis=None), np.sort(hu, axis=None))
    corner = np.array(SHAPE[::-1]) * SPACING[::-1]
    middle_of_grid = (corner - SPACING[::-1]) / 2
    found = middle(np.abs(scan.hu - 160) < 40, scan.affine)
    np.testing.assert_allclose(found - middle_of_grid, CENTRE, atol=1)
    with pytest.raises(InputError, match=r"000002_01_01/001\.png"):
        READER.read(second, read_scan)


def test_a_damaged_table_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    table = tmp_path / "DL_info.csv"
    table.write_text(table.read_text().replace('"1, 20"', "1"))
    with pytest.raises(InputError, match="line 4") as error:
        list(READER.examples(tmp_path))
    assert error.value.code == "datasets.annotation"
