"""The rarity colour map: one fixed colour for one rarity, in every picture of every patient.

Yellow, orange, red, magenta: each rarer step is darker than the one before, for normal and for
red-green blind eyes, and all are far from the greys of a CT. Rarities that a healthy scan is full
of have no colour at all, and neither has what was not scored.
"""

import numpy as np

HIGHEST = 6.0
"""The rarity that the last colour stands for; rarer voxels have the same colour."""
LOWEST = 2.0
"""The rarity below which nothing is coloured: 1 reference voxel in 100."""

STOPS = (
    (2.0, (255, 244, 150), 0.00),
    (2.5, (255, 226, 96), 0.50),
    (3.0, (255, 200, 40), 0.70),
    (4.0, (250, 138, 22), 0.78),
    (5.0, (226, 58, 40), 0.84),
    (6.0, (172, 0, 128), 0.90),
)
"""Rarity, colour (red, green, blue of 255) and opacity (of 1); linear in between."""


def rarity_to_rgba(rarity: np.ndarray) -> np.ndarray:
    """Colour a map of rarities.

    Arguments:
        rarity: Rarities, any shape `(...)`; NaN where not scored.

    Returns:
        Red, green, blue and opacity of 255, uint8, `(..., 4)`; all 0 where nothing is shown.

    Example:
        >>> rarity_to_rgba(np.array([1.0, 3.0, np.nan])).tolist()
        [[0, 0, 0, 0], [255, 200, 40, 178], [0, 0, 0, 0]]
    """
    at = [stop[0] for stop in STOPS]
    channels = np.array([(*colour, 255 * opacity) for _, colour, opacity in STOPS])
    # NaN is not above the lowest rarity either.
    shown = np.asarray(rarity) > LOWEST
    known = np.where(shown, rarity, LOWEST)
    rgba = np.stack([np.interp(known, at, channels[:, c]) for c in range(4)], axis=-1)
    return np.where(shown[..., None], np.rint(rgba), 0).astype(np.uint8)


def colour_table(entries: int = 256) -> np.ndarray:
    """Return the map as a table, for viewers that want one.

    Arguments:
        entries: How many colours, at least 2, equally spaced from rarity 0 to `HIGHEST`.

    Returns:
        Red, green, blue and opacity of 255, uint8, `(entries, 4)`.
    """
    return rarity_to_rgba(np.linspace(0, HIGHEST, entries))
