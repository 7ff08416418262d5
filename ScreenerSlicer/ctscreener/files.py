"""A scan or a mask on disk: a NIfTI, NRRD or MetaImage file, or a folder of DICOM files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ctscreener import nifti
from ctscreener.dicom import read_dicom
from ctscreener.errors import InputError
from ctscreener.itk import from_image, quiet
from ctscreener.maps import write_map
from ctscreener.plausible import check_grid, check_scan
from ctscreener.scan import Scan

__all__ = ["read_labels", "read_mask", "read_scan", "write_map"]

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr")
FORMATS = (*NIFTI, *NRRD, ".mha", ".mhd")
# Two grids are one when no voxel is further off than this part of a voxel.
SAME_PLACE = 0.1


def read_scan(path: Path, series: str | None = None) -> Scan:
    """Read a CT scan and make sure that it can be screened.

    Values below -1024 HU, which scanners put outside their field of view, are left as they are.

    Arguments:
        path: A NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr) or MetaImage (.mha, .mhd) file, or a
            folder of DICOM files.
        series: SeriesInstanceUID of the one to read, where a folder holds several.

    Returns:
        The scan, on the axes that the file has.

    Raises:
        InputError: One of `scan.*` or `dicom.*`.
    """
    if not path.exists():
        raise InputError(
            "scan.missing", f"Expected a scan, found nothing at {path}.", "Check the path."
        )
    if path.is_dir():
        scan = read_dicom(path, series)
    else:
        values, affine = _read(path)
        scan = Scan(values.astype(np.float32, copy=False), affine)
    check_scan(scan)
    return scan


def read_mask(path: Path, like: Scan) -> np.ndarray:
    """Read a mask that was drawn on a scan.

    Arguments:
        path: A file as `read_scan` reads, of whole numbers from 0 to 255.
        like: The scan that the mask belongs to.

    Returns:
        Labels, 0 where there is nothing, uint8, in the shape of the scan.

    Raises:
        InputError: `mask.grid` when the mask lies on other voxels than the scan, `mask.values`
            when it holds no labels, or one of `scan.*` when it cannot be read.
    """
    labels, affine = read_labels(path)
    if not same_grid(labels.shape, affine, like.shape, like.affine):
        raise InputError(
            "mask.grid",
            f"Expected {path.name} on the {_sizes(like.shape)} voxels of its scan, found "
            f"{_sizes(labels.shape)} or another place.",
            "Resample the mask to the scan, by nearest neighbour.",
        )
    return labels


def read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a mask on its own grid.

    Arguments:
        path: A file as `read_scan` reads, of whole numbers from 0 to 255.

    Returns:
        Labels, uint8, `(D, H, W)`, and their affine, `(4, 4)`.

    Raises:
        InputError: `mask.values` when it holds no labels, or one of `scan.*` when it cannot be
            read.
    """
    if not path.is_file():
        raise InputError(
            "scan.missing", f"Expected a mask, found no file at {path}.", "Check the path."
        )
    values, affine = _read(path)
    labels = values.astype(np.uint8)
    if not np.array_equal(labels, values):
        raise InputError(
            "mask.values",
            f"Expected whole numbers from 0 to 255 in {path.name}, found others.",
            "Save the mask as a label map.",
        )
    return labels, affine


def same_grid(
    shape: tuple[int, ...], affine: np.ndarray, other: tuple[int, ...], other_affine: np.ndarray
) -> bool:
    """Tell whether two grids have their voxels in the same places.

    Arguments:
        shape: Voxels of the one, `(D, H, W)`.
        affine: Its affine, `(4, 4)`.
        other: Voxels of the other, `(D, H, W)`.
        other_affine: Its affine, `(4, 4)`.

    Returns:
        True when the shapes agree and no corner is off by more than a tenth of a voxel.
    """
    if tuple(shape) != tuple(other):
        return False
    corners = np.array([[d, h, w] for d in (0, 1) for h in (0, 1) for w in (0, 1)])
    points = np.column_stack([corners * (np.array(shape) - 1), np.ones(8)])
    apart = np.linalg.norm((affine - other_affine) @ points.T, axis=0).max()
    return bool(apart <= SAME_PLACE * np.linalg.norm(affine[:3, :3], axis=0).min())


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one file: values `(D, H, W)` of the file's own type, and their affine."""
    name = path.name.lower()
    if not name.endswith(FORMATS):
        raise InputError(
            "scan.format",
            f"Expected a file ending in {', '.join(FORMATS)} or a folder of DICOM files, found "
            f"{path.name}.",
            "For DICOM, give the folder that holds all slices.",
        )
    expected = None
    try:
        if name.endswith(NIFTI):
            nifti.check_voxels(path)
            expected = nifti.header_affine(path)
            if expected is not None:
                check_grid(expected)
        with quiet():
            image = _read_image(path)
    except (OSError, RuntimeError) as failure:
        raise _unreadable(path, failure) from failure
    if name.endswith(NRRD) and not image.HasMetaDataKey("NRRD_space"):
        raise InputError(
            "scan.orientation",
            f"Expected to learn from {path.name} how it lies in the patient, found no space.",
            "Convert the scan from its DICOM files again, or save it with 3D Slicer.",
        )
    values, affine = from_image(image)
    check_grid(affine)
    if expected is not None and not same_grid(values.shape, affine, values.shape, expected):
        raise InputError(
            "scan.orientation",
            f"Expected one place in the patient, found that qform, sform and voxel spacing of "
            f"{path.name} contradict each other.",
            "Convert the scan from its DICOM files again.",
        )
    return values, affine


def _read_image(path: Path) -> sitk.Image:
    """Read a three-dimensional image of one real value a voxel, or say what was found."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    sizes = list(reader.GetSize())
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) != 3 or sizes[2] == 1:
        raise InputError(
            "scan.not_3d",
            f"Expected a three-dimensional scan, found {_sizes(sizes)} voxels in {path.name}.",
            "Give one volume of a series with many slices.",
        )
    if reader.GetNumberOfComponents() != 1:
        kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        raise InputError(
            "scan.not_scalar",
            f"Expected one real value a voxel, found {reader.GetNumberOfComponents()} ({kind}) in "
            f"{path.name}.",
            "Give the CT itself, not a picture or a field of vectors.",
        )
    # Axes of size 1 beyond the third are cut off while the file is read.
    reader.SetExtractSize(sizes + [0] * (reader.GetDimension() - 3))
    return reader.Execute()


def _unreadable(path: Path, failure: Exception) -> InputError:
    """Say why ITK could not read a file, as far as it tells."""
    if "orthonormal" in str(failure) or "irection" in str(failure):
        return InputError(
            "scan.orientation",
            f"Expected perpendicular voxel axes in {path.name}, found a sheared, empty or broken "
            "affine.",
            "Resample the scan to a straight grid, for example with dcm2niix or 3D Slicer.",
        )
    if "pacing" in str(failure):
        return InputError(
            "scan.spacing",
            f"Expected a voxel spacing above 0 mm in {path.name}, found another.",
            "Correct the spacing in the file, or convert the scan again.",
        )
    return InputError(
        "scan.unreadable",
        f"Expected a whole, readable image in {path.name}, found a file that is damaged, cut "
        "short or locked.",
        "Copy or convert the file again.",
    )


def _sizes(sizes: Sequence[int]) -> str:
    """Write the sizes of an image as people do."""
    return " x ".join(str(size) for size in sizes)
