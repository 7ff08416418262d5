"""Leakage: scans that are nearly the same, in a cohort or beside what was trained on."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctscreener.cohort.place import TABLE, Place
from ctscreener.cohort.table import read_batches
from ctscreener.duplicates import duplicates, shared
from ctscreener.errors import InputError
from ctscreener.settings import read_json
from ctscreener.streams import say
from ctscreener.texts import cell, plain
from ctscreener.whole_file import write_text

NAME = "duplicates.csv"


@dataclass(frozen=True)
class Known:
    """What tells scans apart.

    Arguments:
        prints: Fingerprint by name, see `ctscreener.duplicates`; empty where it is not known.
        hashes: SHA-256 of the scan by name.
    """

    prints: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


def search(place: Place, others: Sequence[Path]) -> list[tuple[str, str, str]]:
    """Search a cohort, print what is alike and write it, a line a pair.

    Arguments:
        place: The cohort.
        others: Stores of the stage `prepare`, cohorts, or models, whose training scans are known
            by hash alone.

    Returns:
        Where, this scan, the other scan.

    Raises:
        InputError: `cohort.missing` for what is none of them.
    """
    mine = of_cohort(place)
    found = [
        ("here", first, other)
        for first, *rest in duplicates(mine.prints)
        for other in rest
    ]  # fmt: skip
    for folder in others:
        found += [(folder.name, *one) for one in between(mine, known_of(folder))]
    path = place.folder / NAME
    write_text(path, _csv(found))
    for where, one, other in found:
        say(sys.stdout, f"Nearly the same scan: {one} and {other} ({where})")
    say(sys.stdout, f"{path}: {len(found)} pairs among {len(mine.hashes)} scans.")
    return found


def between(mine: Known, theirs: Known) -> list[tuple[str, str]]:
    """Pairs of scans of two sets that are the same by hash or nearly so by fingerprint, sorted."""
    by_hash = {digest: name for name, digest in theirs.hashes.items()}
    same = {(name, by_hash[digest]) for name, digest in mine.hashes.items() if digest in by_hash}
    return sorted(same | set(shared(mine.prints, theirs.prints)))


def of_cohort(place: Place) -> Known:
    """Read a cohort's fingerprints and hashes; a scan of several runs counts once."""
    known = Known()
    for batch in read_batches(place, ["id", "status", "series", "fingerprint", "sha256"]):
        for row in batch:
            if row["status"] == "done":
                known.prints[row["id"]] = (row["fingerprint"] or b"").hex()
                # Of a folder with several series the hash is that of the folder.
                series = f"#{row['series']}" if row["series"] else ""
                known.hashes[row["id"]] = f"{row['sha256']}{series}"
    return known


def known_of(folder: Path) -> Known:
    """Read what is known of the scans of a store, a cohort or a model.

    Raises:
        InputError: `cohort.missing`.
    """
    if (folder / TABLE).is_file():
        return of_cohort(Place(folder))
    if (folder / "manifest.json").is_file():
        scans = read_json(folder / "manifest.json").get("scans", [])
        prints = {scan["name"]: scan.get("fingerprint", "") for scan in scans}
        return Known(prints, {scan["name"]: scan["sha256"] for scan in scans})
    if (folder / "model.json").is_file():
        return Known(hashes=_trained_on(read_json(folder / "model.json")))
    raise InputError(
        "cohort.missing",
        f"Expected a store, a cohort or a model in {folder}, found none.",
        "Check the folder.",
    )


def _trained_on(model: Mapping[str, Any]) -> dict[str, str]:
    """Names and hashes of all scans that a model's stages have seen, wherever it lists them."""
    found: dict[str, str] = {}
    left: list[Any] = [model.get("provenance", {})]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            if isinstance(node.get("sha256"), str) and isinstance(node.get("name"), str):
                found[node["name"]] = node["sha256"]
            left += node.values()
        elif isinstance(node, list):
            left += node
    return found


def _csv(found: Sequence[tuple[str, str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("where", "scan", "other"))
    writer.writerows([cell(plain(each)) for each in row] for row in found)
    return text.getvalue()
