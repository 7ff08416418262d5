"""Kinds of synthetic anomalies: what a shape does to the voxels of a scan."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.phantoms.fields import texture
from training.synthetic.shapes import Shape3d
from training.synthetic.tissue import Tissue

LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0


@dataclass(frozen=True)
class Site:
    """A box of a scan where an anomaly goes, as large as its shape.

    Arguments:
        hu: HU of the box, float32, `(D, H, W)`.
        shape: The shape.
        radius: Its radius in mm.
        aired: Whether its middle lies in lung.
        tissue: The scan.
        donor: HU of a box of the same size from elsewhere, `(D, H, W)`.
    """

    hu: np.ndarray
    shape: Shape3d
    radius: float
    aired: bool
    tissue: Tissue
    donor: np.ndarray


Kind = Callable[[Site, np.random.Generator], np.ndarray]
"""Gives the HU of the site with the anomaly in it; what lies outside of the shape stays."""


def foreign(site: Site, rng: np.random.Generator) -> np.ndarray:
    """A patch of another place or patient (foreign patch interpolation, arXiv 2011.04197)."""
    amount = rng.uniform(0.5, 1.0)
    return blend(site, site.donor, rng, amount, own_noise=True)


def new_tissue(site: Site, rng: np.random.Generator) -> np.ndarray:
    """Tissue of any level, with grain, and sometimes with a core or a rim of another."""
    level = rng.uniform(-80, 140) if rng.random() < 0.85 else rng.uniform(-700, -100)
    return blend(site, _grained(site, level, rng), rng)


def shift(site: Site, rng: np.random.Generator) -> np.ndarray:
    """What is there, brighter or darker, with its structure kept."""
    low, high = (150.0, 600.0) if site.aired else (25.0, 90.0)
    change = rng.uniform(low, high) * (1 if site.aired or rng.random() < 0.5 else -1)
    return blend(site, site.hu + change, rng, own_noise=True)


def smeared(site: Site, rng: np.random.Generator) -> np.ndarray:
    """What is there, blurred or sharpened; the noise stays as strong as it was."""
    calm = ndimage.gaussian_filter(
        site.hu, rng.uniform(2.0, 5.0) / site.tissue.spacing, mode="nearest", truncate=3.0
    )
    if rng.random() < 0.25:
        return blend(site, site.hu + rng.uniform(0.8, 2.0) * (site.hu - calm), rng, own_noise=True)
    return blend(site, calm, rng)


def opacity(site: Site, rng: np.random.Generator) -> np.ndarray:
    """Ground glass to consolidation: a veil over lung through which denser structures show."""
    level = rng.uniform(-750, 40)
    veil = level + 40 * texture(rng, site.hu.shape, site.tissue.spacing, rng.uniform(6, 20))
    patchy = texture(rng, site.hu.shape, site.tissue.spacing, rng.uniform(5, 14))
    veiled = site.hu + np.clip(0.85 + rng.uniform(0, 0.4) * patchy, 0.2, 1) * (veil - site.hu)
    return blend(site, np.maximum(site.hu, veiled), rng, own_noise=True)


def calcium(site: Site, rng: np.random.Generator) -> np.ndarray:
    """Something much denser than soft tissue: calcium, bone, contrast medium, metal at times."""
    level = rng.uniform(150, 900) if rng.random() < 0.85 else rng.uniform(900, 2500)
    return blend(site, _grained(site, level, rng, 60.0), rng)


def fluid(site: Site, rng: np.random.Generator) -> np.ndarray:
    """Something without any structure: water, bile, fat, old blood."""
    level = rng.uniform(-110, -70) if rng.random() < 0.3 else rng.uniform(-10, 30)
    return blend(site, np.full_like(site.hu, level), rng)


def gas(site: Site, rng: np.random.Generator) -> np.ndarray:
    """Gas where none belongs; in lungs, a cyst or emphysema."""
    return blend(site, np.full_like(site.hu, rng.uniform(-1000, -850)), rng)


def mass(site: Site, rng: np.random.Generator) -> np.ndarray:
    """A mass that pushes what lies around it aside, across borders of organs."""
    pushed = _pushed(site, rng.uniform(0.3, 0.8))
    return blend(site, _grained(site, rng.uniform(-20, 120), rng), rng, around=pushed)


def swelling(site: Site, rng: np.random.Generator) -> np.ndarray:
    """What is there, swollen or shrunk: all its tissues are its own, their places are not."""
    strength = rng.uniform(0.35, 0.7) * (1 if rng.random() < 0.6 else -1)
    return blend(site, site.hu, rng, around=_pushed(site, strength), amount=0.0)


def erased(site: Site, rng: np.random.Generator) -> np.ndarray:
    """Something is missing: the shape is filled with what surrounds it."""
    weight = 1 - site.shape.share
    sigma = max(site.radius, 4.0) / site.tissue.spacing
    total = ndimage.gaussian_filter(site.hu * weight, sigma, mode="nearest", truncate=3.0)
    share = ndimage.gaussian_filter(weight, sigma, mode="nearest", truncate=3.0)
    return blend(site, total / np.maximum(share, 1e-3), rng)


KINDS: dict[str, tuple[Kind, float]] = {
    "foreign": (foreign, 0.2),
    "tissue": (new_tissue, 0.22),
    "shift": (shift, 0.18),
    "smeared": (smeared, 0.05),
    "calcium": (calcium, 0.05),
    "fluid": (fluid, 0.07),
    "gas": (gas, 0.04),
    "mass": (mass, 0.12),
    "swelling": (swelling, 0.04),
    "erased": (erased, 0.03),
}
"""Every kind, with how often it is drawn."""
IN_LUNG: dict[str, tuple[Kind, float]] = {
    "opacity": (opacity, 0.25),
    "tissue": (new_tissue, 0.25),
    "mass": (mass, 0.2),
    "shift": (shift, 0.1),
    "foreign": (foreign, 0.12),
    "gas": (gas, 0.06),
    "calcium": (calcium, 0.04),
    "smeared": (smeared, 0.04),
    "fluid": (fluid, 0.04),
}
"""The same where lungs are."""


def blend(
    site: Site,
    values: np.ndarray,
    rng: np.random.Generator,
    amount: float = 1.0,
    own_noise: bool = False,
    around: np.ndarray | None = None,
) -> np.ndarray:
    """Mix new values into a site, as noisy as the scan, so that no border gives them away.

    Arguments:
        site: The site.
        values: HU where the shape is, `(D, H, W)`.
        rng: Draws the noise.
        amount: Share of the new values where the shape fills a voxel.
        own_noise: Whether `values` have noise of their own already.
        around: HU outside of the shape, the site's own where None.

    Returns:
        HU, whole numbers, float32, `(D, H, W)`; equal to the site's where nothing changes.
    """
    share = amount * site.shape.share
    base = site.hu if around is None else around
    mixed = (1 - share) * base + share * values
    if own_noise:
        # Two independent noises in equal parts are weaker than one: what is missing is added.
        missing = 1 - ((1 - share) ** 2 + share**2) if values is site.donor else 0 * share
    else:
        missing = 1 - (1 - share) ** 2
    changed = np.abs(mixed - site.hu) > 1e-3
    if missing.any():
        noise = site.tissue.noise(mixed.shape, rng)
        mixed = mixed + noise * np.sqrt(missing)
    return np.where(changed, np.clip(np.rint(mixed), LOWEST_HU, HIGHEST_HU), site.hu)


def _grained(
    site: Site, level: float, rng: np.random.Generator, contrast: float = 25.0
) -> np.ndarray:
    """Tissue around a level: grain of a random size, sometimes a core or a rim of another level."""
    wavelength = rng.uniform(3, 14)
    grain = texture(rng, site.hu.shape, site.tissue.spacing, wavelength)
    values = level + rng.uniform(0, contrast) * grain
    if site.radius > 6 and rng.random() < 0.35:
        border = rng.uniform(0.2, 0.6) * site.radius
        core = 1 / (1 + np.exp(-np.clip((site.shape.depth - border) / 1.0, -20, 20)))
        values = values + core * rng.uniform(20, 70) * (1 if rng.random() < 0.4 else -1)
    return values


def _pushed(site: Site, strength: float) -> np.ndarray:
    """The site with all that lies around the shape's middle moved outward; inward below 0."""
    spacing = site.tissue.spacing
    offsets = np.stack(
        np.meshgrid(
            *[(np.arange(n) - n // 2) * s for n, s in zip(site.hu.shape, spacing, strict=True)],
            indexing="ij",
        )
    )
    r = np.sqrt((offsets**2).sum(0)) + 1e-6
    reach = 1.4 * site.radius
    pull = 1 - strength * np.clip(1 - r / (1.6 * reach), 0, 1)
    at = (offsets * pull) / spacing[:, None, None, None]
    at += np.array([n // 2 for n in site.hu.shape])[:, None, None, None]
    return ndimage.map_coordinates(site.hu, at, order=1, mode="nearest")
