"""The store and the stage that fills it."""

import errno
import json
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.preprocess import PreprocessSettings, prepare
from ctscreener.scan import Box
from Testing.training.small_store import make_store
from training.data.sources import find_sources, hash_source
from training.data.store import Store
from training.prepare import PrepareSettings, main

DISK = namedtuple("Disk", "total used free")(10, 10, 0)
SHAPES = {"b": (40, 70, 90), "a": (33, 64, 65)}


def boxes(seed: int, shape: tuple[int, int, int]) -> Box:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, shape)
    high = rng.integers(low + 1, np.asarray(shape) + 1)
    d, h, w = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return d, h, w


@pytest.mark.parametrize("in_memory", [False, True])
def test_any_box_reads_as_the_array_that_was_written(tmp_path: Path, in_memory: bool) -> None:
    images = make_store(tmp_path / "store", SHAPES)
    store = Store(tmp_path / "store", in_memory=in_memory)
    assert store.names == ("a", "b")
    for seed in range(20):
        name = store.names[seed % 2]
        box = boxes(seed, SHAPES[name])
        image, body = store.read(name, box)
        np.testing.assert_array_equal(image, images[name][box])
        rim = np.pad(np.ones(np.subtract(SHAPES[name], 4), dtype=bool), 2)
        np.testing.assert_array_equal(body, rim[box])


def test_threads_read_the_same_as_one_thread(tmp_path: Path) -> None:
    images = make_store(tmp_path / "store", {"a": (64, 100, 100)})
    store = Store(tmp_path / "store")
    wanted = [boxes(seed, (64, 100, 100)) for seed in range(60)]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda box: store.image("a", box), wanted))
    for box, image in zip(wanted, read, strict=True):
        np.testing.assert_array_equal(image, images["a"][box])


def test_excluded_patterns_leave_scans_out_and_an_empty_store_is_an_error(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {"lidc_1": (8, 8, 8), "lidc_2": (8, 8, 8), "kits": (8, 8, 8)})
    assert Store(tmp_path / "store", ("lidc_*",)).names == ("kits",)
    with pytest.raises(InputError, match="found none of 3"):
        Store(tmp_path / "store", ("*",))


def test_some_scans_alone_bring_back_none_that_was_left_out(tmp_path: Path) -> None:
    make_store(tmp_path / "store", dict.fromkeys(("a", "b", "c[1]", "c1"), (6, 6, 6)))
    store = Store(tmp_path / "store", ["b"])
    assert store.alone(["a"]).names == ("a",)
    assert store.alone(["a", "b"]).names == ("a",)
    assert store.alone(["c1"]).names == ("c1",), "a bracket in a name is no pattern"
    assert store.alone(["c[1]"]).names == ("c[1]",)
    with pytest.raises(InputError, match="none of 4 to use"):
        store.alone(["b"])


def test_a_store_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with pytest.raises(InputError, match="manifest"):
        Store(folder)
    make_store(folder, {"a": (8, 8, 8)})
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(InputError, match="version 1.*found ctscreener-store 99"):
        Store(folder)
    manifest["scans"][0]["shape"] = [8, 8, 9]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"\(8, 8, 9\)"):
        Store(folder)
    (folder / "a.body.b2nd").unlink()
    manifest["scans"][0]["shape"] = [8, 8, 8]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="body.b2nd"):
        Store(folder)


