"""Made-up patients in HU, a store of them, and an encoder of few weights, for whole-volume models."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from ctscreener.encoded import PLAIN
from ctscreener.encoder import EncoderSettings
from ctscreener.settings import to_json
from Testing.engine.small_encoded import small_encoder
from training import encoder
from training.data.arrays import write_array
from training.data.store import StoredScan, write_manifest
from training.encoder import EncoderFolder
from training.synthetic.tissue import Tissue, read_tissue

SPACING = np.array(PLAIN.spacing)
SHAPE = (28, 60, 64)
AFFINE = np.array([[0, 0, -1.5, 0], [0, -1.5, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1.0]])
SOFT = 40.0
ENCODER = EncoderSettings((2, 3), (1, 1))


def noise_of(
    shape: Sequence[int], deviation: float, blur: float, rng: np.random.Generator
) -> np.ndarray:
    """Noise of a deviation that is as smooth as a Gaussian of `blur` voxels makes it."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), blur, mode="wrap")
    return deviation * noise / noise.std()


def patient(
    seed: int, shape: tuple[int, int, int] = SHAPE, deviation: float = 14.0, blur: float = 0.6
) -> tuple[np.ndarray, np.ndarray]:
    """HU, int16, and body of a trunk with two lungs and a spine, and noise."""
    rng = np.random.default_rng([8, seed])
    d, h, w = np.ogrid[tuple(slice(-1, 1, 1j * n) for n in shape)]
    body = np.broadcast_to((h / 0.93) ** 2 + (w / 0.95) ** 2 < 1, shape)
    hu = np.where(body, SOFT, -1000.0)
    for side in (-0.45, 0.45):
        lung = ((w - side) / 0.3) ** 2 + (h / 0.55) ** 2 + ((d + rng.uniform(0, 0.3)) / 0.8) ** 2
        hu[lung < 1] = -850
    hu[np.broadcast_to(w**2 + (h - 0.6) ** 2 < 0.02, shape)] = 400
    hu = ndimage.gaussian_filter(hu, 0.5) + noise_of(shape, deviation, blur, rng)
    return np.rint(hu).astype(np.int16), body.copy()


def tissue(seed: int, shape: tuple[int, int, int] = SHAPE) -> Tissue:
    """Such a patient, ready to receive anomalies."""
    return read_tissue(*patient(seed, shape), SPACING)


def make_plain_store(folder: Path, patients: dict[str, int]) -> None:
    """Write patients, each made from the seed beside its name."""
    folder.mkdir(parents=True)
    scans = []
    for name, seed in patients.items():
        hu, body = patient(seed, (16, 36, 40))
        write_array(folder / f"{name}.image.b2nd", hu)
        write_array(folder / f"{name}.body.b2nd", body.astype(np.uint8))
        source = f"/scans/{name}.nii.gz"
        scans.append(StoredScan(name, (16, 36, 40), AFFINE, source, f"{seed:08x}" * 8))
    write_manifest(folder, to_json(PLAIN), scans, [])


def write_encoder(folder: Path, sizes: EncoderSettings = ENCODER, seed: int = 0) -> None:
    """Write an encoder with random weights, as the stage `encoder` does."""
    about = EncoderFolder(sizes, f"{seed:064x}", "random numbers", elsewhere=False)
    encoder.write_encoder(folder, encoder.packed(small_encoder(sizes, seed).state_dict()), about)
