"""Torso, arms, head and legs: coarsely, by geometry alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctscreener.findings import FindingSettings, Found, found_in_parts
from ctscreener.regions import CROSS, label
from ctscreener.resampling import ASIDE
from ctscreener.scan import Scan

TORSO, ARMS, HEAD, LEGS = 1, 2, 3, 4
"""The labels; 0 is no body. What is not clearly another part is torso."""
NAMES = {TORSO: "torso", ARMS: "arms", HEAD: "head", LEGS: "legs"}
"""What findings call them."""
NEAR = 2
"""Voxels around a point that is outside of the body by a rounding."""

STEP_MM = 4.5
"""Pieces are found on a grid this coarse."""
NECK_MM = 15.0
"""Pieces of a slice that touch over less than twice this are told apart: an arm on the flank."""
LUNG_HU = (-950.0, -600.0)
"""HU of lung."""
LUNG_SHARE = 0.05
"""A slice with so much lung shows the chest."""
BONE_HU = 200.0
"""HU of bone."""
BONE_SHARE = 0.01
"""Arms and legs hold at least so much bone; a breast or a fold of skin holds none."""
HEAD_WIDTH_MM = 220.0
"""Neck and head are narrower."""
HEAD_OF_CHEST = 0.6
"""Nor are they wider than this share of the chest."""
LEG_CM2 = 30.0
"""The cross-section of a leg is larger."""
LEGS_ALIKE = 0.4
"""The smaller of two legs has at least this share of the larger one's cross-section."""
SMALLEST_ML = 30.0
"""Smaller parts beside the torso are torso."""


@dataclass(frozen=True)
class Piece:
    """A piece of a slice.

    Arguments:
        number: Its label.
        area: In cm2.
        centre: Along W, in mm.
        width: Along W, in mm.
        bone: Share of bone.
    """

    number: int
    area: float
    centre: float
    width: float
    bone: float


@dataclass(frozen=True)
class Parts:
    """The parts of a body on a grid.

    Arguments:
        labels: What `body_parts` returned, uint8, `(D, H, W)`.
        affine: Voxel index to RAS mm, `(4, 4)`.
    """

    labels: np.ndarray
    affine: np.ndarray

    def at(self, ras: Sequence[float]) -> str:
        """Name the part at a point.

        Arguments:
            ras: mm to the right, anterior and superior.
        """
        at = (np.linalg.inv(self.affine) @ [*ras, 1.0])[:3]
        index = np.floor(at + 0.5 + ASIDE).astype(int)
        index = np.clip(index, 0, np.array(self.labels.shape) - 1)
        here = int(self.labels[tuple(index)])
        if not here:
            around = tuple(slice(max(i - NEAR, 0), i + NEAR + 1) for i in index)
            counts = np.bincount(self.labels[around].ravel(), minlength=2)
            here = int(counts[1:].argmax()) + 1
        return NAMES[here]


def found_by(
    rarity: np.ndarray,
    scan: Scan,
    parts: Parts | None,
    settings: FindingSettings,
    all_parts: bool = False,
) -> Found:
    """Find and rank as a screening does; also Slicer finds by this, at another threshold.

    Arguments:
        rarity: Rarity on the scan's grid, `(D, H, W)`, NaN where not scored.
        scan: The scan that was scored.
        parts: The parts of its body; all findings are listed where they are not known.
        settings: What counts as a finding.
        all_parts: List those of arms, head and legs, too.
    """
    if parts is None:
        return found_in_parts(rarity, scan, settings)
    return found_in_parts(rarity, scan, settings, parts.at, None if all_parts else NAMES[TORSO])


