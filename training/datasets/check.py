"""`datasets check NAME FOLDER`: what of a download is there, missing, broken or twice there."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image, ImageDraw

from ctscreener.duplicates import duplicates
from ctscreener.errors import InputError
from ctscreener.settings import write_json
from ctscreener.streams import say
from ctscreener.terminal import Terminal
from ctscreener.whole_file import make_folder, whole_file
from training.datasets.check_one import SIDE, Found, Task, digest_of, look_at
from training.datasets.example import Example
from training.datasets.readers import READERS, Named, named, recognised
from training.flags import POSITIONAL
from training.workers import check_workers, pool

LISTED = 5
"""Names of a kind that the summary on the screen lists; the report has all."""
ACROSS, CAPTION = 6, 14


@dataclass(frozen=True)
class CheckSettings:
    """Walk a download and report what is there, missing, broken or twice there."""

    name: Annotated[str, POSITIONAL]
    """The data set, with options as in NAME,split=train; `any` to take what the folder looks like."""
    folder: Annotated[Path, POSITIONAL]
    """Where it is."""
    against: tuple[Path, ...] = ()
    """Other sets, NAME:FOLDER: scans that are nearly the same as some of theirs are found, as in
    sets that were put together from others. Reads every scan of all of them."""
    every: bool = False
    """Read every scan and mask, which finds damaged voxels and near duplicates; otherwise files
    are looked for, headers read, and `sample` scans read."""
    sample: int = 24
    """Scans that are read and drawn, spread evenly over the set."""
    out: Path = Path("datasets_check")
    """Folder for `report.json` and `contact.png`."""
    workers: int = 0
    """Processes; 0 for one on each core, and with 1 no other than this one."""

    def __post_init__(self) -> None:
        """Refuse fewer processes than there can be."""
        check_workers(self.workers, fewest=0)


@dataclass
class Report:
    """What was found, counted scan by scan; voxels are not kept.

    Arguments:
        label: Of the set.
        unused: Scans that the set's papers leave out as well: name and reason.
        missing: Name and what is missing of it.
        broken: Name and why it cannot be used.
        prints: Fingerprints of what was read.
        patients: Scans of each patient.
        splits: Patients of each part of the set's own split.
        sizes: Names of scans by their size.
    """

    label: str
    scans: int = 0
    masks: int = 0
    read: int = 0
    lesions: int = 0
    bytes: int = 0
    unused: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)
    patients: Counter[str] = field(default_factory=Counter)
    splits: dict[str, set[str]] = field(default_factory=dict)
    sizes: dict[int, list[str]] = field(default_factory=dict)
    pictures: list[tuple[str, np.ndarray]] = field(default_factory=list)

    def add(self, found: Found) -> None:
        """Count one scan."""
        self.scans += 1
        self.masks += found.masked
        self.bytes += found.bytes
        self.patients[found.patient] += 1
        if found.split:
            self.splits.setdefault(found.split, set()).add(found.patient)
        if found.missing:
            self.missing[found.name] = found.missing
        elif found.broken:
            self.broken[found.name] = found.broken
        else:
            self.sizes.setdefault(found.bytes, []).append(found.name)
        if found.fingerprint:
            self.prints[found.name] = found.fingerprint
        if found.picture is not None:
            self.pictures.append((found.name, found.picture))
        self.read += bool(found.fingerprint) or found.picture is not None
        self.lesions += bool(found.lesion_ml)

    def parted(self) -> list[str]:
        """Patients that the set's own split has in two parts."""
        counts = Counter(patient for part in self.splits.values() for patient in part)
        return sorted(patient for patient, parts in counts.items() if parts > 1)


def main(settings: CheckSettings) -> dict[str, Any]:
    """Check a set; write the report and the contact sheet, print a summary.

    Arguments:
        settings: All settings.

    Returns:
        The report.

    Raises:
        InputError: The set is not known, or its folder does not hold it.
    """
    asked = _asked(settings)
    make_folder(settings.out)
    deep = settings.every or bool(settings.against)
    tasks, unused = tasks_of(asked, deep, settings.sample)
    if not tasks and not unused:
        raise InputError(
            "datasets.empty",
            f"Expected scans of {asked.reader.name} in {asked.folder}, found none.",
            f"It holds {asked.reader.layout}. Check the folder.",
        )
    report = Report(asked.label, unused=unused)
    for found in looked_at(tasks, settings.workers, asked.label):
        report.add(found)
    same = identical(report, {task.example.name: task.example for task in tasks})
    shared = leaks(settings, report)
    content = as_json(report, asked, same, shared)
    write_json(settings.out / "report.json", content)
    if report.pictures:
        with whole_file(settings.out / "contact.png") as beside:
            contact_sheet(report.pictures).save(beside, format="PNG")
    print(summary(content), end="")
    sheet = f" and {settings.out / 'contact.png'}" if report.pictures else ""
    print(f"Written: {settings.out / 'report.json'}{sheet}")
    return content


def _asked(settings: CheckSettings) -> Named:
    """The set that is meant."""
    if settings.name == "any":
        reader = recognised(settings.folder)
        return Named(reader or READERS["own"], settings.folder)
    asked = named(Path(f"{settings.name}:{settings.folder}"))
    assert asked is not None, "a colon names a set, or is refused"
    asked.reader.require(asked.folder)
    return asked


