"""What Slicer's extensions index checks of this repository, as far as it can be checked offline.

    python Testing/index_entry.py                  # the checks; exit status 1 where one fails
    python Testing/index_entry.py --owner NAME     # writes the repository's owner where OWNER stands

The checks are those of `scripts/check_description_files.py` and of the schema that the entry names
(ExtensionsIndex and Slicer, August 2026). Three need the network and are not here: that the two
pictures can be fetched, that the repository has the topic `3d-slicer-extension`, and that it can be
cloned.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = "CTAnomalyScreener"
UNKNOWN = "OWNER"
"""Stands for the owner as long as the repository has no home."""
FILES = ("CMakeLists.txt", f"{NAME}.json")
PREFIXES = ("Slicer", "Slicer-", "Slicer_", "SlicerExtension-", "SlicerExtension_")
CATEGORIES = {"Segmentation", "Quantification", "Analysis", "Filtering", "Informatics", "DICOM"}
LICENCES = ("LICENSE", "LICENCE", "LICENSE.txt", "COPYING")
LARGEST_BYTES = 100 * 1024**2
FIELDS: dict[str, type] = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
REQUIRED = ("$schema", "category", "scm_url")
PICTURES = ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS")


def problems(root: Path) -> list[str]:
    """Check a repository; returns one line for each fault, none where all is well.

    Arguments:
        root: The repository.
    """
    raw = (root / f"{NAME}.json").read_bytes()
    entry = json.loads(raw)
    return [*_of_entry(entry, raw), *_of_cmake(root, entry), *_of_files(root)]


def owner_of(root: Path) -> str:
    """Read the owner of a repository out of its entry."""
    entry = json.loads((root / f"{NAME}.json").read_text(encoding="utf-8"))
    return str(entry["scm_url"]).removeprefix("https://github.com/").partition("/")[0]


def fill_owner(root: Path, owner: str) -> list[str]:
    """Write an owner into every address; may be called again with another.

    Arguments:
        root: The repository.
        owner: A user or an organisation of GitHub.

    Returns:
        The addresses as they are then.

    Raises:
        ValueError: That is no name that GitHub gives.
    """
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,38}", owner):
        raise ValueError(f"Expected a user or an organisation of GitHub, found {owner!r}.")
    address = re.compile(
        rf"(https://(?:raw\.)?github(?:usercontent)?\.com/)[^/\"]+(/Slicer{NAME})"
    )
    found: list[str] = []
    for name in FILES:
        path = root / name
        text = address.sub(rf"\g<1>{owner}\g<2>", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8", newline="\n")
        found += re.findall(rf'"(https://[^"]+/Slicer{NAME}[^"]*)"', text)
    return found


def _of_entry(entry: dict[str, Any], raw: bytes) -> Iterator[str]:
    if b"\r" in raw:
        yield "the entry has other line ends than LF"
    for name in REQUIRED:
        if not entry.get(name):
            yield f"the entry has no {name}"
    for name, value in entry.items():
        if type(value) is not FIELDS.get(name):
            yield f"the entry has {name}: {value!r}, which the schema does not know"
    if entry.get("category") not in CATEGORIES:
        yield f"the index has no category {entry.get('category')!r}"
    if entry.get("tier") not in range(1, 6):
        yield "the tier is not from 1 to 5"
    url = str(entry.get("scm_url"))
    if not url.startswith(("https://", "git://")):
        yield f"{url} is no address of a repository"
    if not url.rpartition("/")[2].startswith(PREFIXES):
        yield f"the repository's name does not begin with Slicer: {url}"


def _of_cmake(root: Path, entry: dict[str, Any]) -> Iterator[str]:
    """The metadata, found by the index's own patterns: quoted texts, one a line."""
    text = (root / "CMakeLists.txt").read_text(encoding="utf-8")
    project = re.findall(r"project\s*\(\s*([^\s\)]+)", text, re.IGNORECASE)
    if project[:1] != [NAME]:
        yield f"CMakeLists.txt has the project {project[:1]}, not {NAME}"
    about = dict(re.findall(r'^set\s*\((EXTENSION_\w+)\s*"([^"]+)"[ ]*\)', text, re.MULTILINE))
    url = str(entry.get("scm_url"))
    if about.get("EXTENSION_HOMEPAGE") != url:
        yield "EXTENSION_HOMEPAGE is not the repository of the entry"
    if about.get("EXTENSION_DEPENDS", "").split() != entry.get("build_dependencies"):
        yield "EXTENSION_DEPENDS and build_dependencies differ"
    repository = url.removeprefix("https://github.com/")
    start = f"https://raw.githubusercontent.com/{repository}/{entry.get('scm_revision')}/"
    for name in PICTURES:
        addresses = about.get(name, "").split()
        if not addresses:
            yield f"CMakeLists.txt has no {name}"
        for address in addresses:
            picture = root / address.removeprefix(start)
            if not address.startswith(start) or not picture.is_file():
                yield f"{name} names no file of this repository: {address}"
            elif picture.suffix not in (".png", ".jpg", ".jpeg", ".gif"):
                yield f"{name} names no picture: {address}"


def _of_files(root: Path) -> Iterator[str]:
    if not any((root / name).is_file() for name in LICENCES):
        yield "there is no licence"
    size = cloned_bytes(root)
    if size > LARGEST_BYTES:
        yield f"a clone has {size / 1024**2:.0f} MB, more than 100"


def cloned_bytes(root: Path) -> int:
    """Bytes of a fresh clone: its files, and its history as Git packs it to send it.

    What lies about here counts not: files that Git does not know, objects that nothing needs.
    A folder that is no repository has no history; all of its files count.
    """
    if not (root / ".git").exists():
        return sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    git = ["git", "-C", str(root)]
    names = subprocess.run([*git, "ls-files", "-z"], capture_output=True, check=True).stdout
    files = [root / name.decode() for name in names.split(b"\0") if name]
    objects = subprocess.run(
        [*git, "rev-list", "--objects", "HEAD"], capture_output=True, check=True
    ).stdout
    packed = subprocess.run(
        [*git, "pack-objects", "--stdout", "-q"], input=objects, capture_output=True, check=True
    ).stdout
    return len(packed) + sum(file.stat().st_size for file in files if file.is_file())


def main() -> int:
    """Check, or fill in the owner; returns 1 where a check fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--owner", help="the GitHub user or organisation that owns the repository")
    owner = parser.parse_args().owner
    if owner:
        try:
            print(*fill_owner(ROOT, owner), sep="\n")
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    found = problems(ROOT)
    for line in found:
        print(f"fault: {line}")
    if owner_of(ROOT) == UNKNOWN:
        print("The owner is not known yet: python Testing/index_entry.py --owner NAME")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
