"""What was measured in one scan, and the files that keep it between runs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.array_cache import load_arrays, save_arrays
from training.evaluation.counts import Counts
from training.evaluation.froc import Marks
from training.evaluation.protocols import Protocol
from training.evaluation.rarities import Rarities


@dataclass(frozen=True)
class Measured:
    """The counts and marks of one scan by one score.

    Arguments:
        path: The file; single parts are read from it when they are asked for.
        key: What they depend on.
    """

    path: Path
    key: str

    def save(
        self,
        counts: Mapping[Protocol, Counts],
        marks: Marks | None,
        rarities: Rarities,
        facts: Mapping[str, float],
    ) -> None:
        """Keep what was measured.

        Arguments:
            counts: By name of the protocol; none where no lesions are known.
            marks: Peaks of the score; none likewise.
            rarities: What was counted of the model's rarities.
            facts: Numbers of the scan itself.
        """
        arrays: dict[str, Any] = {}
        for protocol, some in counts.items():
            arrays |= {f"{protocol}/{k}": v for k, v in some.packed().items()}
        if marks is not None:
            arrays |= {f"marks/{k}": np.array(v) for k, v in vars(marks).items()}
        arrays |= {f"rarities/{k}": np.array(v) for k, v in vars(rarities).items()}
        arrays |= {f"fact/{name}": np.array(value) for name, value in facts.items()}
        save_arrays(self.path, self.key, **arrays)

    @property
    def exists(self) -> bool:
        """Whether an earlier run measured the same."""
        return load_arrays(self.path, self.key, ()) is not None

    def counts(self, protocol: str) -> Counts:
        """Voxels at each value of the score."""
        parts = ("bins", "table", "regions")
        return Counts.unpacked(*self._load([f"{protocol}/{part}" for part in parts]))

    def marks(self) -> Marks:
        """Peaks of the score."""
        scores, lesion, lesions = self._load(
            [f"marks/{k}" for k in ("scores", "lesion", "lesions")]
        )
        return Marks(scores, lesion, int(lesions))

    def rarities(self) -> Rarities:
        """What was counted of the model's rarities."""
        names = [f"rarities/{some.name}" for some in fields(Rarities)]
        voxels, above, findings, met, listed, listed_met, lesions = self._load(names)
        return Rarities(int(voxels), above, findings, met, listed, listed_met, int(lesions))

    def fact(self, name: str) -> float:
        """A number of the scan itself."""
        return float(self._load([f"fact/{name}"])[0])

    def _load(self, names: list[str]) -> list[np.ndarray]:
        found = load_arrays(self.path, self.key, names)
        assert found is not None, "measured before it is read"
        return list(found.values())


@dataclass(frozen=True)
class MeasuredScan:
    """What was measured in one scan by every score, the model's first.

    Arguments:
        parts: By name of the score.
    """

    parts: Mapping[str, Measured]

    @property
    def exists(self) -> bool:
        """Whether earlier runs measured the same by every score."""
        return all(part.exists for part in self.parts.values())

    def scores(self) -> list[str]:
        """Names of the scores."""
        return list(self.parts)

    def counts(self, score: str, protocol: str) -> Counts:
        """Voxels at each value of a score."""
        return self.parts[score].counts(protocol)

    def marks(self, score: str) -> Marks:
        """Peaks of a score."""
        return self.parts[score].marks()

    def rarities(self) -> Rarities:
        """What was counted of the model's rarities."""
        return self._first().rarities()

    def fact(self, name: str) -> float:
        """A number of the scan itself; `seconds` are those of all scores together."""
        if name == "seconds":
            return sum(part.fact(name) for part in self.parts.values())
        return self._first().fact(name)

    def _first(self) -> Measured:
        return next(iter(self.parts.values()))
