"""MIDRC-RICORD-1a: chest CT of COVID-19, with polygons drawn in MD.ai.

Tsai et al., Radiology 299(1), 2021. The annotations are one JSON file: `datasets` hold annotations
by SOPInstanceUID with `vertices` (column, row), `labelGroups` say which label an id is, and whether
it is of an image (`INSTANCE`) or of a study. Some annotations of images have no outline.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ctscreener.settings import read_json
from training.datasets.dicom_places import slice_numbers
from training.datasets.example import Example, Mask, Reader
from training.datasets.folders import below, first_image, levels, short, slices_of, some
from training.datasets.licence import CC_BY_NC_4
from training.datasets.masks import filled

ANNOTATIONS = r"MIDRC-RICORD-1a_annotations_.*\.json"
IMAGE = "INSTANCE"

Outline = tuple[str, str, np.ndarray]
"""SOPInstanceUID, name of the finding, corners as (column, row)."""


def fits(folder: Path) -> bool:
    """Whether the annotations or the patients are in a folder."""
    return some(folder, rf"{ANNOTATIONS}|MIDRC-RICORD-1[aA](-.*)?")


def examples(folder: Path) -> Iterator[Example]:
    """Its series; one without a polygon is one that nobody annotated, not one without findings."""
    found = sorted(p for p in folder.glob("*.json") if "1a_annotations" in p.name)
    outlined = outlines(found[0]) if found else {}
    for level in levels(below(folder, "MIDRC-RICORD-1A", "MIDRC-RICORD-1a")):
        if not slices_of(level) or not (image := first_image(level)) or image.modality != "CT":
            continue
        patient = next(
            (part for part in level.folder.parts if part.startswith("MIDRC-RICORD-1A-")),
            level.folder.parent.name,
        )
        mask = found[0] if image.series in outlined else None
        yield Example(f"{patient}_{short(image.series)}", level.folder, patient, mask=mask)


@lru_cache(maxsize=1)
def outlines(path: Path) -> dict[str, list[Outline]]:
    """Read the polygons of each series.

    Raises:
        InputError: `datasets.annotation`.
    """
    try:
        return _outlines(read_json(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "datasets.annotation",
            f"Expected the annotations of MIDRC-RICORD-1a in {path.name}, found other JSON "
            f"({type(error).__name__}: {error}).",
            "Download the annotations again.",
        ) from error


def _outlines(content: dict[str, Any]) -> dict[str, list[Outline]]:
    names = {
        label["id"]: label["name"]
        for group in content["labelGroups"]
        for label in group["labels"]
        if label["scope"] == IMAGE
    }
    found: dict[str, list[Outline]] = {}
    for dataset in content["datasets"]:
        for one in dataset["annotations"]:
            corners = (one.get("data") or {}).get("vertices")
            if one["labelId"] in names and corners:
                points = np.asarray(corners, dtype=float).reshape(-1, 2)
                outline = one["SOPInstanceUID"], names[one["labelId"]], points
                found.setdefault(one["SeriesInstanceUID"], []).append(outline)
    return found


def mask(example: Example, scan: Scan) -> Mask:
    """Fill the polygons: 1 and up for the findings by the order of their names.

    Raises:
        InputError: `datasets.annotation`.
    """
    assert example.mask is not None, "asked of examples with a mask alone"
    by_series = outlines(example.mask)
    findings = sorted({name for some in by_series.values() for _, name, _ in some})
    slices = slice_numbers(example.scan, scan)
    own = next((some for some in by_series.values() if any(o[0] in slices for o in some)), [])
    labels = np.zeros(scan.shape, np.uint8)
    for image, name, points in own:
        if image not in slices:
            raise InputError(
                "datasets.annotation",
                f"Expected polygons on images of {example.name}, found one on an image that is "
                f"not in the series ({image[-12:]}).",
                "Download the series again.",
            )
        labels[slices[image]][filled(points, scan.shape[1:])] = findings.index(name) + 1
    return labels, scan.affine


READER = Reader(
    name="midrc",
    title="MIDRC-RICORD-1a: chest CT of COVID-19, findings outlined in polygons",
    source="https://www.cancerimagingarchive.net/collection/midrc-ricord-1a",
    size="120 studies, 155 series, 12 GB",
    command="get images (NBIA Data Retriever) and "
    "MIDRC-RICORD-1a_annotations_labelgroup_all_2020-Dec-8.json of the collection's page",
    layout="MIDRC-RICORD-1A/<patient>/.../*.dcm beside MIDRC-RICORD-1a_annotations_*.json",
    fits=fits,
    examples=examples,
    licence=CC_BY_NC_4,
    mask=mask,
    masks="opacities, nodules, cavities and atelectasis of six names, all of them lesions",
    paper_set="MIDRC",
    notes="Annotations of images without an outline are left out. The paper counts 115 scans.",
)
