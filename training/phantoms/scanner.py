"""What the scanner adds: the table, slice thickness, kernel and noise."""

import numpy as np
from scipy import ndimage

from training.phantoms.canvas import Canvas
from training.phantoms.patient import Patient


def paint_table(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the table under the body, in the axes of the scanner.

    Arguments:
        canvas: What is painted on; only voxels outside the body change.
        rng: Draws the table's make.
    """
    body = canvas.hu > -400
    rows = np.flatnonzero(body.any((0, 2)))
    columns = np.flatnonzero(body.any((0, 1)))
    if len(rows) == 0:
        return
    _, dy, dx = canvas.spacing
    middle = (columns[0] + columns[-1]) / 2 * dx + rng.normal(0, 6)
    height, width = canvas.shape[1:]
    y = np.arange(height)[:, None] * dy
    x = np.arange(width)[None] * dx - middle
    bend = rng.uniform(700, 2500)
    gap = rng.uniform(-6, 9)
    top = rows[-1] * dy + gap - x**2 / (2 * bend)
    half = rng.uniform(160, 250)
    inside = np.abs(x) < half
    thick = rng.uniform(18, 45)
    sheet = np.clip(1.3 - np.abs(y - top) / dy, 0, 1) * inside
    lower = np.clip(1.3 - np.abs(y - top - thick) / dy, 0, 1) * inside
    foam = ((y > top) & (y < top + thick) & inside) * 1.0
    plate = -1000 + 60 * foam
    mattress = rng.uniform(2, 12)
    pad = (y > top - mattress) & (y < top) & inside & (rng.random() < 0.6)
    plate = np.where(pad, rng.uniform(-960, -900), plate)
    cover = np.maximum(sheet, lower)
    plate = (plate + cover * (rng.uniform(-300, 150) - plate)).astype(np.float32)
    share = np.clip((canvas.hu + 1000) / 900, 0, 1)
    outside = np.logical_not(ndimage.binary_dilation(body.any(0))) | (y > top - 1.5 * dy)
    blend = canvas.hu * share + np.maximum(plate, canvas.hu) * (1 - share)
    canvas.hu = np.where(outside[None] & (canvas.organ == 0), blend, canvas.hu)


def _correlate(noise: np.ndarray, sigma: float) -> np.ndarray:
    if sigma > 0.05:
        noise = ndimage.gaussian_filter1d(noise, sigma, axis=1, mode="nearest", truncate=2.5)
        noise = ndimage.gaussian_filter1d(noise, sigma, axis=2, mode="nearest", truncate=2.5)
    return noise


def expose(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Image the finished body.

    Noise grows where much tissue has to be crossed; it is as smooth as the kernel makes it.

    Arguments:
        canvas: The painted body.
        patient: Gives kernel and noise.
        rng: Draws the noise.

    Returns:
        HU rounded to whole numbers, -1024 to 3071, float32, `(D, H, W)`.
    """
    hu = canvas.hu
    thick = 0.32 * max(canvas.spacing[0] / 2.2 - 0.6, 0)
    if thick > 0.1:
        hu = ndimage.gaussian_filter1d(hu, min(thick, 0.5), axis=0, mode="nearest", truncate=2.0)
    pixel = float(canvas.spacing[1])
    sigma = max(patient.blur, 0) / pixel
    hu = _correlate(hu, 0.35 + 0.6 * sigma)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    noise = _correlate(noise, 0.35 + 0.7 * sigma)
    if patient.blur < 0:
        strength = -patient.blur
        hu = hu + strength * (hu - _correlate(hu, 0.8))
        noise = noise + 0.8 * strength * (noise - _correlate(noise, 0.9))
    noise = noise / max(float(noise[:: max(len(noise) // 8, 1)].std()), 1e-6)
    crossed = (canvas.hu > -400).mean((1, 2), keepdims=True)
    local = np.sqrt(crossed / max(float(crossed.mean()), 1e-3))
    calm = np.where(canvas.hu < -950, 0.6, 1.0).astype(np.float32)
    imaged = np.round(hu + patient.noise * local * calm * noise)
    return np.clip(imaged, -1024, 3071).astype(np.float32)
