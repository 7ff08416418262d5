"""What a batch is made of: files and folders, series of Slicer's DICOM database, frames."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

import numpy as np

from ctscreener import owner
from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.scan import Scan
from ScreenerSlicerLib.process.nrrd_file import write_scan
from ScreenerSlicerLib.process.run import PREFIX, Check
from ScreenerSlicerLib.translation import tr as _

ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Files of one scan each, as the engine reads them."""
RESULT = "findings.json"
"""A folder with this file is a result."""
FILES, VOXELS = "scan", "scan.nrrd"
"""What a scan is called in the temporary folder of its run."""


def _nothing(folder: Path, check: Check) -> None:
    """Hand nothing over: the engine reads the scan where it lies."""


@dataclass(frozen=True)
class Handed:
    """A scan as the engine is given it.

    Arguments:
        argument: Its path, absolute or in the temporary folder.
        write: Puts it into that folder; called in a thread, so that no scene may be touched.
        bytes_needed: Room that this takes.
        like: The scan whose map is wanted back; None where the result folder is enough.
    """

    argument: str
    write: Callable[[Path, Check], None] = _nothing
    bytes_needed: float = 0.0
    like: Scan | None = None


class Source(Protocol):
    """One scan of a batch."""

    @property
    def name(self) -> str:
        """What it is called, and its result folder."""
        ...

    def hand_over(self) -> Handed:
        """Say how the engine gets it; called when its turn has come.

        Raises:
            InputError: It is not there any more.
        """
        ...

    def take(self, rarity: np.ndarray | None) -> None:
        """Take its map, where it was wanted back."""

    def show(self) -> bool:
        """Show it with its map, where both are in the scene; false where they are in files."""
        ...

    def read(self) -> Scan:
        """Read it again as the engine did, to be looked at; called in a thread.

        Raises:
            InputError: It is not there any more.
        """
        ...

    @property
    def instances(self) -> Sequence[str]:
        """UIDs of its DICOM files, where it is of Slicer's DICOM database."""
        ...


@final
@dataclass(frozen=True)
class FileSource:
    """A file, or a folder of DICOM files.

    Arguments:
        name: What it is called.
        path: Where it is.
    """

    name: str
    path: Path
    instances: Sequence[str] = ()

    def hand_over(self) -> Handed:
        """The engine reads it where it lies."""
        return Handed(str(self.path.absolute()))

    def take(self, rarity: np.ndarray | None) -> None:
        """Its result folder is all."""

    def show(self) -> bool:
        """It is in no scene."""
        return False

    def read(self) -> Scan:
        """Read it where it lies."""
        return read_scan(self.path)


@final
@dataclass(frozen=True)
class SeriesSource:
    """A series of Slicer's DICOM database, whose files may lie anywhere, beside those of others.

    Arguments:
        name: What it is called.
        files: Its files.
        instances: Their UIDs.
    """

    name: str
    files: Sequence[Path]
    instances: Sequence[str] = ()

    def hand_over(self) -> Handed:
        """Its files, and no others, are laid into one folder."""
        try:
            size = sum(file.stat().st_size for file in self.files)
        except OSError as error:
            raise InputError(
                "scan.missing",
                _("Expected the files of the series, found {error}.").format(
                    error=error.strerror or error
                ),
                _("Import the series again in the DICOM module."),
            ) from error
        return Handed(FILES, self._lay, size)

    def take(self, rarity: np.ndarray | None) -> None:
        """Its result folder is all."""

    def show(self) -> bool:
        """It is in no scene."""
        return False

    def read(self) -> Scan:
        """Read its files and no others, as the engine did."""
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{owner.mark()}-") as folder:
            self._lay(Path(folder), lambda: None)
            return read_scan(Path(folder) / FILES)

    def _lay(self, folder: Path, check: Check) -> None:
        (folder / FILES).mkdir()
        for number, file in enumerate(self.files):
            check()
            place = folder / FILES / f"{number:06}.dcm"
            try:
                os.link(file, place)
            except OSError:
                # Another disk, or one without links.
                shutil.copyfile(file, place)


def voxels_of(scan: Scan) -> Handed:
    """Hand over a scan in memory, whose map is wanted back.

    Arguments:
        scan: Its array is read until the child has it, and must not be written meanwhile.
    """

    def write(folder: Path, check: Check) -> None:
        write_scan(folder / VOXELS, scan, check)

    return Handed(VOXELS, write, 8.0 * scan.hu.size, scan)


def sources_in(folder: Path) -> list[FileSource]:
    """Find the scans in a folder: its files that hold one each, and its folders.

    A folder whose own files are none of these is taken for one scan of DICOM files. What turns
    out to be no CT is told when its turn comes.

    Arguments:
        folder: A folder; results of screenings in it are passed over.

    Raises:
        InputError: `scan.unreadable` where it cannot be listed.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        folders = [path for path in inside if path.is_dir() and _holds_files(path)]
    except OSError as error:
        raise InputError(
            "scan.unreadable",
            _("Expected a readable folder, found {error}.").format(error=error.strerror or error),
            _("Choose another folder, or check its permissions."),
        ) from error
    files = [path for path in inside if path.is_file()]
    scans = [path for path in files if path.name.lower().endswith(ENDINGS)]
    dicom = [folder] if not scans and any(_may_be_dicom(path) for path in files) else []
    return [FileSource(_named(path), path) for path in (*dicom, *scans, *folders)]


def _holds_files(folder: Path) -> bool:
    """Whether a folder may be a scan: it holds files, and is no result."""
    inside = [path for path in folder.rglob("*") if path.is_file()]
    return bool(inside) and not any(path.name == RESULT for path in inside)


def _may_be_dicom(file: Path) -> bool:
    """Whether a file may be a slice: by its first bytes, for many have no ending."""
    with file.open("rb") as opened:
        return opened.read(132)[128:] == b"DICM"


def _named(path: Path) -> str:
    """Name a scan after its file or folder."""
    name = path.resolve().name
    ending = next((end for end in ENDINGS[::-1] if name.lower().endswith(end)), "")
    return name.removesuffix(name[len(name) - len(ending) :]) if ending else name
