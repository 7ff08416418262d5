"""KiTS19, KiTS21 and KiTS23: contrast CT of the abdomen with kidneys, tumours and cysts.

Heller et al., Medical Image Analysis 67, 2021. The arrays are stored slice first, which their
affines tell.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.example import Example, Reader
from training.datasets.folders import below, numbered, some
from training.datasets.licence import CC_BY_NC_SA_4

CASE = r"case_(\d{5})"
PLACES = ("data", "dataset", "kits21/data", "kits19/data", "kits21/kits21/data", "kits23/dataset")
MASKS = ("aggregated_MAJ_seg.nii.gz", "segmentation.nii.gz")
"""That of KiTS21 is the majority of three annotators; those of KiTS19 and KiTS23."""
KIDNEY, TUMOUR = 1, 2


def fits(folder: Path) -> bool:
    """Whether cases are in a folder, or where the repositories of the challenges put them."""
    return some(below(folder, *PLACES), CASE) or some(folder, CASE)


def examples(folder: Path) -> Iterator[Example]:
    """Its cases; those of the tests of KiTS19 have no mask."""
    root = folder if some(folder, CASE) else below(folder, *PLACES)
    for _, case in numbered(root, CASE):
        masks = [case / name for name in MASKS if (case / name).is_file()]
        split = "train" if masks else "test"
        yield Example(
            case.name, case / "imaging.nii.gz", case.name, split, next(iter(masks), None)
        )


READER = Reader(
    name="kits",
    title="KiTS19, KiTS21 or KiTS23: abdominal CT with contrast, kidney tumours outlined",
    source="https://github.com/neheller/kits23 (kits21, kits19 likewise)",
    size="489 scans with masks in KiTS23, 300 in KiTS21, 210 in KiTS19; 12 to 50 GB",
    command="git clone https://github.com/neheller/kits23; pip install -e kits23; "
    "kits23_download_data",
    layout="case_00000/imaging.nii.gz with segmentation.nii.gz or aggregated_MAJ_seg.nii.gz",
    fits=fits,
    examples=examples,
    licence=CC_BY_NC_SA_4,
    masks="1 kidney, 2 tumour, 3 cyst (not in KiTS19); a cyst counts neither as lesion nor as "
    "healthy",
    lesions=TUMOUR,
    organs=(KIDNEY,),
    paper_set="KiTS",
    notes="The paper tests on 298 of KiTS21. Cases of one number are one patient in all three. "
    "case_00160 has 796 columns; cases 15, 25, 61 and 117 of KiTS19 have had faulty files.",
)
