"""DeepLesion: short stacks of CT slices around lesions, as 16-bit pictures.

Yan et al., Journal of Medical Imaging 5(3), 2018. HU are the pictures' values less 32768. Rows run
to the back, columns to the left, and slices, by the affine of the set's own script for NIfTI
(`DL_save_nifti.py`), from the head to the feet.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ctscreener.ct_checks import check_scan
from ctscreener.errors import InputError
from ctscreener.scan import Scan
from training.datasets.example import Example, Reader, ReadScan
from training.datasets.folders import below, some
from training.datasets.licence import Licence

TABLE, PICTURES = "DL_info.csv", "Images_png"
OFFSET = 32768
SPLITS = {"1": "train", "2": "validation", "3": "test"}


@dataclass(frozen=True)
class Lesion:
    """A row of the table: a lesion and the stack of slices around it.

    Arguments:
        series: Folder of the slices, such as `000001_01_01`.
        key: Number of the slice that the lesion is seen best on.
        first: Number of the first slice of the stack.
        last: Number of the last one, nearest to the feet.
        spacing: Of columns, rows and slices, mm.
        split: The set's own, which parts patients.
    """

    series: str
    key: int
    first: int
    last: int
    spacing: tuple[float, float, float]
    split: str

    @property
    def name(self) -> str:
        """Name of the stack, which several lesions may share."""
        return f"{self.series}_{self.first:03}-{self.last:03}"


def fits(folder: Path) -> bool:
    """Whether its table and its pictures are there."""
    return some(folder, r"DL_info\.csv") and (folder / PICTURES).is_dir()


def examples(folder: Path) -> Iterator[Example]:
    """Its stacks."""
    seen = set()
    for lesion in lesions(folder):
        if lesion.name not in seen:
            seen.add(lesion.name)
            yield example_of(folder, lesion)


def example_of(folder: Path, lesion: Lesion) -> Example:
    """The stack around a lesion."""
    columns, rows, slices = lesion.spacing
    facts = {"first": lesion.first, "last": lesion.last}
    facts |= {"columns": columns, "rows": rows, "slices": slices}
    return Example(
        f"deeplesion_{lesion.name}",
        below(folder / PICTURES, PICTURES) / lesion.series,
        f"deeplesion_{lesion.series.split('_')[0]}",
        lesion.split,
        options=tuple(facts.items()),
    )


def lesions(folder: Path) -> Iterator[Lesion]:
    """Read the table.

    Raises:
        InputError: `datasets.annotation`.
    """
    with (folder / TABLE).open(newline="", encoding="utf-8-sig") as stream:
        for line, row in enumerate(csv.DictReader(stream), 2):
            try:
                series, key = row["File_name"].removesuffix(".png").rsplit("_", 1)
                first, last = (int(text) for text in row["Slice_range"].split(","))
                x, y, z = (float(text) for text in row["Spacing_mm_px_"].split(","))
                split = SPLITS.get(row["Train_Val_Test"].strip(), "")
                yield Lesion(series, int(key), first, last, (x, y, z), split)
            except (KeyError, ValueError, AttributeError) as error:
                raise InputError(
                    "datasets.annotation",
                    f"Expected the table of DeepLesion in {TABLE}, found line {line} without "
                    f"what is read of it ({type(error).__name__}: {error}).",
                    "Download the table again.",
                ) from error


def read(example: Example, read: ReadScan) -> Scan:
    """Read a stack; millimetres count from its last slice, last row and last column.

    Raises:
        InputError: `scan.missing`, `scan.unreadable` or one of `check_scan`.
    """
    facts = dict(example.options)
    first, last = int(facts["first"]), int(facts["last"])
    slices = [_picture(example.scan / f"{number:03}.png") for number in range(first, last + 1)]
    if len({one.shape for one in slices}) != 1:
        raise InputError(
            "scan.unreadable",
            f"Expected slices of one size in {example.scan.name}, found several.",
            "Download them again.",
        )
    hu = np.stack(slices)
    steps = np.array([facts["slices"], facts["rows"], facts["columns"]])
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1], [0, -1, 0], [-1, 0, 0]]) * steps
    affine[:3, 3] = (steps * (np.array(hu.shape) - 1))[::-1]
    scan = Scan(hu, affine)
    check_scan(scan)
    return scan


def _picture(path: Path) -> np.ndarray:
    """HU of one slice, float32."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture).astype(np.float32) - OFFSET
    except FileNotFoundError as failure:
        raise InputError(
            "scan.missing",
            f"Expected the slice {path.parent.name}/{path.name}, found nothing.",
            "Download and unzip all 56 archives.",
        ) from failure
    except (OSError, UnidentifiedImageError) as failure:
        raise InputError(
            "scan.unreadable",
            f"Expected a picture in {path.parent.name}/{path.name}, found: {failure}.",
            "Download it again.",
        ) from failure


READER = Reader(
    name="deeplesion",
    title="DeepLesion: short stacks of CT slices around 32,735 lesions",
    source="https://nihcc.app.box.com/v/DeepLesion",
    size="14,601 stacks of 4,427 patients, 220 GB unzipped (not verified)",
    command="python batch_download_zips.py (of its page), unzip all into FOLDER/Images_png",
    layout="DL_info.csv beside Images_png/000001_01_01/103.png",
    fits=fits,
    examples=examples,
    licence=Licence(
        "terms of the NIH", False, "a copy on Hugging Face says CC BY-SA 4.0: ask its owners"
    ),
    read=read,
    notes="Its boxes around lesions on one slice are no masks, and are not used; `uls23` has masks. "
    "Stacks of less than 16 slices are refused, which are those of thick slices.",
)
