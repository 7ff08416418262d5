"""The model of one fold: what was trained without its patients, to be measured on them.

The stage `discriminator` scores each scan by networks and a density that saw nothing of its
patient, and keeps both, a file a fold. As a model they are measured on the scans of that fold as
any model is on new ones; over all folds, every scan is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from safetensors.torch import save_file
from torch import nn

from ctscreener.encoded import EncodedSettings
from ctscreener.errors import InputError
from ctscreener.settings import read_json
from ctscreener.whole_file import make_folder, whole_file

FOLDS = "folds"
"""Folder of a run that holds a file for each fold."""


@dataclass(frozen=True)
class Fold:
    """One fold of a finished run.

    Arguments:
        run: Run folder of the stage `discriminator`.
        number: Which fold.
        count: How many there are.
        tested: Names of its scans, of which its networks saw nothing.
        trained: Names of all others.
    """

    run: Path
    number: int
    count: int
    tested: tuple[str, ...]
    trained: tuple[str, ...]

    @classmethod
    def of(cls, run: Path, number: int) -> Self:
        """Find a fold.

        Raises:
            InputError: `export.fold` where there is no such fold, or its networks were not kept.
        """
        folds: dict[str, int] = read_json(run / "folds.json")
        numbers = sorted(set(folds.values()))
        if number not in numbers:
            raise InputError(
                "export.fold",
                f"Expected a fold of {run}, one of {', '.join(map(str, numbers))}; found {number}.",
                "Give one of these to --fold.",
            )
        tested = tuple(sorted(name for name, fold in folds.items() if fold == number))
        trained = tuple(sorted(folds.keys() - set(tested)))
        found = cls(run, number, len(numbers), tested, trained)
        if not found.path.is_file():
            raise InputError(
                "export.fold",
                f"Expected the networks of fold {number} in {found.path}, found no such file: the "
                "run is from before they were kept.",
                "Run `training/run.py discriminator` again with its settings: it keeps them, and "
                "trains none anew.",
            )
        return found

    @property
    def path(self) -> Path:
        """The file of its networks and its density."""
        return fold_path(self.run, self.number)

    def trace(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What there is to say of its training, from what there is to say of the whole run's."""
        result = facts["result"]
        here = {"networks": facts["settings"]["seeds"], "scans": len(self.trained)}
        result = {name: value for name, value in result.items() if name != "scales"} | here
        data = [scan for scan in facts["data"] if scan["name"] in self.trained]
        return {**facts, "result": result, "data": data}

    def told(self) -> dict[str, Any]:
        """What marks its model in the provenance."""
        return {"number": self.number, "count": self.count, "tested": list(self.tested)}


def fold_path(run: Path, number: int) -> Path:
    """Where a run keeps what was trained without a fold."""
    return run / FOLDS / f"{number}.safetensors"


def keep_fold(run: Path, number: int, discriminator: nn.Module, density: nn.Module) -> None:
    """Write what was trained without a fold, as the heads of a model."""
    state = {
        f"{part}.{name}": tensor.cpu().contiguous()
        for part, module in (("discriminator", discriminator), ("density", density))
        for name, tensor in module.state_dict().items()
    }
    path = fold_path(run, number)
    make_folder(path.parent)
    with whole_file(path) as beside:
        save_file(state, beside)


def narrowed(
    settings: EncodedSettings, hidden: int, scales: Mapping[str, tuple[float, float]]
) -> EncodedSettings:
    """Settings of a fold's model, from those of the model of all.

    Arguments:
        settings: Those of all.
        hidden: Hidden channels of the fold's networks together.
        scales: Mean and deviation of each part's scores of the scans of other folds.
    """
    centre, scale = scales["discriminator"]
    parted = replace(settings.discriminator_part, centre=centre, scale=scale)
    centre, scale = scales["density"]
    return replace(
        settings,
        discriminator=replace(settings.discriminator, hidden=hidden),
        discriminator_part=parted,
        density_part=replace(settings.density_part, centre=centre, scale=scale),
    )


def fold_text(fold: Mapping[str, Any]) -> str:
    """A paragraph of the card that says that a model is one fold of a cross validation.

    Arguments:
        fold: What `Fold.told` gave.
    """
    return (
        "**One fold of a cross validation, made to be measured and not to be used**: trained "
        f"without the scans of fold {fold['number']} of folds 0 to {fold['count'] - 1} "
        f"({', '.join(fold['tested'])}), on which it stands for the model of all folds. Rarity "
        "refers to scores of the other scans, each by the networks of its own fold, which were "
        "trained on the scans of this one."
    )
