"""Scans with inserted lesions, as a discriminator reads them."""

from pathlib import Path

import numpy as np
import pytest

from ctscreener.encoded import PLAIN
from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.preprocess import prepare
from ctscreener.settings import write_json
from Testing.cohort.made_up import AFFINE, SHAPE, make_scan
from training.data.drawing import DrawSettings
from training.data.drawn_rows import thinned
from training.data.inserted_scans import KNOWN, InsertedScan, find_inserted, read_inserted
from training.data.rows import Rows
from training.phantoms.lesion_site import LABELS
from training.phantoms.writing import write_volume

NODULE = (slice(4, 7), slice(20, 26), slice(16, 22))
KNOWN_AT = (slice(10, 12), slice(24, 28), slice(24, 28))
OPACITY = (slice(9, 12), slice(14, 20), slice(28, 33))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the stage `insert` leaves: a scan with two lesions of ours, and one it had before."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[NODULE] = LABELS["lung_nodule"]
    mask[OPACITY] = LABELS["lung_opacity"]
    mask[KNOWN_AT] = KNOWN
    make_scan(tmp_path / "a.nii.gz", 0)
    write_volume(tmp_path / "a_lesion.nii.gz", mask, AFFINE)
    write_json(tmp_path / "manifest.json", {"scans": [{"name": "a", "source_sha256": "f0"}]})
    return tmp_path


def test_lesions_that_were_put_in_are_anomalies_and_known_ones_are_neither(folder: Path) -> None:
    (found,) = find_inserted([folder])
    assert found == InsertedScan("a", "f0", folder / "a.nii.gz")
    corrupted, body = read_inserted(found)
    prepared = prepare(read_scan(found.path), PLAIN)
    np.testing.assert_array_equal(corrupted.hu, prepared.image)
    np.testing.assert_array_equal(body, prepared.body)
    assert sorted(corrupted.kinds) == ["lung_nodule", "lung_opacity"]
    assert corrupted.label.max() == 2
    voxel_ml = np.prod(PLAIN.spacing) / 1000
    for number, kind in enumerate(corrupted.kinds, start=1):
        box = NODULE if kind == "lung_nodule" else OPACITY
        true_ml = np.prod([one.stop - one.start for one in box]) * 6 * 3 * 3 / 1000
        assert (corrupted.label == number).sum() * voxel_ml == pytest.approx(true_ml, rel=0.2)
    assert corrupted.touched[corrupted.label > 0].all()
    beyond = corrupted.touched & (corrupted.label == 0)
    assert beyond.sum() > (corrupted.label > 0).sum() / 2, "the known one, and a rim"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        find_inserted([tmp_path])
    assert error.value.code == "discriminator.inserted"


def test_of_the_rows_beside_lesions_some_are_enough(rng: np.random.Generator) -> None:
    anomalous = np.array([1, 0, 0, 1, 0, 0], np.int8)
    kind = np.where(anomalous, "lung_nodule", "")
    rows = Rows({"a": rng.random((6, 3))}, anomalous, kind, anomalous.astype(np.int16))
    found = thinned(rows, 2)
    np.testing.assert_array_equal(found.features["a"], rows.features["a"][[0, 1, 2, 3]])
    assert found.anomalous.tolist() == found.number.tolist() == [1, 0, 0, 1]
    assert found.kind.tolist() == ["lung_nodule", "", "", "lung_nodule"]
    assert len(thinned(rows, 0).anomalous) == 2
    assert len(thinned(rows, 9).anomalous) == 6
    with pytest.raises(InputError, match="beside-inserted"):
        DrawSettings(beside_inserted=-1)
