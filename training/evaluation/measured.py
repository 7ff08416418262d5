"""What was measured in one scan, and the file that keeps it between runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.counts import Counts
from training.evaluation.froc import Marks
from training.evaluation.kept import load_arrays, save_arrays
from training.evaluation.rarities import Rarities


@dataclass(frozen=True)
class Measured:
    """The counts and marks of one scan.

    Arguments:
        path: The file; single parts are read from it when they are asked for.
        key: What they depend on.
    """

    path: Path
    key: str

    def save(
        self,
        counts: Mapping[tuple[str, str], Counts],
        marks: Mapping[str, Marks],
        rarities: Rarities,
        facts: Mapping[str, float],
    ) -> None:
        """Keep what was measured.

        Arguments:
            counts: By name of the score and of the protocol.
            marks: By name of the score.
            rarities: What was counted of the model's rarities.
            facts: Numbers of the scan itself.
        """
        arrays: dict[str, Any] = {"scores": np.array(list(marks))}
        for (score, protocol), some in counts.items():
            arrays |= {_part(score, protocol, k): v for k, v in some.packed().items()}
        for score, some in marks.items():
            arrays |= {_part(score, "marks", k): np.array(v) for k, v in vars(some).items()}
        arrays |= {f"rarities/{k}": np.array(v) for k, v in vars(rarities).items()}
        arrays |= {f"fact/{name}": np.array(value) for name, value in facts.items()}
        save_arrays(self.path, self.key, **arrays)

    @property
    def exists(self) -> bool:
        """Whether an earlier run measured the same."""
        return load_arrays(self.path, self.key, ()) is not None

    def scores(self) -> list[str]:
        """Names of the scores."""
        return [str(name) for name in self._load(["scores"])["scores"]]

    def counts(self, score: str, protocol: str) -> Counts:
        """Voxels at each value of a score."""
        parts = ("bins", "table", "regions")
        found = self._load([_part(score, protocol, part) for part in parts])
        return Counts.unpacked(*found.values())

    def marks(self, score: str) -> Marks:
        """Peaks of a score."""
        found = self._load([_part(score, "marks", k) for k in ("scores", "lesion", "lesions")])
        scores, lesion, lesions = found.values()
        return Marks(scores, lesion, int(lesions))

    def rarities(self) -> Rarities:
        """What was counted of the model's rarities."""
        names = ("voxels", "above", "findings", "met", "lesions")
        voxels, above, findings, met, lesions = self._load(
            [f"rarities/{name}" for name in names]
        ).values()
        return Rarities(int(voxels), above, findings, met, int(lesions))

    def fact(self, name: str) -> float:
        """A number of the scan itself."""
        return float(next(iter(self._load([f"fact/{name}"]).values())))

    def _load(self, names: list[str]) -> dict[str, np.ndarray]:
        found = load_arrays(self.path, self.key, names)
        assert found is not None, "measured before it is read"
        return found


def _part(score: str, kind: str, name: str) -> str:
    return f"{score}/{kind}/{name}"
