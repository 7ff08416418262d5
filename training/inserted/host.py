"""A scan that is ready to receive lesions of one family."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.scan import Box, Scan, reoriented_to_canonical
from training.inserted.kidneys import CONTRAST_HU, find_kidneys
from training.inserted.liver import find_liver
from training.inserted.lungs import find_lungs
from training.inserted.organ import Organ
from training.inserted.overview import Overview, dilated, eroded, largest, overview
from training.inserted.scan_canvas import ScanCanvas
from training.inserted.texture import Noise, measure_blur, measure_noise
from training.phantoms.organs import AIR, FAT, KIDNEY, LIVER, LUNG, MUSCLE
from training.phantoms.patient import Phase

InsertedFamily = Literal[
    "lung_nodule", "lung_opacity", "kidney_tumour", "liver_tumour", "lung_mass", "pleural_effusion"
]
FAMILIES = get_args(InsertedFamily)

MARGIN_MM = 45.0
"""Room around an organ that a lesion may need."""
FAR_MM = 20.0
"""A kidney's mass grows into the fat up to this far."""
UNSURE_MM = 4.0
"""Distance kept from the organs that a kidney touches."""
APART_MM = 8.0
"""Distance kept from lesions that are known already."""
LIVER_CONTRAST_HU = 78.0


@dataclass(frozen=True)
class Enhancement:
    """What the contrast medium did, as the tumours of the phantoms want to know it.

    Arguments:
        phase: Arterial phases are not told from portal ones.
        hu: HU of `liver` and of the kidneys' `cortex`.
    """

    phase: Phase
    hu: dict[str, float]


@dataclass(frozen=True)
class Host:
    """A scan, and all that is known of it where lesions go.

    Arguments:
        scan: As it was read.
        turned: The same on canonical axes.
        family: Family of the lesions.
        box: Part of `turned` around the organ.
        organ: Tissue of each voxel of the box, uint8; see `training.phantoms.organs`.
        origin: Voxel of the box at the origin of the body's frame, `(3,)`.
        enhancement: Contrast phase and HU.
        blur: Standard deviation of the point spread in voxels, `(3,)`.
        noise: Of its soft tissue.
        evidence: Measures by which the organ was recognised.
    """

    scan: Scan = field(repr=False)
    turned: Scan = field(repr=False)
    family: InsertedFamily
    box: Box
    organ: np.ndarray = field(repr=False)
    origin: np.ndarray
    enhancement: Enhancement
    blur: np.ndarray
    noise: Noise = field(repr=False)
    evidence: dict[str, float]

    def canvas(self) -> ScanCanvas:
        """The part around the organ, to be painted on."""
        spacing = self.turned.spacing
        return ScanCanvas(self.turned.hu[self.box], self.organ, spacing, self.origin, self.blur)


def find_host(
    scan: Scan,
    family: InsertedFamily,
    rng: np.random.Generator,
    known: np.ndarray | None = None,
) -> Host:
    """Find out where in a scan lesions of a family can lie.

    Arguments:
        scan: On any axes.
        family: Family of the lesions.
        rng: Chooses where noise is measured.
        known: Lesions that the scan has, above 0, `(D, H, W)`; none is put on or beside them.

    Returns:
        The host.

    Raises:
        InputError: `scan.no_body`, or `insert.organ` where the organ is not found for sure.
    """
    turned = reoriented_to_canonical(scan)
    view = overview(turned)
    organ, origin = _organ(view, family)
    box = _box_around(organ.mask, view)
    labels = _labels(turned, view, organ, family, box)
    if known is not None and known.any():
        old = reoriented_to_canonical(Scan(known > 0, scan.affine)).hu
        labels[_around(old, view, box)] = AIR if _wanted(family) == LUNG else MUSCLE
    if not (labels == _wanted(family)).any():
        raise InputError(
            "insert.place",
            f"Expected room for a {family}, found none beside the lesions that are known.",
            "Leave the scan out of this family.",
        )
    starts = np.array([side.start for side in box])
    return Host(
        scan=scan,
        turned=turned,
        family=family,
        box=box,
        organ=labels,
        origin=origin * view.block - starts,
        enhancement=_enhancement(organ, family),
        blur=measure_blur(turned, view),
        noise=measure_noise(turned, view, rng),
        evidence=organ.evidence,
    )


def _organ(view: Overview, family: InsertedFamily) -> tuple[Organ, np.ndarray]:
    """The organ of a family, and the block at the origin of the body's frame."""
    if family == "kidney_tumour":
        organ = find_kidneys(view)
        middle = np.argwhere(organ.mask).mean(0)
        return organ, np.array([middle[0], middle[1], view.midline])
    lungs = find_lungs(view)
    if family == "liver_tumour":
        organ = find_liver(view, lungs)
        return organ, np.argwhere(organ.mask).mean(0)
    at = np.argwhere(lungs.mask)
    # As in the phantoms' frame, the lungs' bases reach some 60 mm below its origin.
    low = np.percentile(at[:, 0], 1) + 60 / view.spacing[0]
    return lungs, np.array([low, at[:, 1].mean(), view.midline])