def body_parts(hu: np.ndarray, body: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Tell torso, arms, head and legs apart.

    Head and neck are the slices above the lungs whose middle piece is narrow, legs the lowest
    slices in which the body has parted in two. Beside them, and beside the trunk, other pieces that
    hold bone are arms, also where they touch it narrowly. Shoulders and hips are torso, and so is
    all that is unclear, such as an arm pressed into the flank or a scan of a head alone.

    Arguments:
        hu: Hounsfield units, NaN where not measured, `(D, H, W)`, D towards superior.
        body: Which voxels are body, bool, `(D, H, W)`.
        spacing: mm along `(D, H, W)`.

    Returns:
        `TORSO`, `ARMS`, `HEAD` or `LEGS`, 0 outside of the body, uint8, `(D, H, W)`.
    """
    steps = [max(1, round(STEP_MM / step)) for step in spacing[1:]]
    coarse = np.s_[:, steps[0] // 2 :: steps[0], steps[1] // 2 :: steps[1]]
    seen, values = body[coarse], np.nan_to_num(hu[coarse], nan=-1000.0)
    mm = spacing[1:] * steps
    split = np.stack([pieces_of(plane, mm) for plane in seen])
    found = [measured(*planes, mm) for planes in zip(split, values > BONE_HU, strict=True)]
    lung = (seen & (values > LUNG_HU[0]) & (values < LUNG_HU[1])).sum(axis=(1, 2))
    chest = lung > LUNG_SHARE * seen.sum(axis=(1, 2))
    parts = np.where(seen, TORSO, 0).astype(np.uint8)
    for z, (part, main, others) in enumerate(levels(found, chest)):
        parts[z][np.isin(split[z], [piece.number for piece in main])] = part
        parts[z][np.isin(split[z], [piece.number for piece in others])] = ARMS
    parts = without_specks(parts, spacing[0] * mm.prod() / 1000)
    return enlarged(parts, body, steps)


def pieces_of(plane: np.ndarray, mm: np.ndarray) -> np.ndarray:
    """Number the pieces of a slice, parted where they touch narrowly, `(h, w)`."""
    regions, count = label(plane)
    if not count:
        return regions
    padded = np.pad(plane, 1, mode="edge")  # what the border cuts is as thick beyond it
    inner = ndimage.distance_transform_edt(padded, sampling=mm)
    seeds, number = label(np.asarray(inner)[1:-1, 1:-1] > NECK_MM)
    # Regions too thin for a seed are a piece each.
    thin = ~np.isin(regions, np.unique(regions[seeds > 0])) & plane
    seeds = np.where(thin, regions + number, seeds)
    nearest = ndimage.distance_transform_edt(
        seeds == 0, mm, return_distances=False, return_indices=True
    )
    return np.where(plane, seeds[tuple(np.asarray(nearest))], 0)


def measured(split: np.ndarray, bone: np.ndarray, mm: np.ndarray) -> list[Piece]:
    """The pieces of a slice, largest first."""
    pieces = []
    for number, box in enumerate(ndimage.find_objects(split), 1):
        if box is None:
            continue
        inside = split[box] == number
        columns = np.flatnonzero(inside.any(axis=0)) + box[1].start
        pieces.append(
            Piece(
                number=number,
                area=float(inside.sum() * mm.prod() / 100),
                centre=float(columns.mean() * mm[1]),
                width=float((columns[-1] - columns[0] + 1) * mm[1]),
                bone=float(bone[box][inside].mean()),
            )
        )
    return sorted(pieces, key=lambda piece: -piece.area)


def levels(
    found: list[list[Piece]], chest: np.ndarray
) -> list[tuple[int, list[Piece], list[Piece]]]:
    """For each slice: its part, the pieces of that part, and the arms beside it."""
    largest = [pieces[0] for pieces in found if pieces]
    if not largest:
        return [(TORSO, [], []) for _ in found]
    middle = float(np.median([piece.centre for piece in largest]))
    shows = np.flatnonzero(chest)
    lowest, top = (shows[0], shows[-1]) if len(shows) else (len(found), -1)
    trunk = [found[z][0] for z in shows if found[z]] or largest
    width = min(HEAD_WIDTH_MM, HEAD_OF_CHEST * float(np.max([piece.width for piece in trunk])))
    narrow = [
        z > top and is_narrow(central(pieces, middle), width) for z, pieces in enumerate(found)
    ]
    parted = [z < lowest and are_legs(pieces, middle) for z, pieces in enumerate(found)]
    head = len(found) - run(narrow[::-1])
    legs = run(parted)
    result = []
    for z, pieces in enumerate(found):
        if z >= head:
            part, main = HEAD, central(pieces, middle)
        elif z < legs:
            part, main = LEGS, pieces[:2]
        else:
            part, main = TORSO, pieces[:1]
        result.append((part, main, arms(pieces, main)))
    return result


def central(pieces: list[Piece], middle: float) -> list[Piece]:
    """The piece that holds the middle of the body, or none."""
    return [piece for piece in pieces if abs(piece.centre - middle) < piece.width / 2][:1]


def is_narrow(main: list[Piece], width: float) -> bool:
    """Whether a slice's middle piece may be neck or head; above the head there is none."""
    return not main or main[0].width < width


def are_legs(pieces: list[Piece], middle: float) -> bool:
    """Whether the two largest pieces of a slice lie on both sides and are alike."""
    if len(pieces) < 2:
        return False
    a, b = pieces[:2]
    beside = (a.centre - middle) * (b.centre - middle) < 0
    alike = b.area > LEGS_ALIKE * a.area and b.area > LEG_CM2
    return beside and alike and min(a.bone, b.bone) > BONE_SHARE


def arms(pieces: list[Piece], main: list[Piece]) -> list[Piece]:
    """The other pieces that hold bone and lie outside of the main ones' middle."""
    if not main:
        return []
    low = min(piece.centre - 0.4 * piece.width for piece in main)
    high = max(piece.centre + 0.4 * piece.width for piece in main)
    return [
        piece
        for piece in pieces
        if piece not in main and piece.bone > BONE_SHARE and not low < piece.centre < high
    ]


def run(holds: list[bool]) -> int:
    """How many of the first slices hold, single ones that do not left aside."""
    closed = ndimage.binary_closing(np.pad(holds, 2), iterations=2)[2:-2]
    return len(holds) if closed.all() else int(np.argmin(closed))


def without_specks(parts: np.ndarray, voxel_ml: float) -> np.ndarray:
    """Small regions of arms, head and legs become torso."""
    for part in (ARMS, HEAD, LEGS):
        regions, count = label(parts == part)
        volumes = np.bincount(regions.ravel(), minlength=count + 1) * voxel_ml
        small = volumes < SMALLEST_ML
        small[0] = False
        parts[small[regions]] = TORSO
    return parts


def enlarged(parts: np.ndarray, body: np.ndarray, steps: list[int]) -> np.ndarray:
    """Parts on the body's own grid; voxels that the coarse grid missed take a neighbour's."""
    result = np.zeros(body.shape, np.uint8)
    for z, plane in enumerate(parts):
        if not plane.any():
            result[z] = body[z] * TORSO
            continue
        near = np.where(plane > 0, plane, ndimage.grey_dilation(plane, footprint=CROSS))
        h, w = (
            np.minimum(np.arange(n) // step, m - 1)
            for n, step, m in zip(body.shape[1:], steps, plane.shape, strict=True)
        )
        fine = near[np.ix_(h, w)]
        result[z] = np.where(body[z], np.maximum(fine, TORSO), 0)
    return result