def tasks_of(asked: Named, deep: bool, sample: int = 0) -> tuple[list[Task], dict[str, str]]:
    """Say what is to be found out of each scan of a set.

    Arguments:
        asked: The set.
        deep: Read all voxels.
        sample: Scans to read and draw.

    Returns:
        A task for each scan that is used, and why others are not.
    """
    asked.reader.require(asked.folder)
    unused: dict[str, str] = {}
    examples: list[Example] = []
    for example in asked.reader.examples(asked.folder):
        if example.unused:
            unused[example.name] = example.unused
        elif asked.takes(example):
            examples.append(replace(example, options=(*example.options, *asked.options)))
    step = max(1, -(-len(examples) // sample)) if sample else 0
    tasks = [
        Task(asked.reader.name, example, deep, bool(step) and number % step == 0)
        for number, example in enumerate(examples)
    ]
    return tasks, unused


def looked_at(tasks: Sequence[Task], workers: int, what: str) -> Iterator[Found]:
    """Look at scans, here or in several processes, in order, and say how far it is."""
    report = Terminal(sys.stdout, sys.stderr)
    workers = min(workers or os.cpu_count() or 1, max(1, len(tasks)))
    if workers <= 1:
        for done, task in enumerate(tasks):
            report.progress(f"checking {what}", done, len(tasks))
            yield look_at(task)
    else:
        with pool(workers, 1) as processes:
            found = processes.map(look_at, tasks, chunksize=max(1, min(32, len(tasks) // workers)))
            for done, one in enumerate(found):
                report.progress(f"checking {what}", done, len(tasks))
                yield one
    report.progress(f"checking {what}", len(tasks), len(tasks))


def identical(report: Report, examples: dict[str, Example]) -> list[list[str]]:
    """Find scans whose files are the same, byte for byte; files of one size alone are read."""
    groups: dict[str, list[str]] = {}
    for names in report.sizes.values():
        if len(names) > 1:
            for name in names:
                groups.setdefault(digest_of(examples[name].scan), []).append(name)
    return sorted(names for names in groups.values() if len(names) > 1)


def leaks(settings: CheckSettings, report: Report) -> list[list[str]]:
    """Find scans that are nearly the same, within the set and in others, as SET/NAME."""
    prints = {f"{report.label}/{name}": value for name, value in report.prints.items()}
    for path in settings.against:
        other = named(path) or Named(READERS["own"], path)
        tasks, _ = tasks_of(other, deep=True)
        label = other.label if other.label != report.label else f"{other.label} {path.name}"
        for found in looked_at(tasks, settings.workers, label):
            if found.fingerprint:
                prints[f"{label}/{found.name}"] = found.fingerprint
            elif found.missing or found.broken:
                say(sys.stderr, f"Not compared: {label}/{found.name}")
    return duplicates(prints)


def as_json(
    report: Report, asked: Named, same: list[list[str]], shared: list[list[str]]
) -> dict[str, Any]:
    """The report, ready for JSON; no folder of the machine but the one that was given."""
    return {
        "format": "ctscreener-dataset-check",
        "set": report.label,
        "title": asked.reader.title,
        "licence": asked.reader.licence.name,
        "folder": str(asked.folder),
        "scans": report.scans,
        "patients": len(report.patients),
        "masks": report.masks,
        "bytes": report.bytes,
        "read": report.read,
        "with_lesions": report.lesions,
        "splits": {name: len(patients) for name, patients in report.splits.items()},
        "patients_in_two_parts": report.parted(),
        "unused": report.unused,
        "missing": report.missing,
        "broken": report.broken,
        "identical": same,
        "nearly_the_same": shared,
    }


def summary(content: dict[str, Any]) -> str:
    """The report in a few lines."""
    counts = (
        f"  {content['scans']} scans of {content['patients']} patients, {content['masks']} with a "
        f"mask, {content['bytes'] / 1e9:.1f} GB; {content['read']} read, of which "
        f"{content['with_lesions']} show lesions"
    )
    lines = [f"{content['set']}: {content['title']} ({content['licence']})", counts]
    if content["splits"]:
        parts = ", ".join(f"{name} {count}" for name, count in content["splits"].items())
        lines.append(f"  patients in its own split: {parts}")
    for what in ("unused", "missing", "broken"):
        found: dict[str, str] = content[what]
        lines.append(f"  {what}: {len(found)}")
        lines += [f"    {name}: {why}" for name, why in list(found.items())[:LISTED]]
    for what in ("patients_in_two_parts", "identical", "nearly_the_same"):
        groups = content[what]
        lines.append(f"  {what.replace('_', ' ')}: {len(groups)}")
        lines += [f"    {g if isinstance(g, str) else ', '.join(g)}" for g in groups[:LISTED]]
    return "\n".join(lines) + "\n"


def contact_sheet(pictures: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Lay pictures out in rows, the name of each below it.

    Arguments:
        pictures: Name and picture, uint8, `(SIDE, SIDE, 3)`.
    """
    rows = -(-len(pictures) // ACROSS)
    sheet = Image.new("RGB", (min(ACROSS, len(pictures)) * SIDE, rows * (SIDE + CAPTION)), "black")
    draw = ImageDraw.Draw(sheet)
    for number, (name, picture) in enumerate(pictures):
        x, y = number % ACROSS * SIDE, number // ACROSS * (SIDE + CAPTION)
        sheet.paste(Image.fromarray(picture), (x, y))
        draw.text((x + 2, y + SIDE + 1), name[-24:], fill="white")
    return sheet
