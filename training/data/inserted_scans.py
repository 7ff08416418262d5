"""Scans of the stage `insert`, whose lesions a discriminator is trained on beside its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage import measure

from ctscreener.encoded import PLAIN
from ctscreener.errors import InputError
from ctscreener.files import read_mask, read_scan
from ctscreener.preprocess import prepare
from ctscreener.resampling import resample
from ctscreener.settings import read_json
from training.phantoms.lesion_site import LABELS
from training.synthetic.corruption import Corrupted

KNOWN = LABELS["other"]
"""Label of lesions that a scan had before: neither anomalies here nor normal."""
NEAR = (3, 5, 5)
"""Box in voxels around a lesion that its blurred edge may reach."""


@dataclass(frozen=True)
class InsertedScan:
    """A scan with lesions that its patient never had.

    Arguments:
        name: Its own name.
        host: Hash of the scan that they were put into.
        path: The scan; its mask lies beside it.
    """

    name: str
    host: str
    path: Path


def find_inserted(folders: Sequence[Path]) -> list[InsertedScan]:
    """Scans in folders of the stage `insert`.

    Raises:
        InputError: `discriminator.inserted` where a folder is none such.
    """
    found = []
    for folder in folders:
        if not (folder / "manifest.json").is_file():
            raise InputError(
                "discriminator.inserted",
                f"Expected a folder of the stage `insert`, found no manifest.json in {folder}.",
                "Run the stage `insert` first, or check --inserted.",
            )
        for entry in read_json(folder / "manifest.json")["scans"]:
            path = folder / f"{entry['name']}.nii.gz"
            found.append(InsertedScan(entry["name"], entry["source_sha256"], path))
    return found


def read_inserted(inserted: InsertedScan) -> tuple[Corrupted, np.ndarray]:
    """Read a scan and its lesions as anomalies on the encoder's grid.

    Arguments:
        inserted: Which scan.

    Returns:
        The scan with its anomalies, and its body, bool.
    """
    scan = read_scan(inserted.path)
    prepared = prepare(scan, PLAIN)
    labels = read_mask(inserted.path.with_name(f"{inserted.name}_lesion.nii.gz"), scan)
    labels = resample(labels, scan.affine, prepared.affine, prepared.shape, 0, nearest=True)
    lesions = np.asarray(measure.label((labels > 0) & (labels != KNOWN), connectivity=3))
    kinds = []
    families = {number: name for name, number in LABELS.items()}
    for number in range(1, int(lesions.max()) + 1):
        family = int(np.bincount(labels[lesions == number]).argmax())
        kinds.append(families[family][:16])
    touched = ndimage.maximum_filter(labels > 0, NEAR)
    hu = prepared.image.astype(np.float32)
    return Corrupted(hu, lesions.astype(np.int16), touched, tuple(kinds)), prepared.body
