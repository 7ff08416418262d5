"""What a scan is made of, as far as synthetic anomalies care, and what its noise is like."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

LUNG_HU = (-980.0, -550.0)
"""Smoothed lung lies between these."""
SOFT_HU = (-30.0, 220.0)
"""Smoothed soft tissue lies between these."""
CALM_MM = 3.0
"""Width in mm of the Gaussian that tissue is told apart on."""
DEEP_MM = 6.0
"""Lung is taken from this distance to what is not lung on: bowel gas is seldom so wide."""
VISCERA_MM = 25.0
"""Organs and the fat among them lie deeper than this below the skin."""
TRUNCATE = 3.0
"""Standard deviations at which the Gaussian that blurs noise ends."""
VISCERA_HU = (-140.0, 250.0)
"""Smoothed organs, and the fat among them, lie between these."""


@dataclass(frozen=True)
class Tissue:
    """A scan that is ready to receive anomalies.

    Arguments:
        hu: HU, float32, `(D, H, W)`, D to superior.
        body: Voxels of the body, bool, `(D, H, W)`.
        spacing: mm along `(D, H, W)`, `(3,)`.
        lung: Voxels well inside of lungs, bool, `(D, H, W)`.
        soft: Voxels of soft tissue, bool, `(D, H, W)`.
        viscera: Voxels of organs and of fat among them, as far as depth tells, bool, `(D, H, W)`.
        noise_hu: Standard deviation of the noise in soft tissue.
        noise_blur: Standard deviation in voxels of a Gaussian that makes white noise as smooth.
    """

    hu: np.ndarray = field(repr=False)
    body: np.ndarray = field(repr=False)
    spacing: np.ndarray
    lung: np.ndarray = field(repr=False)
    soft: np.ndarray = field(repr=False)
    viscera: np.ndarray = field(repr=False)
    noise_hu: float
    noise_blur: float

    def noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw noise like the scan's, HU, float32, `(D, H, W)`."""
        white = rng.standard_normal(shape).astype(np.float32)
        smooth = ndimage.gaussian_filter(white, self.noise_blur, mode="wrap", truncate=TRUNCATE)
        return smooth * (self.noise_hu / max(float(smooth.std()), 1e-6))


def read_tissue(hu: np.ndarray, body: np.ndarray, spacing: np.ndarray) -> Tissue:
    """Tell tissues of a scan apart and measure its noise.

    Arguments:
        hu: HU, `(D, H, W)`.
        body: Voxels of the body, bool, `(D, H, W)`.
        spacing: mm along `(D, H, W)`, `(3,)`.
    """
    hu = hu.astype(np.float32)
    calm = ndimage.gaussian_filter(hu, CALM_MM / 2 / spacing, mode="nearest", truncate=3.0)
    aired = body & (calm > LUNG_HU[0]) & (calm < LUNG_HU[1])
    lung = np.asarray(ndimage.distance_transform_edt(aired, spacing)) > DEEP_MM
    soft = body & (calm > SOFT_HU[0]) & (calm < SOFT_HU[1])
    viscera = body & (calm > VISCERA_HU[0]) & (calm < VISCERA_HU[1])
    # Within slices: a scan's first and last slice are not its skin.
    size = [1, *(2 * int(VISCERA_MM / step) + 1 for step in spacing[1:])]
    viscera &= np.asarray(ndimage.minimum_filter(body, size, mode="constant"), bool)
    noise_hu, noise_blur = _noise(hu, soft, spacing)
    return Tissue(hu, body, spacing, lung, soft, viscera, noise_hu, noise_blur)


def _noise(hu: np.ndarray, soft: np.ndarray, spacing: np.ndarray) -> tuple[float, float]:
    """Deviation and blur of the noise within slices, where soft tissue is calmest."""
    inner = np.asarray(ndimage.binary_erosion(soft, iterations=2), bool)
    if inner.sum() < 1000:
        inner = soft if soft.any() else np.ones_like(soft)
    # Anatomy is smooth over a few voxels: differences of neighbours within a slice are noise.
    near = (hu[:, :, 1:] - hu[:, :, :-1])[inner[:, :, 1:] & inner[:, :, :-1]]
    far = (hu[:, :, 3:] - hu[:, :, :-3])[inner[:, :, 3:] & inner[:, :, :-3]]
    one, three = (1.4826 * float(np.median(np.abs(d))) / np.sqrt(2) for d in (near, far))
    # Both are smaller than the noise by what noise has in common so far apart.
    share = (one / max(three, 1e-3)) ** 2
    shares = (1 - _CORRELATED[:, 0]) / (1 - _CORRELATED[:, 1])
    blur = float(np.interp(-share, -shares, _BLURS))
    deviation = three / np.sqrt(1 - np.interp(blur, _BLURS, _CORRELATED[:, 1]))
    return float(np.clip(deviation, 2.0, 60.0)), blur


def _correlated(blur: float) -> tuple[float, float]:
    """Correlation of noise as `Tissue.noise` draws it with that 1 and 3 voxels further on."""
    impulse = np.zeros(25)
    impulse[12] = 1
    kernel = ndimage.gaussian_filter1d(impulse, blur, mode="constant", truncate=TRUNCATE)
    products = np.correlate(kernel, kernel, "full")
    _, one, _, three = products[len(products) // 2 :][:4] / products.max()
    return float(one), float(three)


_BLURS = np.linspace(0.25, 1.6, 55)
_CORRELATED = np.array([_correlated(blur) for blur in _BLURS])
