"""The store: prepared scans on disk, of which any box can be read without the rest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from ctscreener.errors import InputError
from ctscreener.preprocess import Prepared
from ctscreener.scan import Box
from ctscreener.settings import read_json, write_json
from training.data.arrays import open_array

FORMAT = "ctscreener-store"
FORMAT_VERSION = 1
CT = "ct"
"""The kind of a store that says nothing of it."""
FINE = "fine"
"""Folder inside of a store with a finer copy of the same scans, which is a store by itself."""

OF_SET = ("dataset", "patient", "split", "licence", "given")
"""What a scan of a named data set is known by, beside its name."""
TOLD = ("dataset", "licence")
"""What of it models tell; the folders of the machine are left out."""


@dataclass(frozen=True)
class StoredScan:
    """What the manifest says of one scan.

    Arguments:
        name: Its name in the store.
        shape: Voxels along `(D, H, W)`.
        affine: Voxel index `(d, h, w, 1)` of the stored grid to RAS mm, `(4, 4)`.
        source: The file or folder that it came from.
        sha256: Hash of that source.
        fingerprint: See `ctscreener.duplicates.fingerprint`; empty in stores from before it.
        dataset: Name of the data set that it is of; empty where none was named, as are the rest.
        patient: Whose scan it is.
        split: Part of the set's own split.
        licence: Licence of the set.
        given: NAME:FOLDER that the set was given as, to read the source again.
    """

    name: str
    shape: tuple[int, int, int]
    affine: np.ndarray
    source: str
    sha256: str
    fingerprint: str = ""
    dataset: str = ""
    patient: str = ""
    split: str = ""
    licence: str = ""
    given: str = ""

    @staticmethod
    def from_json(entry: dict[str, Any]) -> "StoredScan":
        """Build what `to_json` made an entry of."""
        depth, height, width = entry["shape"]
        return StoredScan(
            name=entry["name"],
            shape=(depth, height, width),
            affine=np.asarray(entry["affine"], dtype=np.float64),
            source=entry["source"],
            sha256=entry["sha256"],
            fingerprint=entry.get("fingerprint", ""),
            **{name: entry.get(name, "") for name in OF_SET},
        )

    def to_json(self) -> dict[str, Any]:
        """Give the manifest's entry."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "affine": self.affine.tolist(),
            "source": self.source,
            "sha256": self.sha256,
            "fingerprint": self.fingerprint,
            **self.of_set(OF_SET),
        }

    def of_set(self, facts: Sequence[str]) -> dict[str, str]:
        """What its data set says of it, of these facts; nothing where no set was named."""
        return {name: value for name in facts if (value := getattr(self, name))}


