"""BTCV: scans and labels of the training, scans of the test."""

from pathlib import Path

from Testing.training.datasets.fabricated import check_places, grid, labels_of, read, write_nifti
from training.datasets.btcv import READER


def test_scans_and_labels_lie_right(tmp_path: Path) -> None:
    root = tmp_path / "RawData"
    write_nifti(root / "Training" / "img" / "img0001.nii.gz", grid("LAS"))
    labels = root / "Training" / "label" / "label0001.nii.gz"
    write_nifti(labels, grid("LAS"), labels_of, dtype="uint8")
    write_nifti(root / "Testing" / "img" / "img0061.nii.gz", grid("RPI"))
    assert READER.fits(tmp_path)
    assert READER.fits(root)
    train, test = READER.examples(tmp_path)
    assert (train.patient, train.split, test.split, test.mask) == (
        "btcv_0001",
        "train",
        "test",
        None,
    )
    check_places(*read(READER, train))
