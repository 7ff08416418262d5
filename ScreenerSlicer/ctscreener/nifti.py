"""The header of a NIfTI file (.nii, .nii.gz), read by ourselves.

ITK 5.4 looks for the voxels by base name, so that those of `scan.nii` come out of `scan.nii.gz`;
it makes up a direction where a file holds none, takes a spacing of zero for 1 mm and reads NaN as
0. Layout and meaning of the header: NIfTI-1.1, nifti1.h.
"""

import math
from pathlib import Path

import numpy as np

from ctscreener.ct_checks import check_grid
from ctscreener.errors import InputError
from ctscreener.itk import in_array_order
from ctscreener.scan import same_grid
from ctscreener.stored import (
    Packing,
    Place,
    Stored,
    as_sizes,
    damaged,
    no_spacing,
    not_placed,
    not_scalar,
    volume_shape,
)
from ctscreener.voxels import check_voxels, unpacked

HEADER_BYTES = 348
FIRST_VOXEL = 352
"""Behind the header and the four bytes that tell of extensions."""
MAX_OFFSET = 1 << 28
NUMBERS = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
"""NumPy's names of those datatypes that are one real number."""
NOT_SCALAR = {
    32: "complex numbers",
    128: "colours",
    1792: "complex numbers",
    2048: "complex numbers",
    2304: "colours",
}
UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Of the lowest three bits of `xyzt_units`: unknown (taken for mm by all), m, mm, micrometres."""
CODES = range(6)
"""Of qform and sform: 0 says that there is none."""
SCANNER = 1
"""That of scanner coordinates."""
GZIP, NIFTI_2_BYTES = b"\x1f\x8b", 540
# Parts of a quaternion, which are rounded to float32.
UNIT = 1e-5

FIELDS = np.dtype(
    {
        "names": [
            "size",
            "dim",
            "datatype",
            "bitpix",
            "pixdim",
            "offset",
            "slope",
            "intercept",
            "units",
            "qform",
            "sform",
            "quaternion",
            "origin",
            "rows",
            "magic",
        ],
        "formats": [
            "<i4",
            "8<i2",
            "<i2",
            "<i2",
            "8<f4",
            "<f4",
            "<f4",
            "<f4",
            "u1",
            "<i2",
            "<i2",
            "3<f4",
            "3<f4",
            "(3,4)<f4",
            "S4",
        ],
        "offsets": [0, 40, 70, 72, 76, 108, 112, 116, 123, 252, 254, 256, 268, 280, 344],
        "itemsize": HEADER_BYTES,
    }
)


def read_nifti(path: Path) -> Stored:
    """Read what a NIfTI file says of its voxels.

    Arguments:
        path: A `.nii` or `.nii.gz` file, zipped or not whatever its name says.

    Returns:
        The image that it describes.

    Raises:
        InputError: One of `scan.*`, see `read_scan`.
    """
    name = path.name
    packing, head = _head(path)
    header = _fields(head, name)
    shape = _shape(header, name)
    slope, intercept = _scaling(header, name)
    return Stored(
        name=name,
        shape=shape,
        number=_number(header, name),
        affine=_affine(header, shape, name),
        place=Place((path,), packing=packing, skipped=_offset(header, name)),
        slope=slope,
        intercept=intercept,
    )


def check_whole(path: Path) -> None:
    """Make sure that the file holds every voxel that its header promises, NaN or not.

    Arguments:
        path: A `.nii` or `.nii.gz` file.

    Raises:
        InputError: `scan.unreadable` when the file is no NIfTI-1 file, damaged or cut short.
    """
    check_voxels(read_nifti(path))


def _head(path: Path) -> tuple[Packing, bytes]:
    """Read the first bytes, unzipped where they are zipped (the name does not decide)."""
    with path.open("rb") as file:
        packing: Packing = "gzip" if file.read(2) == GZIP else "raw"
        file.seek(0)
        with unpacked(file, packing, path.name) as stream:
            return packing, stream.read(HEADER_BYTES) or b""


def _fields(head: bytes, name: str) -> np.void:
    """Take the header apart, in whichever byte order it is stored."""
    if head[:2] == GZIP:
        raise damaged(name, "a NIfTI file that is zipped once at most", "one zipped twice")
    if len(head) < HEADER_BYTES:
        raise damaged(name, f"a NIfTI header of {HEADER_BYTES} bytes", f"{len(head)} bytes")
    for fields in (FIELDS, FIELDS.newbyteorder()):
        header = np.frombuffer(head, fields)[0]
        if header["size"] == NIFTI_2_BYTES:
            raise damaged(name, "a NIfTI-1 header", "NIfTI-2, which is not read")
        if header["size"] == HEADER_BYTES and header["magic"] == b"n+1":
            return header
        if header["size"] == HEADER_BYTES and header["magic"] == b"ni1":
            raise damaged(name, "voxels in the same file", "a header that tells of an .img file")
    raise damaged(name, "a NIfTI-1 header", "something else")


def _shape(header: np.void, name: str) -> tuple[int, int, int]:
    """Read the sizes."""
    count, *sizes = (int(size) for size in header["dim"])
    if not 1 <= count <= 7:
        raise damaged(name, "1 to 7 dimensions", str(count))
    sizes = sizes[:count]
    if count == 5 and sizes[3] == 1 and sizes[4] > 1:
        raise not_scalar(name, f"{sizes[4]} ({as_sizes(sizes)})")
    if (kind := int(header["datatype"])) in NOT_SCALAR:
        raise not_scalar(name, NOT_SCALAR[kind])
    return volume_shape(sizes, name)


def _number(header: np.void, name: str) -> np.dtype:
    """Read the type of the voxels."""
    kind, bits = int(header["datatype"]), int(header["bitpix"])
    if kind not in NUMBERS:
        raise damaged(name, "a datatype of NIfTI-1 for one real number", str(kind))
    number = np.dtype(NUMBERS[kind]).newbyteorder(header.dtype["size"].byteorder)
    if bits != 8 * number.itemsize:
        raise damaged(name, f"{8 * number.itemsize} bits for datatype {kind}", str(bits))
    return number


def _offset(header: np.void, name: str) -> int:
    """Read where the voxels begin."""
    offset = float(header["offset"])
    if not FIRST_VOXEL <= offset <= MAX_OFFSET or offset != int(offset):
        raise damaged(
            name, f"a whole number from {FIRST_VOXEL} on as the voxels' offset", f"{offset:g}"
        )
    return int(offset)


def _scaling(header: np.void, name: str) -> tuple[float, float]:
    """Read slope and intercept; a slope of 0 means none, and so does NaN to most programs."""
    slope, intercept = float(header["slope"]), float(header["intercept"])
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise damaged(name, "a finite slope and intercept", f"{slope:g} and {intercept:g}")
    return slope, intercept


def _affine(header: np.void, shape: tuple[int, int, int], name: str) -> np.ndarray:
    """Read where the voxels lie, from sform or qform; where readers would differ, it is refused."""
    scale = UNITS_MM.get(int(header["units"]) & 7)
    if scale is None:
        raise no_spacing(name, f"an unknown unit of length ({int(header['units']) & 7})")
    spacing = header["pixdim"][1:4].astype(float)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise no_spacing(name, str(spacing.tolist()))
    codes = [int(header["qform"]), int(header["sform"])]
    if not all(code in CODES for code in codes):
        raise not_placed(name, f"the unknown codes {codes[0]} and {codes[1]} of qform and sform")
    places = []
    if header["sform"] > 0:
        sform = np.vstack([header["rows"].astype(float), [0.0, 0.0, 0.0, 1.0]])
        places += [sform, _with_spacing(sform, spacing)]
    # nibabel takes the sform, ITK the qform unless the sform tells of the scanner.
    if header["qform"] > 0 and header["sform"] != SCANNER:
        places.append(_qform(header, spacing, name))
    if not places:
        raise not_placed(name, "neither qform nor sform in its header")
    with np.errstate(invalid="ignore"):
        affine, *others = (in_array_order(np.diag([scale] * 3 + [1.0]) @ a) for a in places)
    check_grid(affine)
    if not all(same_grid(shape, affine, shape, other) for other in others):
        raise _contradiction(name)
    return affine


def _with_spacing(affine: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Give the axes of an affine the lengths `spacing`; NaN for an axis that has none."""
    scaled = affine.copy()
    with np.errstate(all="ignore"):
        scaled[:3, :3] *= spacing / np.linalg.norm(affine[:3, :3], axis=0)
    return scaled


def _qform(header: np.void, spacing: np.ndarray, name: str) -> np.ndarray:
    """Turn the quaternion into an affine (nifti1.h, method 2)."""
    b, c, d = header["quaternion"].astype(float)
    rest = 1.0 - (b * b + c * c + d * d)
    handed = float(header["pixdim"][0])
    if not rest >= -UNIT or handed not in (-1.0, 0.0, 1.0):
        raise not_placed(name, "a qform that is no rotation")
    length = math.sqrt(b * b + c * c + d * d + max(rest, 0.0))
    a, b, c, d = math.sqrt(max(rest, 0.0)) / length, b / length, c / length, d / length
    affine = np.eye(4)
    affine[:3, :3] = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ]
    affine[:3, :3] *= spacing * [1.0, 1.0, -1.0 if handed < 0 else 1.0]
    affine[:3, 3] = header["origin"]
    return affine


def _contradiction(name: str) -> InputError:
    """Say that a file tells of two places."""
    return InputError(
        "scan.orientation",
        f"Expected one place in the patient, found that qform, sform and voxel spacing of {name} "
        "contradict each other.",
        "Convert the scan from its DICOM files again.",
    )
