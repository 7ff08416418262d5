"""A store of made-up scans that the tests of training share."""

from pathlib import Path

import numpy as np

from ctscreener.preprocess import PreprocessSettings
from ctscreener.settings import to_json
from training.data.arrays import write_array
from training.data.store import StoredScan, write_manifest

SPACING = np.array([[0, 0, -1.5, 0], [0, -1.5, 0, 0], [2.25, 0, 0, 0], [0, 0, 0, 1.0]])


def make_store(
    folder: Path, shapes: dict[str, tuple[int, int, int]], ending: str = ".b2nd"
) -> dict[str, np.ndarray]:
    """Write scans of smooth noise, with a body that leaves a rim of 2 voxels; gives the images."""
    folder.mkdir()
    images, scans = {}, []
    for seed, (name, shape) in enumerate(shapes.items()):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, [-(-side // 3) for side in shape], dtype=np.uint8)
        grown = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)
        images[name] = grown[: shape[0], : shape[1], : shape[2]]
        body = np.zeros(shape, dtype=np.uint8)
        body[2:-2, 2:-2, 2:-2] = 1
        write_array(folder / f"{name}.image{ending}", images[name])
        write_array(folder / f"{name}.body{ending}", body)
        scans.append(StoredScan(name, shape, SPACING, f"/scans/{name}.nii.gz", f"{seed:064x}"))
    write_manifest(folder, to_json(PreprocessSettings()), scans, [])
    return images
