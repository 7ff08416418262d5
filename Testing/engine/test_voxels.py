"""What reading takes: memory and time are bounded by what the file can hold."""

import gzip
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ctscreener.files import read_labels, read_scan
from ctscreener.nifti import check_whole
from ctscreener.scan import Scan
from Testing.engine.stored_files import int16, meta_header, nifti_header, nrrd_header, refused


def claims(scan: Scan, side: int) -> dict[str, bytes]:
    """Small files of each format that claim to hold a cube of int16."""
    zeros = gzip.compress(bytes(1 << 20))
    sizes = f"{side} {side} {side}"
    head = nifti_header(scan)
    head[42:48] = np.array([side] * 3, "<i2").tobytes()
    packed = {"DimSize": sizes, "CompressedData": "True"}
    return {
        "a.nrrd": nrrd_header(scan, {"sizes": sizes, "encoding": "gzip"}) + zeros,
        "a.mha": meta_header(scan, packed) + zeros,
        "b.mha": meta_header(scan, {"DimSize": sizes}) + bytes(1000),
        "a.nii.gz": gzip.compress(bytes(head) + bytes(1000)),
        "b.nii": bytes(head) + bytes(1000),
    }


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "b.mha", "a.nii.gz", "b.nii"])
@pytest.mark.parametrize("side", [1000, 1500, 30_000])
def test_a_claim_is_refused_before_memory_is_taken(
    tmp_path: Path, body: Scan, name: str, side: int
) -> None:
    (tmp_path / name).write_bytes(claims(body, side)[name])
    tracemalloc.start()
    try:
        refused(tmp_path / name, "scan.unreadable", name)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nii")
    began = time.monotonic()
    refused(tmp_path / "a.nii", "scan.missing", "pipe")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("more", [b"", b"\0", bytes(1 << 20)])
@pytest.mark.parametrize("zipped", [False, True])
def test_as_many_voxels_as_promised_are_there(
    tmp_path: Path, body: Scan, more: bytes, zipped: bool
) -> None:
    data = bytes(nifti_header(body)) + int16(body) + more
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data) if zipped else data)
    if more:
        refused(tmp_path / "a.nii.gz", "scan.unreadable", "more data")
    else:
        check_whole(tmp_path / "a.nii.gz")
        assert read_scan(tmp_path / "a.nii.gz").shape == body.shape


@pytest.mark.parametrize("number", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_number_type_is_read(tmp_path: Path, body: Scan, number: str) -> None:
    codes = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768}
    codes |= {"i8": 1024, "u8": 1280}
    labels = np.arange(body.hu.size).reshape(body.shape) % 100
    head = nifti_header(body, codes[number], 8 * int(number[1]))
    (tmp_path / "a.nii").write_bytes(bytes(head) + labels.astype("<" + number).tobytes())
    np.testing.assert_array_equal(read_labels(tmp_path / "a.nii")[0], labels)
