"""The list of data sets, and NAME[,OPTION=NUMBER...]:FOLDER, which names one and where it is."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ctscreener.errors import InputError
from training.datasets import (
    abdomen_atlas,
    amos,
    bids,
    br35h,
    brats,
    btcv,
    deeplesion,
    dicom_masks,
    ixi,
    kits,
    lidc,
    lits,
    luna16,
    midrc,
    nlst,
    nnunet,
    own,
    totalsegmentator,
    uls23,
)
from training.datasets.example import Example, Reader

_ALL = (
    nlst.READER,
    amos.READER,
    abdomen_atlas.READER,
    lidc.READER,
    midrc.READER,
    kits.READER,
    lits.READER,
    lits.PAPER,
    btcv.READER,
    totalsegmentator.READER,
    luna16.READER,
    deeplesion.READER,
    uls23.READER,
    ixi.READER,
    brats.READER,
    br35h.READER,
    nnunet.READER,
    bids.READER,
    dicom_masks.READER,
    own.READER,
)
READERS = {reader.name: reader for reader in _ALL}
"""Every data set, by its name."""
BY_NAME_ALONE = ("dicom", "own")
"""Sets that no folder is taken for unless it is said."""
FOLD = re.compile(r"(\d+)of(\d+)")


@dataclass(frozen=True)
class Named:
    """A data set in a folder, and what of it is asked for.

    Arguments:
        reader: The set.
        folder: Where it is.
        options: Of the reader.
        split: The part of the set's own split; empty for all.
        fold: Number and count of the groups of patients that are taken; None for all.
        but: Number and count of the groups that are left out.
    """

    reader: Reader
    folder: Path
    options: tuple[tuple[str, float], ...] = ()
    split: str = ""
    fold: tuple[int, int] | None = None
    but: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """A name for results, in letters that a folder can have."""
        words = [self.reader.name, *(f"{name}={value:g}" for name, value in self.options)]
        words += [f"split={self.split}"] if self.split else []
        for name, group in (("fold", self.fold), ("but", self.but)):
            words += [f"{name}={group[0]}of{group[1]}"] if group else []
        return ",".join(words)

    @property
    def text(self) -> str:
        """What stands for it, wherever it is given from."""
        return f"{self.label}:{self.folder.resolve()}"

    def examples(self) -> Iterator[Example]:
        """Its scans that are used and asked for.

        Raises:
            InputError: `datasets.missing`, `datasets.layout`, or what the reader raises.
        """
        self.reader.require(self.folder)
        for example in self.reader.examples(self.folder):
            if not example.unused and self.takes(example):
                yield replace(example, options=(*example.options, *self.options))

    def takes(self, example: Example) -> bool:
        """Whether an example is in the split and the groups that are asked for."""
        return (
            self.split in ("", example.split)
            and (self.fold is None or group_of(example.patient, self.fold[1]) == self.fold[0])
            and (self.but is None or group_of(example.patient, self.but[1]) != self.but[0])
        )


def group_of(patient: str, count: int) -> int:
    """Which of some groups a patient is in, by a hash: the same whatever else is there, from 1.

    Example:
        >>> [group_of(f"case_{number:05}", 3) for number in range(6)]
        [3, 1, 3, 1, 2, 3]
    """
    return int(hashlib.sha256(patient.encode()).hexdigest(), 16) % count + 1


def named(path: Path) -> Named | None:
    """Understand NAME:FOLDER, or a folder that looks like a set.

    Arguments:
        path: What was given.

    Returns:
        The set; None for a plain file or folder.

    Raises:
        InputError: `datasets.name` or `datasets.option`.
    """
    words, colon, folder = str(path).partition(":")
    if not colon or path.exists() or len(words) == 1:
        # One letter is a drive.
        reader = recognised(path)
        return Named(reader, path) if reader else None
    name, *options = words.split(",")
    if name not in READERS:
        raise InputError(
            "datasets.name",
            f"Expected a data set before the colon, one of {', '.join(READERS)}; found {name}.",
            "python training/run.py datasets lists them.",
        )
    asked = Named(READERS[name], Path(folder))
    for option in options:
        asked = _with(asked, option)
    return asked


def recognised(folder: Path) -> Reader | None:
    """The set that a folder looks like; None where it looks like none."""
    if not folder.is_dir():
        return None
    likely = (reader for reader in _ALL if reader.name not in BY_NAME_ALONE)
    return next((reader for reader in likely if reader.fits(folder)), None)


def _with(asked: Named, option: str) -> Named:
    """Add one option.

    Raises:
        InputError: `datasets.option`.
    """
    name, _, value = option.partition("=")
    group = FOLD.fullmatch(value)
    if name == "split" and value:
        return replace(asked, split=value)
    if name in ("fold", "but") and group and 1 <= int(group[1]) <= int(group[2]):
        return replace(asked, **{name: (int(group[1]), int(group[2]))})
    if name in asked.reader.options and re.fullmatch(r"\d+(\.\d+)?", value):
        return replace(asked, options=(*asked.options, (name, float(value))))
    known = ", ".join(f"{known}=NUMBER" for known in asked.reader.options)
    raise InputError(
        "datasets.option",
        f"Expected options of {asked.reader.name}, such as split=train, fold=1of5, but=1of5"
        f"{', ' * bool(known)}{known}; found {option}.",
        "Correct what stands before the colon.",
    )