def _wanted(family: InsertedFamily) -> int:
    return {"kidney_tumour": KIDNEY, "liver_tumour": LIVER}.get(family, LUNG)


def _enhancement(organ: Organ, family: InsertedFamily) -> Enhancement:
    limit = CONTRAST_HU if family == "kidney_tumour" else LIVER_CONTRAST_HU
    phase: Phase = "portal" if organ.hu > limit else "none"
    # A mass is some 70 HU below an enhanced cortex, but never as dark as fat.
    cortex = organ.hu if phase == "none" else max(organ.hu, 130.0)
    return Enhancement(phase, {"liver": organ.hu, "cortex": cortex})


def _box_around(mask: np.ndarray, view: Overview) -> Box:
    """Voxels around a mask of blocks."""
    sides = []
    for side, size, step, block in zip(
        ndimage.find_objects(mask.astype(np.uint8))[0],
        mask.shape,
        view.spacing,
        view.block,
        strict=True,
    ):
        room = int(np.ceil(MARGIN_MM / step))
        start, stop = max(side.start - room, 0), min(side.stop + room, size)
        sides.append(slice(start * block, stop * block))
    return sides[0], sides[1], sides[2]


def _fine(mask: np.ndarray, view: Overview, box: Box) -> np.ndarray:
    """Bring a mask of blocks onto the voxels of a box, its steps rounded off."""
    part = tuple(
        slice(side.start // b, side.stop // b) for side, b in zip(box, view.block, strict=True)
    )
    share = np.kron(mask[part], np.ones(view.block, np.uint8)).astype(np.float32)
    if max(view.block) == 1:
        return share > 0.5
    return ndimage.gaussian_filter(share, np.array(view.block) / 2, mode="nearest") > 0.5


def _around(old: np.ndarray, view: Overview, box: Box) -> np.ndarray:
    """Voxels of a box on or near lesions that are known."""
    d, h, w = view.hu.shape
    a, b, c = view.block
    blocks = np.asarray(old[: d * a, : h * b, : w * c].reshape(d, a, h, b, w, c).any((1, 3, 5)))
    return _fine(dilated(blocks, view.spacing, APART_MM + 3), view, box)


def _labels(
    turned: Scan, view: Overview, organ: Organ, family: InsertedFamily, box: Box
) -> np.ndarray:
    """Tissue of each voxel of the box, as far as lesions of the family care."""
    hu, spacing = turned.hu[box], turned.spacing
    calm = ndimage.gaussian_filter(hu, 1.2 / spacing, mode="nearest", truncate=3.0)
    if family == "kidney_tumour":
        labels = np.full(hu.shape, MUSCLE, np.uint8)
        # Septa and small vessels in the fat are no obstacle to a mass.
        fat = (calm > -150) & (calm < -15)
        labels[fat & _fine(_room(view, organ), view, box)] = FAT
        labels[_fine(_sure(view, organ), view, box) & (calm > -10)] = KIDNEY
        return labels
    if family == "liver_tumour":
        labels = np.full(hu.shape, MUSCLE, np.uint8)
        inside = _fine(eroded(organ.mask, view.spacing, 2.0), view, box)
        labels[inside & (np.abs(calm - organ.hu) < 60)] = LIVER
        return labels
    # The lung ends where the voxels say so; what lies deep inside belongs to it, vessels too.
    inner = _fine(eroded(organ.mask, view.spacing, 8.0), view, box)
    edge = _fine(dilated(organ.mask, view.spacing, 2.0), view, box) & (calm < -450)
    labels = np.full(hu.shape, AIR, np.uint8)
    labels[inner | edge] = LUNG
    return labels


def _sure(view: Overview, organ: Organ) -> np.ndarray:
    """Blocks of the kidneys, away from where they touch what is not fat: there none sees an edge."""
    fat = view.body & (view.hu > -150) & (view.hu < -30)
    inner = eroded(organ.mask, view.spacing, UNSURE_MM)
    return organ.mask & (inner | dilated(fat, view.spacing, UNSURE_MM + 1))


def _room(view: Overview, organ: Organ) -> np.ndarray:
    """Blocks of the kidneys and of the fat around them, without fat beyond muscle."""
    # A block that holds a part of a thin abdominal wall is no longer as dark as this.
    fat = view.body & (view.hu > -150) & (view.hu < -60)
    near = dilated(organ.mask, view.spacing, FAR_MM)
    room = (fat & near) | dilated(organ.mask, view.spacing, 4.0)
    rooms = np.zeros_like(room)
    columns = np.arange(room.shape[2])
    for side in (columns < view.midline, columns >= view.midline):
        part = room & side
        core = largest(eroded(part, view.spacing, 4.5))
        rooms |= largest(core | (dilated(core, view.spacing, 5.0) & part))
    return rooms
