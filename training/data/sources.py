"""Where scans are: files and DICOM folders, their names in a store, and their hashes."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctscreener.archive import scans_below, stem, tail
from ctscreener.errors import InputError
from ctscreener.files import FORMATS, files_of
from ctscreener.scan import Scan
from ctscreener.slices import read_images
from training.datasets.example import Example, Kind, Reader, ReadScan
from training.datasets.readers import READERS, named

RESERVED = ("manifest", "preprocess")
"""Names that files of the store itself have."""
READING = 1 << 20


@dataclass(frozen=True)
class Source:
    """A scan to prepare.

    Arguments:
        name: Its name in the store.
        path: Its file or DICOM folder.
        series: SeriesInstanceUID, where the folder is not all of one series.
        dataset: Name of the data set that it is of; empty for a file or folder as such.
        example: What that set's reader says of it.
        given: NAME:FOLDER that stands for the set.
    """

    name: str
    path: Path
    series: str | None = None
    dataset: str = ""
    example: Example | None = None
    given: str = ""

    @property
    def reader(self) -> Reader | None:
        """Reader of its data set."""
        return READERS.get(self.dataset)

    @property
    def licence(self) -> str:
        """Licence of its data set; empty where nothing tells."""
        return self.reader.licence.name if self.reader else ""

    def read(self, read: ReadScan) -> Scan:
        """Read the scan, mended where its set is known to be wrong.

        Arguments:
            read: Reads a file or a folder.

        Raises:
            InputError: One of `scan.*`, `dicom.*` or `datasets.*`.
        """
        if self.reader is None or self.example is None:
            return read(self.path, self.series)
        return self.reader.read(self.example, read)


def find_sources(paths: Sequence[Path], kind: Kind = "ct") -> list[Source]:
    """Find scans in files, folders and data sets.

    Arguments:
        paths: Files, DICOM folders, folders that hold such at any depth, or NAME:FOLDER for a
            data set, see `training.datasets.readers`.
        kind: What the pictures are; sets of another kind are refused.

    Returns:
        The scans, sorted by path, with names that differ.

    Raises:
        InputError: A path does not exist, there is no scan in any, or a set is of another kind.
    """
    if not paths:
        raise InputError(
            "prepare.no_scans",
            "Expected scans or folders of them, found none named.",
            "Name some.",
        )
    found: dict[tuple[Path, str, str], Source] = {}
    for path in paths:
        for source in _sources(path, kind):
            # What a link leads to may have been found already.
            own = source.example.name if source.example else ""
            key = source.path.resolve(), source.series or "", own
            found.setdefault(key, source)
    if not found:
        raise InputError(
            "prepare.no_scans",
            f"Expected {', '.join(FORMATS)} or DICOM in {', '.join(map(str, paths))}, found none.",
            "Check the path.",
        )
    sources: dict[str, Source] = {}
    for source in sorted(found.values(), key=lambda one: (one.path, one.series or "", one.name)):
        name = source.name
        if name in sources or name in RESERVED:
            # The same name in two folders: the folder's name tells them apart, then a hash.
            name = f"{stem(source.path.parent)}_{name}"
        if name in sources:
            whole = os.fsencode(f"{source.path}{source.series or ''}")
            name = f"{name}_{hashlib.sha256(whole).hexdigest()[:8]}"
        sources[name] = replace(source, name=name)
    return list(sources.values())


def _sources(path: Path, kind: Kind) -> Iterator[Source]:
    """The scans that a path stands for, by the names that they give themselves."""
    asked = named(path)
    if asked is None:
        if not path.exists():
            raise InputError("prepare.missing", f"No such file or folder: {path}.", "Check it.")
        for scan, series in scans_below(path.resolve()):
            name = stem(scan) if series is None else f"{stem(scan)}_{tail(series)}"
            yield Source(name, scan, series)
        return
    reader = asked.reader
    if reader.kind != kind:
        raise InputError(
            "datasets.kind",
            f"Expected scans of the kind {kind}, found {reader.name}, which is {reader.kind}.",
            "Kinds are never mixed: the networks and the engine take CT alone.",
        )
    # As paths of plain scans are: a store is read again from wherever one stands.
    for example in replace(asked, folder=asked.folder.resolve()).examples():
        yield Source(example.name, example.scan, example.series, reader.name, example, asked.text)


def hash_source(path: Path, series: str | None = None) -> str:
    """Hash every file that a scan is read from, in the order of their names.

    Arguments:
        path: File or folder.
        series: SeriesInstanceUID, to take the images of this one alone.

    Returns:
        SHA-256, hexadecimal.

    Raises:
        InputError: `dicom.truncated`, or one of `files_of`.
    """
    digest = hashlib.sha256()
    for file in files_of(path):
        if series is not None and series not in {image.series for image in read_images(file)}:
            continue
        with file.open("rb") as stream:
            while block := stream.read(READING):
                digest.update(block)
    return digest.hexdigest()
