"""Parts of DICOM series: what of a folder can be one volume, and which one is asked for.

A series whose images differ in size, direction or phase has several parts. None is left out
without a word: the parts are listed, and `--series UID#2` picks the second.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctscreener.ct_checks import MIN_SLICES
from ctscreener.dicom_phases import split_phases
from ctscreener.errors import InputError
from ctscreener.slices import Slice

log = logging.getLogger(__name__)

# Direction cosines and spacings are written with few digits.
SAME_GEOMETRY = 1e-3
# Images turned further than this, a few of them, are planning images and no slices.
TURNED_AWAY = 0.9
LISTED = 6


@dataclass(frozen=True)
class Part:
    """Images that can be one volume.

    Arguments:
        label: SeriesInstanceUID, with `#` and a number where the series has several parts.
        images: Its images.
        what: What sets it apart from the other parts of its series, if anything.
    """

    label: str
    images: list[Slice]
    what: str = ""

    @property
    def first(self) -> Slice:
        """One image, for what all share."""
        return self.images[0]


def find_parts(images: Sequence[Slice]) -> list[Part]:
    """Group images by series, and those by size, direction and phase.

    Arguments:
        images: Any images.

    Returns:
        The parts of each series, the largest first.
    """
    series: dict[str, list[Slice]] = {}
    for image in images:
        series.setdefault(image.series, []).append(image)
    return [part for uid, own in series.items() for part in _parts(uid, own)]


def choose(parts: Sequence[Part], series: str | None, folder: Path) -> Part:
    """Pick the one part that can be the scan, or list those there are.

    Arguments:
        parts: As `find_parts` gives them.
        series: SeriesInstanceUID, or the label of a part.
        folder: Where they are from.

    Returns:
        The part.

    Raises:
        InputError: `dicom.no_such_series`, `dicom.modality`, `dicom.localizer`,
            `dicom.several_series` or `dicom.mixed_series`.
    """
    asked = [part for part in parts if series in (None, part.label, part.first.series)]
    if not asked:
        raise InputError(
            "dicom.no_such_series",
            f"Expected series {series}, found {_listed(parts, folder)}.",
            "Pick one of these with --series.",
        )
    scans = _of_ct(asked)
    if not scans:
        raise InputError(
            "dicom.modality",
            f"Expected a series of modality CT, found {_listed(asked, folder)}.",
            "Give a CT scan.",
        )
    bodies = [part for part in scans if not part.first.scout]
    if not bodies:
        raise InputError(
            "dicom.localizer",
            f"Expected a CT scan, found scout images only: {_listed(scans, folder)}.",
            "Give the folder of the scan itself.",
        )
    chosen = _only_one(bodies, folder)
    _tell_left_out(chosen, asked, folder)
    return chosen


def scan_series(images: Sequence[Slice]) -> list[str]:
    """Name the series among images that can be scans.

    Arguments:
        images: Any images.

    Returns:
        SeriesInstanceUIDs of CT series that are no scouts, nor a few images beside others; of all
        series where no such is there.
    """
    parts = find_parts(images)
    bodies = [part for part in _of_ct(parts) if not part.first.scout]
    return list(dict.fromkeys(part.first.series for part in _meant(bodies) or parts))


def _of_ct(parts: Sequence[Part]) -> list[Part]:
    """Keep the series that hold a CT, whole: what says otherwise within one is not to vanish."""
    ct = {part.first.series for part in parts if part.first.modality == "CT"}
    return [part for part in parts if part.first.series in ct]


def _parts(uid: str, images: list[Slice]) -> list[Part]:
    """Split one series."""
    found = []
    for stack in _stacks(images):
        if stack[0].placed and not stack[0].scout:
            found += [Part(uid, phase, what) for what, phase in split_phases(stack)]
        else:
            found.append(Part(uid, stack))
    found.sort(key=lambda part: -len(part.images))
    if len([part for part in found if not part.first.scout]) < 2:
        return found
    return [replace(part, label=f"{uid}#{number}") for number, part in enumerate(found, 1)]


def _stacks(images: list[Slice]) -> list[list[Slice]]:
    """Group images of a series by size and direction."""
    stacks: list[list[Slice]] = []
    for image in images:
        for stack in stacks:
            if _stacks_with(stack[0], image):
                stack.append(image)
                break
        else:
            stacks.append([image])
    return stacks


def _stacks_with(one: Slice, other: Slice) -> bool:
    """Tell whether two images can be slices of one volume."""
    kinds = [
        (image.modality, image.scout, image.coding.size, image.placed) for image in (one, other)
    ]
    if kinds[0] != kinds[1]:
        return False
    mine, others = (
        np.concatenate([image.rows, image.columns, image.spacing]) for image in (one, other)
    )
    return not one.placed or bool(np.abs(mine - others).max() < SAME_GEOMETRY)


def _only_one(bodies: list[Part], folder: Path) -> Part:
    """Give the one part that can be a scan; others of its series may be planning images alone."""
    meant = _meant(bodies)
    if len({part.first.series for part in meant}) > 1:
        raise InputError(
            "dicom.several_series",
            f"Expected one CT series, found {len({part.first.series for part in meant})}: "
            f"{_listed(meant, folder)}.",
            "Pick one with --series UID.",
        )
    kept = [part for part in meant if not _turned_away(part, meant[0])]
    if len(kept) > 1:
        raise InputError(
            "dicom.mixed_series",
            f"Expected slices of one size, direction and phase, found {len(kept)} kinds in one "
            f"series: {_listed(kept, folder)}.",
            f"Pick one with --series UID#NUMBER, such as {kept[0].label}, or export it alone.",
        )
    return kept[0]


def _meant(bodies: list[Part]) -> list[Part]:
    """Leave out series of pictures without a place, or of few images, that lie beside a scan."""
    likely = {
        part.first.series
        for part in bodies
        if part.first.placed and len(part.images) >= MIN_SLICES
    }
    # What is of no series may be of any.
    return [part for part in bodies if not likely or part.first.series in (*likely, "")]


def _turned_away(part: Part, main: Part) -> bool:
    """Tell whether a few images look from another side than the many."""
    if part is main or len(part.images) >= MIN_SLICES:
        return False
    if not (part.first.placed and main.first.placed):
        return False
    return bool(abs(part.first.normal @ main.first.normal) < TURNED_AWAY)


def _tell_left_out(chosen: Part, asked: list[Part], folder: Path) -> None:
    """Say what of the folder is not read: aloud, where it may belong to the scan."""
    for part in asked:
        if part is chosen:
            continue
        stray = part.first.modality == "CT" and not part.first.scout
        aloud = stray or part.first.series == chosen.first.series
        log.log(
            logging.WARNING if aloud else logging.INFO,
            "Left out a scout, or a few images beside the scan: %s.",
            _listed([part], folder),
        )


def _listed(parts: Sequence[Part], folder: Path) -> str:
    """Write one clause for every part: nothing in it tells who the patient is."""
    more = f"; and {len(parts) - LISTED} more" if len(parts) > LISTED else ""
    return "; ".join(_clause(part, folder) for part in parts[:LISTED]) + more


def _clause(part: Part, folder: Path) -> str:
    """Write what a part is, and where."""
    rows, columns = part.first.coding.size
    first = min(part.images, key=lambda image: image.path)
    about = [
        part.first.modality or "no modality",
        f"{len(part.images)} image{'s' * (len(part.images) > 1)}",
        f"'{part.first.description}'",
    ]
    if "#" in part.label:
        about.append(f"{rows} x {columns}")
        about += [part.what] if part.what else []
        about += [] if part.first.placed else ["without a position"]
    about.append(f"from {first.path.relative_to(folder).as_posix()}")
    return f"{part.label or 'no SeriesInstanceUID'} ({', '.join(about)})"
