"""Damaged scans: a small body in many forms of NIfTI, NRRD and MetaImage, then something broken."""

import gzip
import struct
from pathlib import Path

import numpy as np

from ctscreener.scan import CANONICAL, Scan
from Testing.engine.stored_files import meta_header, nifti_header, nrrd_header
from Testing.fuzz.mutations import damaged, damaged_text, packed

KINDS = {"i2": (4, "short", "MET_SHORT"), "u2": (512, "ushort", "MET_USHORT")}
KINDS |= {"i4": (8, "int", "MET_INT"), "f4": (16, "float", "MET_FLOAT")}
KINDS |= {"f8": (64, "double", "MET_DOUBLE")}
# Fields of a NIfTI header: how they are packed, where, and how many.
NIFTI_FIELDS = (
    ("i", 0, 1),
    ("h", 40, 8),
    ("h", 68, 4),
    ("f", 76, 8),
    ("f", 108, 3),
    ("B", 123, 1),
    ("h", 252, 2),
    ("f", 256, 6),
    ("f", 280, 12),
    ("B", 344, 4),
)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 2.5, 352.0, 348.0, 353.0, 1e-30, 1e30, -1e30, 3e38)
FLOATS += (float("nan"), float("inf"), float("-inf"))
WHOLES = (
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    17,
    64,
    128,
    256,
    348,
    512,
    540,
    1000,
    1500,
    32767,
    -1,
    -32768,
)


def body(rng: np.random.Generator) -> Scan:
    """Air around soft tissue with a lung, `(18, 17, 16)`, on a grid turned at random."""
    hu = np.full((18, 17, 16), -1000.0)
    hu[:, 3:-2, 2:-3] = 40.0
    hu[4:12, 5:10, 4:8] = -850.0
    hu = (hu + rng.normal(0, 10, hu.shape)).round()
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] if rng.random() < 0.5 else CANONICAL.T
    affine = np.eye(4)
    affine[:3, :3] = turn * rng.uniform(0.6, 3.0, 3)
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    return Scan(hu.astype(np.float32), affine)


def write_nifti(folder: Path, rng: np.random.Generator) -> Path:
    """Write a damaged NIfTI file, sometimes beside another of nearly its name."""
    scan = body(rng)
    kind = str(rng.choice(["i2", "i4", "f4", "f8"]))
    head = nifti_header(scan, KINDS[kind][0], 8 * int(kind[1]))
    values = scan.hu.astype("<" + kind)
    if rng.random() < 0.3:
        struct.pack_into("<2f", head, 112, 0.5, 7.0)
        values = (2 * values - 14).astype(values.dtype)
    voxels = values.tobytes()
    fate = rng.random()
    if fate < 0.6:
        _change_field(head, rng)
    content = bytes(head) + voxels
    content = damaged(content, rng) if 0.6 <= fate < 0.75 else content
    zipped = rng.random() < 0.5
    content = packed(content, "gzip" if zipped else "raw", rng)
    content = damaged(content, rng) if fate >= 0.75 else content
    if rng.random() < 0.1:
        other = bytes(nifti_header(scan)) + (scan.hu[::-1]).astype("<i2").tobytes()
        (folder / "scan.nii").write_bytes(other)
        (folder / "scan.nii.gz").write_bytes(content if zipped else gzip.compress(content, 1))
        return folder / "scan.nii.gz"
    path = folder / ("scan.nii.gz" if rng.random() < 0.5 else "scan.nii")
    path.write_bytes(content)
    return path


def _change_field(head: bytearray, rng: np.random.Generator) -> None:
    """Write strange numbers into fields of a NIfTI header."""
    for _ in range(int(rng.integers(1, 3))):
        form, at, count = NIFTI_FIELDS[int(rng.integers(0, len(NIFTI_FIELDS)))]
        at += struct.calcsize(form) * int(rng.integers(0, count))
        if form == "f":
            struct.pack_into("<f", head, at, float(rng.choice(FLOATS)))
        elif form == "B":
            head[at] = int(rng.integers(0, 256))
        else:
            struct.pack_into("<" + form, head, at, int(rng.choice(WHOLES)))


def write_nrrd(folder: Path, rng: np.random.Generator) -> Path:
    """Write a damaged NRRD file, with its data in it or beside it."""
    scan = body(rng)
    kind = str(rng.choice(["i2", "i4", "f4", "f8"]))
    big = bool(rng.random() < 0.3)
    fields = {"endian": "big" if big else "little", "encoding": str(rng.choice(["raw", "gzip"]))}
    voxels = scan.hu.astype((">" if big else "<") + kind).tobytes()
    if rng.random() < 0.2:
        fields["byte skip"] = str(rng.choice(["3", "-1"]))
        voxels = b"abc" + voxels
    data = packed(voxels, fields["encoding"], rng)
    detached = rng.random() < 0.3
    if detached:
        fields["data file"] = "voxels.bin"
    head = nrrd_header(scan, fields, KINDS[kind][1]).decode()
    return _written(folder, rng, head.rstrip("\n"), "\n\n", data, "nhdr" if detached else "nrrd")


def write_meta(folder: Path, rng: np.random.Generator) -> Path:
    """Write a damaged MetaImage file, with its data in it or beside it."""
    scan = body(rng)
    kind = str(rng.choice(["i2", "i4", "f4", "f8"]))
    big, zipped = bool(rng.random() < 0.3), bool(rng.random() < 0.5)
    voxels = scan.hu.astype((">" if big else "<") + kind).tobytes()
    data = packed(voxels, "zlib" if zipped else "raw", rng)
    fields = {"BinaryDataByteOrderMSB": str(big), "CompressedData": str(zipped)}
    if zipped and rng.random() < 0.8:
        fields["CompressedDataSize"] = str(len(data))
    detached = rng.random() < 0.3
    if detached:
        fields["ElementDataFile"] = "voxels.bin"
    head = meta_header(scan, fields, KINDS[kind][2]).decode()
    return _written(folder, rng, head.rstrip("\n"), "\n", data, "mhd" if detached else "mha")


def _written(
    folder: Path, rng: np.random.Generator, head: str, end: str, data: bytes, ending: str
) -> Path:
    """Damage the header, the voxels or both, and write them into one file or two."""
    fate = rng.random()
    head = damaged_text(head, rng) if fate < 0.6 else head
    text = (head + end).encode("utf-8", "surrogateescape")
    data = damaged(data, rng) if 0.6 <= fate < 0.75 else data
    path = folder / f"scan.{ending}"
    if ending in ("nhdr", "mhd"):
        if rng.random() < 0.95:
            (folder / "voxels.bin").write_bytes(data)
        path.write_bytes(damaged(text, rng) if fate >= 0.75 else text)
    else:
        path.write_bytes(damaged(text + data, rng) if fate >= 0.75 else text + data)
    return path
