"""The index: which scans a cohort holds, and what each is called for ever."""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctscreener.archive import scans_below, stem
from ctscreener.errors import InputError
from ctscreener.file_tree import list_tree
from ctscreener.files import FORMATS

_SAFE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
TABLES = (".csv", ".parquet")


@dataclass(frozen=True)
class Entry:
    """A scan of a cohort.

    Arguments:
        id: What it is called: a function of itself alone, so that scans added later rename none.
        path: Its file or DICOM folder.
        series: SeriesInstanceUID, where the folder is not all of one series.
    """

    id: str
    path: Path
    series: str | None = None

    @property
    def folder(self) -> str:
        """The name of its result folder."""
        return folder_of(self.id)

    def stamp(self) -> list[int]:
        """Bytes and time of the last change of its file, in ns; of a folder the sum and the latest.

        Reading a whole archive to notice changes would take hours. Zeros where it is not there.
        """
        try:
            files = list_tree(self.path).files if self.path.is_dir() else [self.path]
            stats = [file.stat() for file in files]
        except (OSError, InputError):
            return [0, 0]
        return [sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)]


def folder_of(name: str) -> str:
    """Turn an id into the name of a folder, fit for any disk.

    Example:
        >>> folder_of("lidc-1"), folder_of("a/b")[:4]
        ('lidc-1', 'a_b-')
    """
    if _SAFE.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{re.sub(r'[^0-9A-Za-z._-]+', '_', name)[:80].lstrip('._-')}-{digest[:12]}"


def read_index(path: Path) -> list[Entry]:
    """Read an index.

    Arguments:
        path: A folder of scans and DICOM series at any depth; a CSV or Parquet table with a column
            `path` and, as wanted, `id` and `series`; one scan; or any other file: a path a line.
            Paths in a file are relative to its folder.

    Returns:
        The scans in the order of their ids.

    Raises:
        InputError: `cohort.index` where it cannot be used, `cohort.ids` where ids clash.
    """
    if path.is_dir():
        entries = list(_of_folder(path))
    elif not path.is_file():
        raise _unusable(path, "no such file or folder")
    elif path.name.lower().endswith(TABLES):
        entries = [_of_row(row, path, number) for number, row in enumerate(_rows(path), start=1)]
    elif path.name.lower().endswith(FORMATS):
        entries = [Entry(stem(path), path.absolute())]
    else:
        lines = [line.strip() for line in _text(path).splitlines()]
        named = [line for line in lines if line and not line.startswith("#")]
        entries = [_of_row({"path": line}, path, 0) for line in named]
    if not entries:
        raise _unusable(path, "no scan in it")
    _check_ids(entries)
    return sorted(entries, key=lambda entry: entry.id)


def _of_folder(root: Path) -> Iterator[Entry]:
    """Find the scans of an archive; each is called after its place in it."""
    root = root.absolute()
    for path, series in scans_below(root):
        inside = path.relative_to(root)
        name = (inside.parent / stem(path)).as_posix() if path != root else root.name
        yield Entry(_named(name, series), path, series)


def _of_row(row: dict[str, str], index: Path, number: int) -> Entry:
    """Take a scan from a row of a table; without an id it is called after its path."""
    written = row.get("path") or ""
    if not written.strip():
        raise _unusable(index, f"no path in row {number}")
    path, series = index.absolute().parent / written, row.get("series") or None
    given = Path(written)
    name = row.get("id") or (given.parent / stem(given)).as_posix()
    return Entry(name if row.get("id") else _named(name, series), path, series)


def _named(name: str, series: str | None) -> str:
    return f"{name}#{series}" if series else name


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Read a table row by row, every value as text."""
    if path.name.lower().endswith(".csv"):
        rows = csv.DictReader(_text(path).splitlines())
        if "path" not in (rows.fieldnames or ()):
            raise _unusable(path, f"the columns {', '.join(rows.fieldnames or ['none'])}")
        yield from rows
        return
    import pyarrow.parquet as pq
    from pyarrow import ArrowInvalid

    try:
        table = pq.ParquetFile(path)
    except (ArrowInvalid, OSError) as error:
        raise _unusable(path, "no Parquet") from error
    if "path" not in table.schema_arrow.names:
        raise _unusable(path, f"the columns {', '.join(table.schema_arrow.names)}")
    columns = [name for name in ("id", "path", "series") if name in table.schema_arrow.names]
    for batch in table.iter_batches(columns=columns):
        for row in batch.to_pylist():
            yield {key: "" if value is None else str(value) for key, value in row.items()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise _unusable(path, error.strerror or "no readable file") from error


def _check_ids(entries: Sequence[Entry]) -> None:
    """Refuse ids that clash, on disks that ignore case too."""
    taken = Counter(entry.folder.casefold() for entry in entries)
    twice = sorted({entry.id for entry in entries if taken[entry.folder.casefold()] > 1})
    if twice:
        raise InputError(
            "cohort.ids",
            f"Expected an id for each scan, found some on several: {', '.join(twice[:3])}"
            f"{' and others' if len(twice) > 3 else ''}.",
            "Give a CSV with a column of ids that differ, not in case alone.",
        )


def _unusable(path: Path, found: str) -> InputError:
    return InputError(
        "cohort.index",
        "Expected an index: a folder of scans, a list of paths, or a CSV or Parquet table with a "
        f"column path, found {found}: {path}.",
        "Check the path, or what it holds.",
    )
