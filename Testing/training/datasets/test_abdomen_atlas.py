"""AbdomenAtlas: labels in one file, one file an organ, and masks in a folder beside."""

from pathlib import Path

import pytest

from Testing.training.datasets.fabricated import (
    LESION,
    ORGAN,
    check_places,
    grid,
    labels_of,
    read,
    write_nifti,
)
from training.datasets.abdomen_atlas import READER


@pytest.mark.parametrize(
    ("inner", "masks"),
    [
        ("BDMAP_00000017", "BDMAP_00000017"),
        ("uncompressed/BDMAP_00000017", "uncompressed/BDMAP_00000017"),
        ("image_only/BDMAP_00000017", "mask_only/BDMAP_00000017"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_organs_lie_where_they_are(tmp_path: Path, inner: str, masks: str, apart: bool) -> None:
    write_nifti(tmp_path / inner / "ct.nii.gz", grid("RAS"))
    if apart:
        for value, name in ((ORGAN, "aorta"), (LESION, "liver")):
            path = tmp_path / masks / "segmentations" / f"{name}.nii.gz"
            write_nifti(
                path, grid("RAS"), lambda at, value=value: labels_of(at) == value, dtype="uint8"
            )
    else:
        path = tmp_path / masks / "combined_labels.nii.gz"
        write_nifti(path, grid("RAS"), labels_of, dtype="uint8")
    assert READER.fits(tmp_path)
    (example,) = READER.examples(tmp_path)
    assert (example.name, example.patient) == ("BDMAP_00000017", "BDMAP_00000017")
    check_places(*read(READER, example))
    assert READER.lesions is None
