"""Where a folder keeps scans and masks: our own layout, nnU-Net's, and that of the Decathlon.

nnU-Net (Isensee et al., Nature Methods 2021) and the Medical Segmentation Decathlon (Antonelli et
al., Nature Communications 2022) share the folders `imagesTr`, `labelsTr` and a `dataset.json`;
nnU-Net ends an image's name with the number of its channel, and turns names and values of labels
around.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ctscreener.errors import InputError
from ctscreener.settings import read_json

MASK = "_lesion.nii.gz"
PARTS = ("Tr", "Ts")
CHANNEL = "_0000"
"""End of the name of the first channel's image."""

Pair = tuple[str, Path, Path]
"""Name, scan, mask."""


def mask_beside(scan: Path) -> Path:
    """Where the mask of a scan stands in our own layout, whether it is there or not.

    Example:
        >>> mask_beside(Path("a/b.nii.gz")).as_posix()
        'a/b_lesion.nii.gz'
    """
    return scan.with_name(scan.name.removesuffix(".gz").removesuffix(".nii") + MASK)


def find_pairs(folder: Path) -> list[Pair]:
    """Find the scans of a set that have a mask, sorted by name.

    Arguments:
        folder: `<name>_lesion.nii.gz` beside `<name>.nii.gz` or a DICOM folder `<name>`; or a
            `dataset.json` with `imagesTr` and `labelsTr`, `imagesTs` and `labelsTs`.

    Raises:
        InputError: `evaluate.no_masks`, `evaluate.layout` or `scan.missing`.
    """
    described = (folder / "dataset.json").is_file()
    pairs = list(_listed(folder) if described else _beside(folder))
    if not pairs:
        where = "masks in labelsTr or labelsTs" if described else f"masks named *{MASK}"
        raise InputError(
            "evaluate.no_masks",
            f"Expected {where} in {folder}, found none.",
            "Check the folder.",
        )
    return sorted(pairs)


def lesion_value(folder: Path) -> int:
    """The value of the only kind of label that `dataset.json` names beside the background.

    Raises:
        InputError: `evaluate.layout`, or `evaluate.labels` where there are several.
    """
    names = {value: name for name, value in _labels(folder).items() if value}
    if len(names) != 1:
        listed = ", ".join(f"{value} {name}" for value, name in sorted(names.items())) or "none"
        raise InputError(
            "evaluate.labels",
            f"Expected one kind of label in {folder / 'dataset.json'}, found {listed}.",
            "Say by --labels which value the lesions have, 0 for all of them.",
        )
    return next(iter(names))


def _beside(folder: Path) -> Iterator[Pair]:
    """Our own layout: masks beside scans."""
    for mask in _files(folder, MASK):
        name = mask.name.removesuffix(MASK)
        yield name, _first(mask, [mask.with_name(f"{name}.nii.gz"), mask.with_name(name)]), mask


def _listed(folder: Path) -> Iterator[Pair]:
    """The layout of nnU-Net and of the Decathlon."""
    ending = _description(folder).get("file_ending", ".nii.gz")
    for part in PARTS:
        images = folder / f"images{part}"
        for mask in _files(folder / f"labels{part}", ending):
            name = mask.name.removesuffix(ending)
            scans = [images / f"{name}{CHANNEL}{ending}", images / f"{name}{ending}"]
            yield name, _first(mask, scans), mask


def _files(folder: Path, ending: str) -> list[Path]:
    """Files with an ending, less the hidden ones that some systems leave beside them."""
    return [path for path in folder.glob(f"*{ending}") if path.name[0] != "."]


def _first(mask: Path, scans: list[Path]) -> Path:
    """The first of several places where a scan is."""
    for scan in scans:
        if scan.exists():
            return scan
    raise InputError(
        "scan.missing",
        f"Expected the scan of the mask {mask.name}, found neither {scans[0].name} nor "
        f"{scans[1].name} in {scans[0].parent}.",
        "Put it there, or remove the mask.",
    )


def _labels(folder: Path) -> dict[str, int]:
    """Names and values of labels: nnU-Net maps names to values, the Decathlon values to names."""
    labels = _description(folder).get("labels", {})
    try:
        if all(str(name).isdigit() for name in labels):
            return {str(name): int(value) for value, name in labels.items()}
        return {str(name): int(value) for name, value in labels.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "evaluate.layout",
            f"Expected names and whole numbers as labels in {folder / 'dataset.json'}, found "
            f"{labels!r}.",
            "Correct the file, or say by --labels which value the lesions have.",
        ) from error


def _description(folder: Path) -> dict[str, Any]:
    """The contents of `dataset.json`."""
    description = read_json(folder / "dataset.json")
    if not isinstance(description, dict):
        raise InputError(
            "evaluate.layout",
            f"Expected {folder / 'dataset.json'} to hold a JSON object, found another value.",
            "Take the file of nnU-Net or of the Decathlon.",
        )
    return description
