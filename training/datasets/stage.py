"""The stage `datasets`: the list of sets, what is known of one, and the check of a download."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ctscreener.errors import InputError
from training.datasets.example import Reader
from training.datasets.folders import folders_of
from training.datasets.readers import READERS, recognised
from training.flags import POSITIONAL

LEGEND = """* permissive: anyone may use what is made of it, also for money, if the source is named.
NAME:FOLDER stands for a set in prepare, insert, evaluate and baseline. `datasets NAME` tells where
it is to be had, `datasets check NAME FOLDER` looks at a download, `datasets --below FOLDER` looks
for sets."""


@dataclass(frozen=True)
class ListSettings:
    """List the data sets that are read, with their licences, or tell what is known of one."""

    name: Annotated[str, POSITIONAL] = ""
    """The set to tell of; all are listed without it."""
    below: Path | None = None
    """Folder in which sets are looked for."""
    permissive: bool = False
    """List those alone whose licence lets anyone use what is made of them."""
    markdown: bool = False
    """Write all that is known of each as Markdown."""


def main(settings: ListSettings) -> str:
    """List the sets.

    Arguments:
        settings: All settings.

    Returns:
        What is printed.

    Raises:
        InputError: `datasets.name`.
    """
    if settings.name and settings.name not in READERS:
        raise InputError(
            "datasets.name",
            f"Expected the name of a data set, one of {', '.join(READERS)}; found "
            f"{settings.name}.",
            "python training/run.py datasets lists them.",
        )
    chosen = [
        reader
        for reader in READERS.values()
        if settings.name in ("", reader.name)
        and (reader.licence.permissive or not settings.permissive)
    ]
    if settings.markdown or settings.name:
        text = "\n\n".join(map(described, chosen))
    else:
        text = table(chosen, places(settings.below) if settings.below else None)
    print(text)
    return text


def places(folder: Path) -> dict[str, list[str]]:
    """Find sets in a folder and in the folders right in it, by name.

    Raises:
        InputError: `datasets.missing`.
    """
    if not folder.is_dir():
        raise InputError(
            "datasets.missing",
            f"Expected a folder with data sets, found none at {folder}.",
            "Check --below.",
        )
    found: dict[str, list[str]] = {}
    for one in (folder, *folders_of(folder)):
        if reader := recognised(one):
            found.setdefault(reader.name, []).append(str(one))
    return found


def table(readers: list[Reader], where: dict[str, list[str]] | None) -> str:
    """One line a set: name, kind, licence, what its masks show, and where it was found."""
    head = ("name", "kind", "licence", "lesions", "status")
    rows = [
        (
            reader.name,
            reader.kind,
            reader.licence.name + " *" * reader.licence.permissive,
            "outlined" if reader.masks and reader.lesions is not None else "none",
            "not looked for"
            if where is None
            else ", ".join(where.get(reader.name, ["not found"])),
        )
        for reader in readers
    ]
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    return "\n".join([*lines, "", LEGEND])


def described(reader: Reader) -> str:
    """All that is known of a set, as Markdown."""
    licence = reader.licence
    facts = {
        "kind": reader.kind,
        "licence": f"{licence.name}{f' ({licence.note})' if licence.note else ''}",
        "source": reader.source,
        "size": reader.size,
        "command": reader.command,
        "folder": reader.layout,
        "masks": reader.masks or "none",
        "options": ", ".join(f"{name}={value:g}" for name, value in reader.options.items()),
        "in the paper's tables": reader.paper_set or "",
        "notes": reader.notes,
    }
    lines = [f"- {name}: {value}" for name, value in facts.items() if value]
    return f"### {reader.name}\n\n{reader.title}.\n\n" + "\n".join(lines)
