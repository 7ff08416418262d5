"""The result folder: what stands in it, and how it gets there whole or not at all."""

import contextlib
import csv
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from ctscreener.errors import InputError
from ctscreener.texts import cell, plain
from ctscreener.whole_file import FULL, finish, make_folder, stage, sync_folder

RESULTS = (
    *("anomaly.nrrd", "findings.csv", "overview.png", "findings.json", "parts.nrrd"),
    "summary.csv",
)
"""All files that a screening writes."""

Writer = Callable[[Path], None]
"""Writes one file at the path that it is given."""

_ENDINGS = re.compile(r"(\.(nii|img|hdr|mhd|mha|nrrd|nhdr|dcm))?(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True)
class SummaryRow:
    """One scan's line in `summary.csv`, when there are several."""

    scan: str
    """What the scan is called, and its folder."""
    findings: int | None = None
    """How many findings it has, listed or not; none where it failed."""
    top_rarity: float | None = None
    """The highest rarity of a finding; none where there is no finding."""
    seconds: float | None = None
    """How long screening took, all stages together."""
    status: Literal["done", "failed"] = "done"
    """Whether there is a result."""
    error: str = ""
    """What was wrong, on one line."""


def summary_text(rows: Iterable[SummaryRow]) -> str:
    """Write the summary as CSV.

    Example:
        >>> print(summary_text([SummaryRow("a", 2, 5.0, 31.5)]), end="")
        scan,findings,top_rarity,seconds,status,error
        a,2,5.0,31.5,done,
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(SummaryRow))
    for row in rows:
        values = asdict(row) | {"scan": cell(plain(row.scan)), "error": cell(plain(row.error))}
        writer.writerow(values.values())
    return text.getvalue()


def scan_name(path: Path) -> str:
    """Name a scan after its file or folder.

    Example:
        >>> scan_name(Path("study/chest.v2.nii.gz")), scan_name(Path("1.2.840.1"))
        ('chest.v2', '1.2.840.1')
    """
    name = _ENDINGS.sub("", path.resolve().name).strip(". ")
    return name or "scan"


def scan_names(paths: Sequence[Path]) -> list[str]:
    """Name scans so that no two share a folder, on disks that ignore case too.

    Example:
        >>> scan_names([Path("a/ct.nrrd"), Path("b/CT.nii.gz"), Path("ct_2.nrrd")])
        ['ct', 'CT_2', 'ct_2_2']
    """
    taken: set[str] = set()
    names = []
    for path in paths:
        first = name = scan_name(path)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{first}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def check_writable(folder: Path) -> None:
    """Make sure, before any work, that results can be written; leaves nothing behind.

    Arguments:
        folder: The result folder, which need not exist.

    Raises:
        InputError: `output.unwritable`.
    """
    standing = next(place for place in (folder, *folder.absolute().parents) if _exists(place))
    try:
        with tempfile.TemporaryDirectory(prefix=".ctscreener-", dir=standing):
            pass
    except OSError as error:
        raise _explain(error, folder) from error


def _exists(place: Path) -> bool:
    # A component that is a file, or a folder that may not be entered, is for the caller to meet.
    with contextlib.suppress(NotADirectoryError, PermissionError):
        return place.exists()
    return False


def check_space(folder: Path, needed: int) -> None:
    """Make sure, before the long part, that the disk has room.

    Arguments:
        folder: The result folder, which need not exist.
        needed: Bytes.

    Raises:
        InputError: `output.disk_full`.
    """
    standing = next(place for place in (folder, *folder.absolute().parents) if _exists(place))
    free = shutil.disk_usage(standing).free
    if free < needed:
        raise InputError(
            "output.disk_full",
            f"Expected {needed / 1e6:.0f} MB free for the results in {folder}, "
            f"found {free / 1e6:.0f} MB.",
            "Free some space, or choose another --out.",
        )


def publish(folder: Path, writers: Mapping[str, Writer]) -> None:
    """Write several files that appear together, or not at all.

    They are written in a hidden folder beside. A new result folder then gets its name in one
    step. In a folder that exists, the last file goes first and comes back last: wherever it
    stands, all the others belong to it.

    Arguments:
        folder: The result folder; made, for its owner alone, if it does not exist.
        writers: Writers by file name. The last is the seal.

    Raises:
        InputError: `output.disk_full` or `output.unwritable`; nothing new is left.
    """
    fresh = not folder.exists()
    try:
        with _undo_folders(folder.parent if fresh else folder) as beside, stage(beside) as made:
            for name, write in writers.items():
                write(made / name)
                finish(made / name)
            if fresh:
                made.rename(folder)
            else:
                (folder / list(writers)[-1]).unlink(missing_ok=True)
                for name in writers:
                    os.replace(made / name, folder / name)
                sync_folder(folder)
            sync_folder(beside)
    except OSError as error:
        raise _explain(error, folder) from error


@contextlib.contextmanager
def _undo_folders(folder: Path) -> Iterator[Path]:
    """Make a folder and those above it; when the block fails, unmake what is new."""
    new = make_folder(folder)
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):
            for place in new:
                place.rmdir()
        raise


def _explain(error: OSError, folder: Path) -> InputError:
    if error.errno in FULL:
        return InputError(
            "output.disk_full",
            f"Expected room for the results in {folder}, found the disk full.",
            "Free some space, or choose another --out.",
        )
    return InputError(
        "output.unwritable",
        f"Expected a folder that can be written, found {folder}: {error.strerror or error}.",
        "Choose another --out, or change its permissions.",
    )