def write_patient(path: Path, radius: float) -> None:
    """Write an ellipsoid of soft tissue, 40 slices of 5 mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    d, h, w = np.ogrid[-1:1:40j, -1:1:64j, -1:1:64j]
    grain = np.random.default_rng(0).normal(0, 20, (40, 64, 64))
    hu = np.where(d**2 / 4 + h**2 + w**2 < radius**2, 40 + grain, -1000 + grain)
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing((3.4, 3.4, 5.0))
    sitk.WriteImage(image, str(path))


def test_preparing_stores_what_the_engine_prepares_and_lists_what_it_skips(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_patient(scans / "x" / "patient.nii.gz", 0.8)
    write_patient(scans / "y" / "patient.nrrd", 0.7)
    write_patient(scans / "x" / "patient_lesion.nii.gz", 0.7)
    (scans / "broken.nii.gz").write_bytes(b"no scan")
    settings = PrepareSettings((scans,), tmp_path / "store", workers=1)
    main(settings)
    store = Store(tmp_path / "store")
    assert store.names == ("patient", "y_patient")
    expected = prepare(read_scan(scans / "x" / "patient.nii.gz"), PreprocessSettings())
    everything = (slice(None), slice(None), slice(None))
    np.testing.assert_array_equal(store.image("patient", everything), expected.image)
    np.testing.assert_array_equal(store.body("patient", everything), expected.body)
    np.testing.assert_array_equal(store.scans["patient"].affine, expected.affine)
    skipped = json.loads((tmp_path / "store" / "manifest.json").read_text())["skipped"]
    assert [Path(entry["source"]).name for entry in skipped] == ["broken.nii.gz"]
    assert skipped[0]["reason"]


def test_preparing_again_does_only_what_is_missing_or_newer(tmp_path: Path) -> None:
    for name in "abc":
        write_patient(tmp_path / "scans" / f"{name}.nii", 0.8)
    settings = PrepareSettings((tmp_path / "scans",), tmp_path / "store", workers=1)
    main(settings)
    before = {path.name: path.stat().st_mtime_ns for path in settings.store.glob("*.json")}
    (settings.store / "manifest.json").unlink()
    (settings.store / "b.json").unlink()
    write_patient(tmp_path / "scans" / "c.nii", 0.6)
    main(settings)
    after = {path.name: path.stat().st_mtime_ns for path in settings.store.glob("*.json")}
    assert [name for name in "abc" if before[f"{name}.json"] != after[f"{name}.json"]] == [
        "b",
        "c",
    ]
    assert Store(settings.store).names == ("a", "b", "c")
    other = PreprocessSettings(window=(-1000.0, 400.0))
    with pytest.raises(InputError, match="other settings"):
        main(PrepareSettings((tmp_path / "scans",), settings.store, 1, other))


def test_sources_are_files_and_dicom_folders_and_their_names_differ(tmp_path: Path) -> None:
    for name in ("s/ct/1.dcm", "s/ct/2.dcm", "s/p/scan.mha", "s/q/scan.nii", "s/manifest.nrrd"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "s/nameless").mkdir()
    (tmp_path / "s/nameless/IM0").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "s/notes.txt").write_bytes(b"x")
    names = {source.name for source in find_sources([tmp_path / "s", tmp_path / "s" / "p"])}
    assert names == {"ct", "scan", "q_scan", "s_manifest", "nameless"}
    with pytest.raises(InputError, match="No such"):
        find_sources([tmp_path / "absent"])


def test_a_finer_copy_is_a_store_of_the_same_scans_and_screening_sees_the_other(
    tmp_path: Path,
) -> None:
    write_patient(tmp_path / "scans" / "a.nii", 0.8)
    write_patient(tmp_path / "scans" / "b.nii", 0.6)
    (tmp_path / "scans" / "c.nii").write_bytes(b"no scan")
    settings = PrepareSettings((tmp_path / "scans",), tmp_path / "store", 1, fine=(3.0, 2.0, 2.0))
    main(settings)
    seen, fine = Store(tmp_path / "store"), Store(tmp_path / "store" / "fine")
    assert seen.names == fine.names == ("a", "b")
    scan = read_scan(tmp_path / "scans" / "a.nii")
    expected = prepare(scan, PreprocessSettings(spacing=(3.0, 2.0, 2.0), multiple=(1, 1, 1)))
    np.testing.assert_array_equal(fine.prepared("a").image, expected.image)
    np.testing.assert_array_equal(
        seen.prepared("a").image, prepare(scan, PreprocessSettings()).image
    )
    for name in "ab":
        assert fine.scans[name].sha256 == seen.scans[name].sha256
        np.testing.assert_allclose(
            np.linalg.norm(fine.scans[name].affine[:3, :3], axis=0), (3.0, 2.0, 2.0)
        )
    before = (tmp_path / "store" / "a.json").stat().st_mtime_ns
    (tmp_path / "store" / "fine" / "b.json").unlink()
    main(settings)
    assert (tmp_path / "store" / "fine" / "b.json").exists()
    assert (tmp_path / "store" / "a.json").stat().st_mtime_ns == before


def test_nearly_the_same_scans_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, radius in (("a", 0.8), ("again", 0.8), ("other", 0.5)):
        write_patient(tmp_path / "scans" / f"{name}.nii", radius)
    main(PrepareSettings((tmp_path / "scans",), tmp_path / "store", workers=1))
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert ["a", "again"] in [sorted(set(group) - {"other"}) for group in manifest["duplicates"]]
    assert "Nearly the same scan: a, again" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_listed_and_a_full_disk_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        write_patient(tmp_path / "scans" / f"{name}.nii", 0.8)
    settings = PrepareSettings((tmp_path / "scans",), tmp_path / "store", workers=1)

    def torn(path: Path, series: str | None = None) -> str:
        if path.name == "a.nii":
            raise OSError(errno.EIO, "Input/output error")
        return hash_source(path, series)

    monkeypatch.setattr("training.prepare_one.hash_source", torn)
    main(settings)
    skipped = json.loads((tmp_path / "store" / "manifest.json").read_text())["skipped"]
    assert "Input/output error" in skipped[0]["reason"]

    def full(*arguments: object, **more: object) -> None:
        raise RuntimeError("Error while creating the NDArray")

    monkeypatch.setattr("blosc2.asarray", full)
    monkeypatch.setattr("training.data.arrays.shutil.disk_usage", lambda path: DISK)
    (tmp_path / "store" / "b.json").unlink()
    with pytest.raises(InputError) as raised:
        main(settings)
    assert raised.value.code == "output.disk_full"
    assert not (tmp_path / "store" / "b.json").exists()


@pytest.mark.parametrize(
    ("preprocess", "told"),
    [
        (PreprocessSettings(spacing=(0.0, 0.0, 0.0)), "spacing is 0.0"),
        (PreprocessSettings(window=(300.0, -1000.0)), "which is no range"),
    ],
)
def test_a_grid_that_no_model_can_have_is_refused_before_anything_is_read(
    tmp_path: Path, preprocess: PreprocessSettings, told: str
) -> None:
    settings = PrepareSettings((tmp_path,), tmp_path / "store", preprocess=preprocess)
    with pytest.raises(InputError, match=told):
        main(settings)
    assert not (tmp_path / "store").exists()
