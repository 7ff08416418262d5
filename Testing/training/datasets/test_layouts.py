"""Folders of one's own: nnU-Net and Decathlon, BIDS, any folder, DICOM with SEG and RTSTRUCT."""

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from ctscreener.errors import InputError
from Testing.training.datasets.fabricated import (
    Series,
    check_places,
    grid,
    labels_of,
    read,
    write_nifti,
    write_series,
)
from training.datasets import bids, dicom_masks, nnunet, own


def test_nnunet_and_decathlon(tmp_path: Path) -> None:
    write_nifti(tmp_path / "imagesTr" / "a_1_0000.nii.gz", grid("ASR"))
    write_nifti(tmp_path / "labelsTr" / "a_1.nii.gz", grid("ASR"), labels_of, dtype="uint8")
    for name in ("imagesTr/a_1_0001.nii.gz", "imagesTs/b.nii.gz", "imagesTr/._a_1.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert not nnunet.READER.fits(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"file_ending": ".nii.gz"}))
    assert nnunet.READER.fits(tmp_path)
    train, test = nnunet.READER.examples(tmp_path)
    assert [(one.name, one.split) for one in (train, test)] == [("a_1", "train"), ("b", "test")]
    assert test.mask is None
    check_places(*read(nnunet.READER, train))


def test_bids(tmp_path: Path) -> None:
    for session in ("ses-01", "ses-02"):
        stem = f"sub-07_{session}"
        write_nifti(tmp_path / "sub-07" / session / "ct" / f"{stem}_ct.nii.gz", grid("SAL"))
    mask = (
        tmp_path / "derivatives" / "manual" / "sub-07" / "sub-07_ses-02_label-tumour_mask.nii.gz"
    )
    write_nifti(mask, grid("SAL"), labels_of, dtype="uint8")
    write_nifti(tmp_path / "sub-07" / "ses-01" / "anat" / "sub-07_ses-01_T1w.nii.gz", grid())
    assert bids.READER.fits(tmp_path)
    first, second = bids.READER.examples(tmp_path)
    assert first.patient == second.patient == "sub-07"
    assert (first.mask, second.mask) == (None, mask)
    check_places(*read(bids.READER, second))


def test_any_folder(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a" / "x.nii.gz", grid("RIP"))
    write_nifti(tmp_path / "a" / "x_lesion.nii.gz", grid("RIP"), labels_of, dtype="uint8")
    write_nifti(tmp_path / "b" / "x.nii.gz", grid("RIP"))
    write_series(tmp_path / "c")
    first, second, third = own.READER.examples(tmp_path)
    assert [one.name for one in (first, second, third)] == ["x", "b_x", "c"]
    assert (second.mask, third.mask) == (None, None)
    check_places(*read(own.READER, first))


def slices_of(folder: Path) -> list[FileDataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def write_seg(folder: Path, images: list[FileDataset]) -> Path:
    """A segmentation of two segments, written by highdicom, empty frames left out."""
    for image in images:
        for name in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
            setattr(image, name, "")
        image.AccessionNumber = image.ReferringPhysicianName = image.PositionReferenceIndicator = (
            ""
        )
    z = [float(image.ImagePositionPatient[2]) for image in images]
    labels = labels_of(grid("LPS").places()).transpose(2, 1, 0)[np.argsort(np.argsort(z))]
    algorithm = hd.AlgorithmIdentificationSequence(
        name="hand", version="1", family=codes.DCM.ArtificialIntelligence
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, label in ((1, "organ"), (2, "lesion"))
    ]
    seg = hd.seg.Segmentation(
        source_images=images,
        pixel_array=labels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=900,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
    )
    folder.mkdir(parents=True)
    seg.save_as(folder / "1-1.dcm")
    return folder / "1-1.dcm"


def write_rtstruct(folder: Path, series: Series) -> Path:
    """A structure set of one ROI with a hole in it, as contours in mm."""
    data = FileDataset("", Dataset(), file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = RTStructureSetStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Modality = "RTSTRUCT"
    contours = []
    for number in range(len(series.images)):
        outline = series.outline(number)
        if outline is None:
            continue
        contour = Dataset()
        contour.ContourGeometricType = "CLOSED_PLANAR"
        index = np.column_stack([outline, np.full(len(outline), number), np.ones(len(outline))])
        lps = (np.diag([-1.0, -1, 1, 1]) @ series.where.affine @ index.T)[:3].T
        contour.ContourData = [f"{value:.4f}" for value in lps.ravel()]
        contour.NumberOfContourPoints = len(outline)
        contours.append(contour)
    roi, reference = Dataset(), Dataset()
    roi.ReferencedROINumber = 2
    roi.ContourSequence = contours
    data.ROIContourSequence = [roi]
    reference.SeriesInstanceUID = series.uid
    study, frame = Dataset(), Dataset()
    study.RTReferencedSeriesSequence = [reference]
    frame.RTReferencedStudySequence = [study]
    data.ReferencedFrameOfReferenceSequence = [frame]
    folder.mkdir(parents=True)
    data.save_as(folder / "rt.dcm", enforce_file_format=True)
    return folder / "rt.dcm"


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_dicom_masks_lie_right(tmp_path: Path, kind: str) -> None:
    series = write_series(tmp_path / "p" / "study" / "ct")
    write_series(tmp_path / "p" / "study" / "other", "1.2.826.77.2")
    folder = tmp_path / "p" / "study" / "mask"
    if kind == "SEG":
        path = write_seg(folder, slices_of(tmp_path / "p" / "study" / "ct"))
    else:
        path = write_rtstruct(folder, series)
    assert dicom_masks.READER.fits(tmp_path)
    drawn, other = dicom_masks.READER.examples(tmp_path)
    assert (drawn.mask, other.mask) == (path, None)
    assert drawn.patient == other.patient
    assert "SECRET" not in repr((drawn, other))
    check_places(*read(dicom_masks.READER, drawn))


def test_dicom_masks_beside_their_scan_are_told(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    path = write_seg(tmp_path / "mask", slices_of(tmp_path / "ct"))
    data = pydicom.dcmread(path)
    for group in data.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient[0] += 1.0
    data.save_as(path)
    (example,) = dicom_masks.READER.examples(tmp_path)
    with pytest.raises(InputError, match="beside") as error:
        read(dicom_masks.READER, example)
    assert error.value.code == "mask.grid"
    del data.PerFrameFunctionalGroupsSequence
    data.save_as(path)
    with pytest.raises(InputError, match="damaged"):
        read(dicom_masks.READER, example)


def test_a_contour_within_a_contour_is_a_hole(tmp_path: Path) -> None:
    series = write_series(tmp_path / "ct")
    path = write_rtstruct(tmp_path / "mask", series)
    (example,) = dicom_masks.READER.examples(tmp_path)
    before = read(dicom_masks.READER, example)[1]
    data = pydicom.dcmread(path)
    contours = data.ROIContourSequence[0].ContourSequence
    middle = contours[len(contours) // 2]
    points = np.array(middle.ContourData, float).reshape(-1, 3)
    hole = Dataset()
    hole.ContourGeometricType = "CLOSED_PLANAR"
    hole.ContourData = [
        f"{v:.4f}" for v in (points.mean(0) + (points - points.mean(0)) / 3).ravel()
    ]
    contours.append(hole)
    data.save_as(path)
    after = read(dicom_masks.READER, example)[1]
    assert 0 < (before != after).sum() < (before > 0).sum() / 4
    for contour in contours:
        contour.ContourData = [
            f"{float(v) + 1.9 * (k % 3 == 2):.4f}" for k, v in enumerate(contour.ContourData)
        ]
    data.save_as(path)
    with pytest.raises(InputError, match="slices"):
        read(dicom_masks.READER, example)
