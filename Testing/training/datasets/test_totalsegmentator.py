"""TotalSegmentator: one file a structure, the split in a table parted by semicolons."""

from pathlib import Path

from Testing.training.datasets.fabricated import (
    LESION,
    ORGAN,
    check_places,
    grid,
    labels_of,
    read,
    write_nifti,
)
from training.datasets.totalsegmentator import READER


def test_structures_lie_right_and_the_split_is_read(tmp_path: Path) -> None:
    case = tmp_path / "Totalsegmentator_dataset" / "s0011"
    write_nifti(case / "ct.nii.gz", grid("RAS"))
    for value, name in ((ORGAN, "aorta"), (LESION, "liver")):
        path = case / "segmentations" / f"{name}.nii.gz"
        write_nifti(
            path, grid("RAS"), lambda at, value=value: labels_of(at) == value, dtype="uint8"
        )
    (case.parent / "meta.csv").write_text("image_id;age;split\ns0011;74;val\ns0012;3;train\n")
    assert READER.fits(tmp_path)
    (example,) = READER.examples(tmp_path)
    assert (example.patient, example.split) == ("s0011", "val")
    check_places(*read(READER, example))
