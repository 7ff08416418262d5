"""LIDC-IDRI: series and XML as published, the consensus of readers, and the real first patient."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.files import read_mask
from Testing.training.datasets.fabricated import Series, check_places, read, write_series
from training.datasets.lidc import READER, Mark, consensus, nodules

HEAD = (
    '<?xml version="1.0"?><LidcReadMessage uid="1" xmlns="http://www.nih.gov"><ResponseHeader>'
    "<SeriesInstanceUid>{uid}</SeriesInstanceUid></ResponseHeader>"
)


def chain(points: np.ndarray) -> np.ndarray:
    """The first pixels outside of a contour, one by one."""
    inside = np.zeros((80, 80), dtype=bool)
    x, y = np.meshgrid(np.arange(80), np.arange(80))
    centre, radii = points.mean(axis=0), np.ptp(points, axis=0) / 2
    inside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1
    around = np.argwhere(ndimage.binary_dilation(inside) & ~inside)[:, ::-1]
    angle = np.arctan2(around[:, 1] - centre[1], around[:, 0] - centre[0])
    return around[np.argsort(angle)]


def roi(image: str, points: np.ndarray, inclusion: str = "TRUE") -> str:
    edge = "".join(
        f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points
    )
    return (
        f"<roi><imageZposition>0 </imageZposition><imageSOP_UID>{image}</imageSOP_UID>"
        f"<inclusion>{inclusion}</inclusion>{edge}</roi>"
    )


def session(rois: str) -> str:
    nodule = f"<unblindedReadNodule><noduleID>1</noduleID>{rois}</unblindedReadNodule>"
    return f"<readingSession>{nodule if rois else ''}</readingSession>"


def write(folder: Path, readers: int = 4) -> Series:
    """A patient as downloaded: series of its own folder, a radiograph, XML in another place."""
    patient = folder / "LIDC-IDRI" / "LIDC-IDRI-0007" / "01-01-2000-STUDY"
    series = write_series(patient / "3000522.000000-04919")
    write_series(
        patient / "1-radiograph", "1.2.3.4", change=lambda data, _: setattr(data, "Modality", "DX")
    )
    rois = "".join(roi(image, chain(points)) for image, points in series.outlines() if len(points))
    sessions = [session(rois if reader < readers else "") for reader in range(4)]
    xml = folder / "tcia-lidc-xml" / "157" / "158.xml"
    xml.parent.mkdir(parents=True)
    xml.write_text(HEAD.format(uid=series.uid) + "".join(sessions) + "</LidcReadMessage>")
    (xml.parent / "159.xml").write_text("<IdriReadMessage/>")
    return series


def test_nodules_are_where_the_readers_saw_them(tmp_path: Path) -> None:
    write(tmp_path)
    assert READER.fits(tmp_path)
    assert READER.fits(tmp_path / "LIDC-IDRI")
    (example,) = READER.examples(tmp_path)
    assert example.patient == "LIDC-IDRI-0007"
    assert example.name.startswith("LIDC-IDRI-0007_")
    scan, labels = read(READER, example)
    check_places(scan, labels, lesion=1)


def test_nodules_of_fewer_readers_are_none_unless_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, readers=2)
    (example,) = READER.examples(tmp_path)
    assert not read(READER, example)[1].any()
    check_places(*read(READER, replace(example, options=(("readers", 2.0),))), lesion=1)
    large = (("readers", 2.0), ("volume", 1e5))
    assert not read(READER, replace(example, options=large))[1].any()


def test_what_a_reader_excludes_is_no_nodule(tmp_path: Path) -> None:
    series = write(tmp_path)
    (example,) = READER.examples(tmp_path)
    assert example.mask is not None
    before = read(READER, example)[1]
    number, image = next((n, i) for n, i in enumerate(series.images) if before[n].sum() > 20)
    row, column = np.argwhere(before[number]).mean(axis=0).round().astype(int)
    side = np.arange(-2, 2)
    ring = [(k, -2) for k in side], [(2, k) for k in side], [(-k, 2) for k in side]
    hole = np.array([*ring[0], *ring[1], *ring[2], *((-2, -k) for k in side)]) + (column, row)
    text = example.mask.read_text()
    example.mask.write_text(
        text.replace(
            "<noduleID>1</noduleID>", "<noduleID>1</noduleID>" + roi(image, hole, "FALSE")
        )
    )
    after = read(READER, example)[1]
    assert not after[number, row, column]
    assert (before != after).sum() == 9


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda text: text[:-200], "no whole XML"),
        (lambda text: text.replace("<imageSOP_UID>1", "<imageSOP_UID>9"), "not in the series"),
        (lambda text: text.replace("<xCoord>", "<xCoord>a"), "without whole numbers"),
    ],
)
def test_damaged_annotations_are_told(tmp_path: Path, change: object, found: str) -> None:
    write(tmp_path)
    (example,) = READER.examples(tmp_path)
    assert example.mask is not None
    example.mask.write_text(change(example.mask.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError, match=found) as error:
        read(READER, example)
    assert error.value.code == "datasets.annotation"


def cube(reader: int, start: int, stop: int) -> Mark:
    side = np.arange(start, stop)
    voxels = np.stack(np.meshgrid(side, side, side), axis=-1).reshape(-1, 3)
    return Mark(reader, voxels, float(len(voxels)))


def test_marks_of_one_place_are_one_nodule_and_others_are_not() -> None:
    marks = [cube(0, 0, 4), cube(1, 1, 5), cube(2, 20, 22), cube(0, 23, 25)]
    sizes = sorted(len(nodule) for nodule in nodules(marks, np.array([1.5, 1, 1])))
    assert sizes == [1, 1, 2]
    # Five marks of four readers that touch in a row are not one nodule, if a shorter reach parts
    # them.
    row = [
        Mark(reader % 4, np.array([[0, 0, 3 * reader], [0, 0, 3 * reader + 1]]), 2.0)
        for reader in range(5)
    ]
    assert len(nodules(row[:4], np.array([4.0, 1, 1]))) == 1
    assert len(nodules(row, np.array([4.0, 1, 1]))) == 5
    assert nodules([], np.ones(3)) == []


def test_half_of_the_readers_decide_a_voxel() -> None:
    nodule = [cube(0, 0, 2), cube(1, 0, 3), cube(2, 0, 4), cube(3, 0, 4), cube(3, 1, 4)]
    assert len(consensus(nodule, 0.5)) == 4**3
    assert len(consensus(nodule, 0.75)) == 3**3
    assert len(consensus(nodule, 1.0)) == 2**3


def test_the_real_first_patient_has_its_mask(tmp_path: Path, real_scans: Path) -> None:
    series = tmp_path / "LIDC-IDRI" / "LIDC-IDRI-0001" / "study" / "series"
    series.mkdir(parents=True)
    for path in (real_scans / "lidc0001_dicom").iterdir():
        (series / path.name).symlink_to(path)
    (series / "069.xml").symlink_to(real_scans / "lidc0001_readers.xml")
    (example,) = READER.examples(tmp_path)
    scan, labels = read(READER, example)
    known = read_mask(real_scans / "lidc0001_dicom_lesion.nii.gz", scan) > 0
    border = ndimage.generate_binary_structure(3, 1)
    assert not (labels[~ndimage.binary_dilation(known, border)] > 0).any()
    assert (labels[ndimage.binary_erosion(known, border)] > 0).all()
    # To the voxel, in fact.
    np.testing.assert_array_equal(labels > 0, known)
