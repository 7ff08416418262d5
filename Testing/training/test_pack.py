"""Scans and runs that travel come out as they went in, as far as the pack says."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import features
from safetensors.torch import load_file, save_file

from ctscreener.encoded import PLAIN
from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings, equalize
from ctscreener.settings import from_json, read_json, write_json
from Testing.training.plain_store import make_plain_store, patient
from Testing.training.small_store import make_store
from training import pack, unpack
from training.data.coded import Codec, decode, encode, hu_of, steps_of
from training.data.store import Store
from training.pack import PackSettings
from training.unpack import UnpackSettings

WINDOW = PLAIN.window
CODECS: list[Codec] = [name for name in ("avif", "webp") if features.check(name)]  # pyright: ignore[reportAssignmentType]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pack")
    make_plain_store(made / "store", {"a": 1, "b": 2})
    pack.main(PackSettings(made / "store", out=made / "scans.pack", quality=90))
    return made


@pytest.mark.parametrize("codec", CODECS)
def test_a_packed_scan_is_off_by_what_the_pack_says(codec: Codec) -> None:
    hu, body = patient(3)
    coded = encode(hu, body, WINDOW, codec, 85)
    found, inside = decode(coded.film, coded.body, hu.shape, WINDOW, codec)
    np.testing.assert_array_equal(inside, body)
    lost = found[body] - np.clip(hu[body], *WINDOW).astype(float)
    assert np.sqrt((lost**2).mean()) == pytest.approx(coded.error_hu, abs=1e-6)
    assert coded.error_hu < 14
    assert (found[~body] == WINDOW[0]).all()
    assert len(coded.film) + len(coded.body) < hu.nbytes / 8
    assert encode(hu, body, WINDOW, codec, 40).error_hu > coded.error_hu


def test_steps_are_half_a_step_off_at_most_and_end_with_the_window() -> None:
    hu = np.arange(-1500, 1500, dtype=np.int16)
    off = np.abs(hu_of(steps_of(hu, WINDOW), WINDOW) - np.clip(hu, *WINDOW))
    assert off.max() <= np.ceil((WINDOW[1] - WINDOW[0]) / 255 / 2)


def test_a_store_comes_out_with_all_that_it_says_of_its_scans(
    folder: Path, tmp_path: Path
) -> None:
    unpack.main(UnpackSettings(folder / "scans.pack", tmp_path / "store", workers=2))
    before, after = Store(folder / "store"), Store(tmp_path / "store")
    assert after.preprocess == before.preprocess
    for name in before.names:
        assert after.scans[name].to_json() == before.scans[name].to_json()
        one, other = before.prepared(name), after.prepared(name)
        np.testing.assert_array_equal(one.body, other.body)
        assert np.abs(other.image[one.body] - np.clip(one.image[one.body], *WINDOW)).mean() < 10
        assert other.image.dtype == one.image.dtype


def test_unpacked_scans_are_equalized_as_prepare_does(folder: Path, tmp_path: Path) -> None:
    unpack.main(UnpackSettings(folder / "scans.pack", tmp_path / "hu"))
    unpack.main(UnpackSettings(folder / "scans.pack", tmp_path / "grey", equalize=True))
    plain, grey = Store(tmp_path / "hu"), Store(tmp_path / "grey")
    settings = from_json(PreprocessSettings, grey.preprocess)
    assert settings == replace(PLAIN, clahe_clip=PreprocessSettings().clahe_clip)
    expected = equalize(plain.prepared("a").image.astype(np.float32), settings)
    np.testing.assert_array_equal(grey.prepared("a").image, expected)


def test_more_than_may_travel_is_not_written(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "scans.pack"
    with pytest.raises(InputError, match=r"at most 0.001 MiB, found 0\.\d+ MiB for 2 scans"):
        pack.main(PackSettings(folder / "store", out=out, most_mib=0.001))
    assert not out.exists()


def test_grey_values_are_not_packed(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {"a": (8, 9, 10)})
    with pytest.raises(InputError, match="found equalized grey values"):
        pack.main(PackSettings(tmp_path / "store", out=tmp_path / "scans.pack"))
    with pytest.raises(InputError, match="found neither"):
        pack.main(PackSettings())


@pytest.mark.parametrize("what", ["torn", "another", "shape", "name"])
def test_a_damaged_pack_is_refused(folder: Path, tmp_path: Path, what: str) -> None:
    path = tmp_path / "scans.pack"
    with zipfile.ZipFile(folder / "scans.pack") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                told = json.loads(content)
                told["format_version"] = 2 if what == "another" else 1
                told["scans"][0]["shape"][0] += what == "shape"
                told["scans"][0]["name"] = "../a" if what == "name" else "a"
                content = json.dumps(told).encode()
            elif what == "torn":
                content = content[: len(content) // 2]
            new.writestr(name, content)
    with pytest.raises(InputError) as refused:
        unpack.main(UnpackSettings(path, tmp_path / "store"))
    assert refused.value.code.startswith("pack.")
    assert not (tmp_path / "a.json").exists()


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A run of a network, packed in parts of 20 kB."""
    run = tmp_path / "runs" / "descriptor"
    write_json(run / "settings.json", {"lr": 0.1})
    weights = {"w": torch.randn(64, 256, generator=torch.Generator().manual_seed(0))}
    save_file(weights, run / "network.safetensors")
    save_file(weights, run / "checkpoint.safetensors")
    write_json(run / "rows" / "a.json", {})
    pack.main(PackSettings(runs=(run,), out=tmp_path / "parts", part_mb=0.02))
    return tmp_path / "parts"


def test_a_run_comes_back_in_parts_without_what_is_not_needed(parts: Path, tmp_path: Path) -> None:
    sizes = [path.stat().st_size for path in sorted(parts.glob("part.*"))]
    assert len(sizes) > 1
    assert max(sizes) <= 20_000
    unpack.main(UnpackSettings(parts, tmp_path / "back"))
    run = tmp_path / "back" / "descriptor"
    assert {path.name for path in run.rglob("*")} == {"settings.json", "network.safetensors"}
    assert read_json(run / "settings.json") == {"lr": 0.1}
    whole = load_file(tmp_path / "runs" / "descriptor" / "network.safetensors")["w"]
    assert torch.equal(load_file(run / "network.safetensors")["w"], whole.half())


@pytest.mark.parametrize("what", ["missing", "changed"])
def test_a_part_that_is_missing_or_changed_is_named(
    parts: Path, tmp_path: Path, what: str
) -> None:
    part = parts / "part.001"
    part.unlink() if what == "missing" else part.write_bytes(b"other")
    with pytest.raises(InputError, match=r"part\.001"):
        unpack.main(UnpackSettings(parts, tmp_path / "back"))


@pytest.mark.parametrize("name", ["/etc/x/y", "../x/y", "alone"])
def test_no_file_is_written_beside_the_folder(name: str) -> None:
    with pytest.raises(InputError, match="files of run folders"):
        unpack.safe(name)
