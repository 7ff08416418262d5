"""One part of a whole-volume model alone, to be measured beside the sum of both."""

import copy
import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np

from ctscreener.encoded import Encoded, Part
from ctscreener.errors import InputError
from ctscreener.model import Model
from ctscreener.provenance import request
from ctscreener.scan import Scan
from ctscreener.screening import ScreenSettings
from training.baselines.scoring import rival_map

PART = "part:"
"""What stands before the name of the part."""
PARTS = ("discriminator", "density")


@dataclass(frozen=True)
class PartScore:
    """What a part adds to the score; see `training.baselines.folder.Rated`.

    As of the model itself, what it saw is told in the results and not refused.

    Arguments:
        name: What it is called in results.
        sha256: Hash of the model, of the part and of how it is asked.
        networks: The model with the other part left out.
        screening: How scans are screened.
    """

    name: str
    sha256: str
    networks: Encoded
    screening: ScreenSettings
    seen: frozenset[str] = frozenset()

    def map(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score a scan by the part alone, not brought to rarity."""
        return rival_map(self.networks, scan, body, self.screening)


def part_score(model: Model, part: str, screening: ScreenSettings) -> PartScore:
    """Take one part of a model.

    Arguments:
        model: The model that is measured.
        part: `discriminator` or `density`.
        screening: How scans are screened.

    Raises:
        InputError: `evaluate.part` where the model has no such part, or does not use it.
    """
    networks = model.networks
    if not (isinstance(networks, Encoded) and part in PARTS and weight_of(networks, part)):
        raise InputError(
            "evaluate.part",
            f"Expected a part of the model {model.name}, one of {' and '.join(PARTS)} of a "
            f"whole-volume model, found {part}.",
            f"Leave {PART}{part} out.",
        )
    alone = copy.copy(networks)
    weights = {f"{other}_part": Part(weight=0.0) for other in PARTS if other != part}
    alone.settings = replace(networks.settings, **weights)
    asked = json.dumps([part, request(model, screening, None)], sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()
    return PartScore(f"{part} alone", digest, alone, screening)


def weight_of(networks: Encoded, part: str) -> float:
    """How much a part counts in the score."""
    settings = networks.settings
    counted = {"discriminator": settings.discriminator_part, "density": settings.density_part}
    return counted[part].weight
