"""Enhanced CT: many frames in one file, compared with pydicom and with highdicom's conversion."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    UID,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from ctscreener.dicom import read_dicom
from ctscreener.errors import InputError
from ctscreener.scan import Scan

WriteSeries = Callable[..., list[Path]]
WriteEnhanced = Callable[..., Path]


def sequence(**values: object) -> pydicom.Sequence:
    """Make a sequence of one item."""
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return pydicom.Sequence([item])


@pytest.fixture
def write_enhanced(tmp_path: Path, body: Scan, write_series: WriteSeries) -> WriteEnhanced:
    """A function that writes the body as one file, in any order of frames.

    It is called as `write_enhanced(order, change=..., shared=...)`: `change(group, index)` alters
    the functional groups of the frame that shows slice `index`; with `shared`, those that all
    frames have in common are written once.
    """

    def write(
        order: np.ndarray,
        change: Callable[[Dataset, int], object] = lambda group, index: None,
        shared: bool = True,
        syntax: UID = ExplicitVRLittleEndian,
    ) -> Path:
        (tmp_path / "scan").mkdir(exist_ok=True)
        (plain,) = write_series(tmp_path / "plain", hu=body.hu[:1])
        data = pydicom.dcmread(plain)
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = EnhancedCTImageStorage
        common = {
            "PlaneOrientationSequence": sequence(
                ImageOrientationPatient=data.ImageOrientationPatient
            ),
            "PixelMeasuresSequence": sequence(PixelSpacing=data.PixelSpacing),
            "PixelValueTransformationSequence": sequence(
                RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU"
            ),
        }
        groups = []
        for index in order:
            place = [*data.ImagePositionPatient[:2], 31.25 + 2.5 * index]
            group = sequence(PlanePositionSequence=sequence(ImagePositionPatient=place))[0]
            group.FrameContentSequence = sequence(TemporalPositionIndex=1)
            group.update({} if shared else deepcopy(sequence(**common)[0]))
            change(group, int(index))
            groups.append(group)
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            delattr(data, name)
        del data.RescaleSlope, data.RescaleIntercept
        data.SharedFunctionalGroupsSequence = sequence(**(common if shared else {}))
        data.PerFrameFunctionalGroupsSequence = groups
        data.NumberOfFrames = len(order)
        data.PixelData = (body.hu[order] + 1024).astype("<i2").tobytes()
        if syntax.is_encapsulated:
            data.compress(syntax)
        data.file_meta.TransferSyntaxUID = syntax
        data.save_as(tmp_path / "scan" / "all.dcm", enforce_file_format=True)
        return tmp_path / "scan"

    return write


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless]
)
@pytest.mark.parametrize("shared", [True, False])
def test_frames_in_any_order_are_read_at_their_places(
    write_enhanced: WriteEnhanced,
    body: Scan,
    rng: np.random.Generator,
    syntax: UID,
    shared: bool,
) -> None:
    folder = write_enhanced(rng.permutation(20), shared=shared, syntax=syntax)
    scan = read_dicom(folder)
    np.testing.assert_array_equal(scan.hu, body.hu)
    np.testing.assert_allclose(scan.affine, body.affine, atol=1e-9)


def test_a_converted_series_is_the_series(
    tmp_path: Path, body: Scan, write_series: WriteSeries
) -> None:
    """By highdicom: conversion to Legacy Converted Enhanced CT."""
    legacy = pytest.importorskip("highdicom.legacy")

    def complete(data: FileDataset, _: int) -> None:
        for name in ("PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"):
            setattr(data, name, "")
        data.AccessionNumber, data.PositionReferenceIndicator = "", ""
        data.StudyInstanceUID, data.FrameOfReferenceUID = "1.2.1", "1.2.2"
        data.Manufacturer, data.SeriesNumber, data.AcquisitionNumber = "", 1, 1
        data.InstanceNumber = data.InstanceNumber
        data.ContentTime, data.ContentDate = "101010", "20240101"
        data.AcquisitionTime, data.AcquisitionDate = "101010", "20240101"

    paths = write_series(tmp_path / "plain", complete)
    converted = legacy.LegacyConvertedEnhancedCTImage(
        [pydicom.dcmread(path) for path in paths], "1.2.9", 9, "1.2.9.1", 1
    )
    (tmp_path / "scan").mkdir()
    converted.save_as(tmp_path / "scan" / "all.dcm")
    scan = read_dicom(tmp_path / "scan")
    np.testing.assert_array_equal(scan.hu, body.hu)
    np.testing.assert_allclose(scan.affine, body.affine, atol=1e-9)


def other_intercept(group: Dataset, index: int) -> None:
    if index == 7:
        group.PixelValueTransformationSequence[0].RescaleIntercept = -1000


def second_phase(group: Dataset, index: int) -> None:
    group.FrameContentSequence[0].TemporalPositionIndex = 1 + index % 2


def no_place(group: Dataset, index: int) -> None:
    del group.PlanePositionSequence


def other_spacing(group: Dataset, index: int) -> None:
    if index > 16:
        group.PixelMeasuresSequence[0].PixelSpacing = [2, 2]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (other_intercept, "dicom.mixed_pixels", "-1000.0 in frame 8 of all.dcm (1 of 20"),
        (second_phase, "dicom.mixed_series", "TemporalPosition 2"),
        (no_place, "dicom.multiframe", "each of 20 frames in all.dcm"),
        (other_spacing, "dicom.mixed_series", "17 images"),
    ],
)
def test_frames_that_are_no_volume_are_refused(
    write_enhanced: WriteEnhanced,
    change: Callable[[Dataset, int], None],
    code: str,
    words: str,
) -> None:
    folder = write_enhanced(np.arange(20), change, shared=False)
    with pytest.raises(InputError) as caught:
        read_dicom(folder)
    assert caught.value.code == code
    assert words in caught.value.message


def test_missing_frames_and_missing_groups_are_named(write_enhanced: WriteEnhanced) -> None:
    folder = write_enhanced(np.delete(np.arange(20), 5))
    with pytest.raises(InputError, match="1 missing: 1 between frame 5 of all.dcm and frame 6"):
        read_dicom(folder)
    data = pydicom.dcmread(folder / "all.dcm")
    data.NumberOfFrames = 21
    data.save_as(folder / "all.dcm")
    with pytest.raises(InputError, match="21 frames and functional groups for 19"):
        read_dicom(folder)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_a_copy_of_the_file_is_dropped_and_a_cut_one_named(
    write_enhanced: WriteEnhanced, body: Scan, syntax: UID
) -> None:
    folder = write_enhanced(np.arange(20), syntax=syntax)
    content = (folder / "all.dcm").read_bytes()
    (folder / "copy.dcm").write_bytes(content)
    np.testing.assert_array_equal(read_dicom(folder).hu, body.hu)
    (folder / "copy.dcm").write_bytes(content[:-600])
    with pytest.raises(InputError, match=r"whole CT slice in copy\.dcm"):
        read_dicom(folder)
