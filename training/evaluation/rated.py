"""The scores that an evaluation measures: a model, fitted rivals, and trivial ones."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.model import Model, load_model
from ctscreener.provenance import request
from ctscreener.scan import Scan
from ctscreener.screening import ScreenSettings, screen
from training.baselines.folder import Rated, load_folder
from training.baselines.trivial import Chance, Gradient
from training.evaluation.part_score import PART, part_score

SCREENER = "Screener"
"""Name of the model's score."""
MODEL = "model:"
"""What stands before the name or the folder of the model."""
TRIVIAL: dict[str, Callable[[int], Rated]] = {
    "gradient": lambda seed: Gradient(),
    "random": Chance,
}
"""Trivial scores, made from a seed."""


@dataclass(frozen=True)
class RarityScore:
    """The score of a model, its rarity; see `Rated`.

    What it saw is told in the results and not refused: a model is also measured on scans that it
    was trained on, to see what its rarities are worth there.

    Arguments:
        model: The model.
        screening: How scans are screened.
    """

    model: Model
    screening: ScreenSettings
    name: str = SCREENER
    seen: frozenset[str] = frozenset()

    @property
    def sha256(self) -> str:
        """Hash of the weights, of the settings and of how it is asked."""
        asked = json.dumps(request(self.model, self.screening, None), sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    def map(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Screen a scan."""
        rarity = screen(scan, self.model, self.screening).rarity
        return np.where(body, rarity, np.float32("nan"))


def load_scores(
    wanted: Sequence[str], screening: ScreenSettings, seed: int
) -> tuple[RarityScore, list[Rated]]:
    """Load what is to be measured.

    Arguments:
        wanted: `model:` with a name or folder, its `part:discriminator` and `part:density`, folders
            of fitted rivals, `gradient`, `random`.
        screening: How scans are screened.
        seed: Decides the random scores.

    Returns:
        The model's score, and all scores in the order asked for, the model first.

    Raises:
        InputError: `evaluate.scores` unless one model is among them; those of `load_model`, of
            `load_folder` and of `part_score`.
    """
    for word in wanted:
        _check(word)
    models = [word.removeprefix(MODEL) for word in wanted if word.startswith(MODEL)]
    if len(models) != 1:
        raise InputError(
            "evaluate.scores",
            f"Expected one model among --scores, such as model:preview, found {len(models)}.",
            "Measure each model by a call of its own; `tables` sets results side by side.",
        )
    screened = RarityScore(load_model(models[0]), screening)
    rest = [word for word in wanted if not word.startswith(MODEL)]
    return screened, [screened, *(_load(word, screened, seed) for word in rest)]


def _check(word: str) -> None:
    """Refuse what is no score: that there is no model beside it says less."""
    if word.startswith((MODEL, PART)) or word in TRIVIAL or Path(word).is_dir():
        return
    raise InputError(
        "evaluate.scores",
        "Expected a score, model:NAME, part:discriminator or part:density, the folder of a fitted "
        f"rival, {' or '.join(TRIVIAL)}; found {word}.",
        "Check the word or the path.",
    )


def _load(word: str, screened: RarityScore, seed: int) -> Rated:
    model, screening = screened.model, screened.screening
    if word.startswith(PART):
        return part_score(model, word.removeprefix(PART), screening)
    if word in TRIVIAL:
        return TRIVIAL[word](seed)
    return load_folder(Path(word), screening)