class Store:
    """Prepared scans that are read box by box; safe to read from several threads.

    Arguments:
        folder: What the stage `prepare` wrote.
        exclude: Names of scans to leave out; `*` and `?` stand for any text and any letter.
        in_memory: Hold every scan unpacked in memory: quicker, for stores that fit.
        kind: What the pictures are: a store of another kind is refused.

    Raises:
        InputError: The folder is no store, is of another version or kind, or no scan is left.
    """

    def __init__(
        self,
        folder: Path,
        exclude: Sequence[str] = (),
        in_memory: bool = False,
        kind: str = CT,
    ) -> None:
        manifest = read_manifest(folder)
        found = manifest["preprocess"].get("kind", CT)
        if found != kind:
            raise InputError(
                "store.kind",
                f"Expected a store of the kind {kind} in {folder}, found {found}.",
                "Kinds are never mixed: give a store of that kind.",
            )
        scans = [StoredScan.from_json(entry) for entry in manifest["scans"]]
        kept = [s for s in scans if not any(fnmatch(s.name, pattern) for pattern in exclude)]
        if not kept:
            raise InputError(
                "store.empty",
                f"Expected scans in the store {folder}, found none of {len(scans)} to use.",
                "Run the stage `prepare` on more scans, or exclude fewer.",
            )
        self.folder = folder
        self._every, self._kind = tuple(scan.name for scan in scans), kind
        self.preprocess: dict[str, Any] = manifest["preprocess"]
        self.alike: list[list[str]] = manifest.get("duplicates", [])
        self.scans = {scan.name: scan for scan in sorted(kept, key=lambda scan: scan.name)}
        self._arrays = {
            (name, part): open_array(folder / f"{name}.{part}", scan.shape, in_memory)
            for name, scan in self.scans.items()
            for part in ("image", "body")
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scans, sorted."""
        return tuple(self.scans)

    def alone(self, names: Collection[str], in_memory: bool = False) -> "Store":
        """Open some of these scans alone; what is left out here stays so.

        Arguments:
            names: Scans of this store, letter by letter.
            in_memory: Hold them unpacked in memory.

        Raises:
            InputError: No scan is left.
        """
        kept = self.scans.keys() & set(names)
        others = [escape(name) for name in self._every if name not in kept]
        return Store(self.folder, others, in_memory, self._kind)

    def image(self, name: str, box: Box) -> np.ndarray:
        """Read a box of a prepared image.

        Arguments:
            name: The scan.
            box: Voxels along `(D, H, W)`, inside the scan.

        Returns:
            Grey values, uint8, or HU, int16, as the store was prepared, `(d, h, w)`.
        """
        return np.asarray(self._arrays[name, "image"][box])

    def body(self, name: str, box: Box) -> np.ndarray:
        """Read a box of a body mask.

        Arguments:
            name: The scan.
            box: Voxels along `(D, H, W)`, inside the scan.

        Returns:
            True inside the body, bool, `(d, h, w)`.
        """
        return np.asarray(self._arrays[name, "body"][box], dtype=bool)

    def read(self, name: str, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Read a box of an image and of its body mask.

        Arguments:
            name: The scan.
            box: Voxels along `(D, H, W)`, inside the scan.

        Returns:
            Image, see `image`, and body mask, bool, both `(d, h, w)`.
        """
        return self.image(name, box), self.body(name, box)

    def prepared(self, name: str) -> Prepared:
        """Read a whole scan as `ctscreener.preprocess.prepare` left it."""
        depth, height, width = self.scans[name].shape
        image, body = self.read(name, (slice(depth), slice(height), slice(width)))
        return Prepared(image, body, self.scans[name].affine)

    def provenance(self) -> dict[str, Any]:
        """Say which scans these are, for the record of a run or a model."""
        return {
            "preprocess": self.preprocess,
            "scans": [
                {"name": s.name, "sha256": s.sha256, **s.of_set(TOLD)} for s in self.scans.values()
            ],
        }


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest of a store.

    Arguments:
        folder: The store.

    Returns:
        Its manifest.

    Raises:
        InputError: There is none, or it is of another format or version.
    """
    path = folder / "manifest.json"
    if not path.exists():
        raise InputError(
            "store.missing",
            f"Expected a store of prepared scans in {folder}, found no manifest.json.",
            "Run the stage `prepare` first, or check the path.",
        )
    manifest = read_json(path)
    found = (manifest.get("format"), manifest.get("format_version"))
    if found != (FORMAT, FORMAT_VERSION):
        raise InputError(
            "store.version",
            f"Expected {FORMAT} version {FORMAT_VERSION} in {path}, found {found[0]} {found[1]}.",
            "Prepare the scans again with this version.",
        )
    return manifest


def write_manifest(
    folder: Path,
    preprocess: dict[str, Any],
    scans: Sequence[StoredScan],
    skipped: Sequence[dict[str, str]],
    duplicates: Sequence[Sequence[str]] = (),
) -> None:
    """Write the manifest of a store.

    Arguments:
        folder: The store.
        preprocess: Settings that the scans were prepared with.
        scans: What the store holds.
        skipped: `source` and `reason` of every input that was left out.
        duplicates: Groups of names of scans that are nearly the same.
    """
    write_json(
        folder / "manifest.json",
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "preprocess": preprocess,
            "scans": [scan.to_json() for scan in sorted(scans, key=lambda scan: scan.name)],
            "skipped": list(skipped),
            "duplicates": [list(group) for group in duplicates],
        },
    )
