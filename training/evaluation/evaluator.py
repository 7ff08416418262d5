"""Measuring one scan: every score's counts by every protocol, its peaks, and a picture."""

import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from ctscreener.model import Model
from ctscreener.provenance import fingerprint
from ctscreener.scan import Scan
from ctscreener.screening import ScreenSettings
from ctscreener.settings import to_json
from ctscreener.whole_file import make_folder, whole_file
from training.baselines.folder import Rated
from training.baselines.trivial import body_of
from training.evaluation.case import Case, Others, read_case_mask
from training.evaluation.case_picture import beside_of, draw_case, ranked
from training.evaluation.froc import Marks
from training.evaluation.measured import Measured, MeasuredScan
from training.evaluation.protocols import Grid, Place, Protocol, Truth, count
from training.evaluation.rarities import Rarities
from training.evaluation.rated import SCREENER, RarityScore, load_scores

KEPT_VERSION = 5
"""Of what is kept of a scan: a change of how it is measured needs a new number."""


@dataclass(frozen=True)
class EvaluateSettings:
    """Measure a model, rivals and trivial scores on scans with known lesions."""

    sets: tuple[Path, ...] = ()
    """Data sets, NAME:FOLDER (stage `datasets` lists them); folders with `<name>.nii.gz` (or a
    DICOM folder `<name>`) and `<name>_lesion.nii.gz`, or in the layout of nnU-Net or of the
    Medical Segmentation Decathlon (`dataset.json`)."""
    unlabelled: tuple[Path, ...] = ()
    """Scans, DICOM folders, folders of such or NAME:FOLDER, with or without masks: what is counted
    there is findings that meet no known lesion, and voxels above a rarity."""
    scores: tuple[str, ...] = ("model:preview", "gradient", "random")
    """What is measured: `model:` with the name or folder of a model, once; `part:discriminator` and
    `part:density`, its parts alone; folders of fitted rivals (stage `baseline`); `gradient` and
    `random`, trivial scores."""
    labels: tuple[int, ...] = ()
    """Value of the lesions in each set's masks; 0 takes all. Without it, a set of phantoms is
    measured on its family, any other set on all that is not 0."""
    others: tuple[Others, ...] = ()
    """What other values are in each set: `healthy` tissue, as is usual in sets with a
    `dataset.json`, or `ignored`, as is usual elsewhere."""
    resample_masks: bool = False
    """Bring masks on another grid to their scan's, by the nearest voxel; they are refused
    otherwise."""
    patient: str = "(.*)"
    """Regular expression whose first group is the patient in a scan's name. Intervals draw
    patients, and thresholds come from other patients."""
    protocols: tuple[Protocol, ...] = ("body-only",)
    """Which voxels count: `body-only` (negatives that the model scores), `voxel-all` (all), and
    `authors` (1,000 of each kind a scan at most, from the box with its air)."""
    grid: Grid = "own"
    """The scan's `own` grid, or the `prepared` one that the networks see."""
    region_voxels: int = 1
    """Voxels that a lesion needs to count in AUPRO and FROC; smaller ones count voxel by voxel."""
    out: Path = Path("evaluation")
    """Folder for the results; scans that it holds already are not measured again."""
    limit: int | None = None
    """Scans of each set that are measured at most."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    overlap: float = 0.5
    """Share of a tile that the next one covers again, in 0..0.9."""
    batch: int = 1
    """Tiles that go through the networks together."""
    workers: int = 1
    """Processes that measure scans at the same time."""
    scheduler: str = ""
    """`local`, `slurm` or the address of a Dask scheduler, whose workers see the same disks."""
    share: tuple[int, int] = (1, 1)
    """Which of how many machines this is, such as 2 3: it measures its share of the scans. With
    one --out for all, a last call without this flag puts the results together."""
    resamples: int = 1000
    """How often the patients are drawn anew for a confidence interval."""
    seed: int = 0
    """Seed of the random scores, of drawn voxels, and of these draws."""


@dataclass(frozen=True)
class Evaluator:
    """Measures scans, and knows which ones it has measured before.

    Arguments:
        settings: All settings.
        screened: The score of the model, whose body is measured.
        rated: All scores, that of the model first.
    """

    settings: EvaluateSettings
    screened: RarityScore
    rated: Sequence[Rated]
    _digests: dict[Path, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: EvaluateSettings) -> Self:
        """Load the scores that settings ask for.

        Raises:
            InputError: Those of `load_scores`, `baseline.name`.
        """
        screening = ScreenSettings(
            overlap=settings.overlap, device=settings.device, batch=settings.batch
        )
        return cls(settings, *load_scores(settings.scores, screening, settings.seed))

    @property
    def model(self) -> Model:
        """The model that is measured."""
        return self.screened.model

    def protocol(self) -> dict[str, Any]:
        """How scans are measured, ready for JSON."""
        s = self.settings
        return {
            "protocols": list(s.protocols),
            "grid": s.grid,
            "region_voxels": s.region_voxels,
            "resample_masks": s.resample_masks,
            "seed": s.seed,
        }

    def measured(self, case: Case) -> MeasuredScan:
        """Where the numbers of a scan are kept; of an unlabelled one those of the model alone."""
        rated = [self.screened] if case.unlabelled else self.rated
        return MeasuredScan({one.name: self.measured_by(case, one) for one in rated})

    def measured_by(self, case: Case, rated: Rated) -> Measured:
        """Where the numbers of a scan by one score are kept, and what they depend on."""
        key = {
            **self.protocol(),
            "version": KEPT_VERSION,
            "inputs": [self.digest(path) for path in case.files],
            "label": [case.label, case.others],
            "series": case.series,
            "reader": [case.dataset, case.organs, case.asked],
            "body": to_json(self.model.settings.preprocess),
            "score": [rated.name, rated.sha256],
        }
        path = self.settings.out / "scans" / case.part / case.name / f"{rated.name}.npz"
        return Measured(path, json.dumps(key, sort_keys=True))

    def digest(self, path: Path) -> dict[str, Any]:
        """Name, size and hash of a file, read once."""
        if path not in self._digests:
            self._digests[path] = fingerprint(path)
        return self._digests[path]

    def picture(self, case: Case, score: str = SCREENER) -> Path:
        """Where the picture of a scan is, with the map of one score."""
        beside = "" if score == SCREENER else beside_of(score)
        return self.settings.out / "pictures" / case.part / f"{case.name}{beside}.png"

    def measure(self, case: Case) -> MeasuredScan:
        """Measure a scan by those scores and all protocols that it lacks, and keep the numbers.

        Raises:
            InputError: The scan or its mask cannot be used.
        """
        s, measured = self.settings, self.measured(case)
        scan = case.read()
        labels = read_case_mask(case, scan, s.resample_masks)
        ignore = case.others == "ignored"
        whole = Truth.of(labels, scan.affine, case.label, ignore, s.region_voxels)
        preprocess = self.model.settings.preprocess
        seen = Seen(scan, body_of(scan, preprocess), whole, Place.of(scan, s.grid, preprocess))
        for rated in self.rated:
            if rated.name in measured.parts and not measured.parts[rated.name].exists:
                self._measure_by(case, seen, rated)
        return measured

    def _measure_by(self, case: Case, seen: "Seen", rated: Rated) -> None:
        """Measure a scan by one score; an unlabelled one has numbers of its rarities alone."""
        began = time.monotonic()
        scores = rated.map(seen.scan, seen.body)
        rarities = Rarities.none()
        if rated.name == SCREENER:
            self.draw(self.picture(case), seen.scan, scores, seen.whole)
            rarities = Rarities.of(scores, seen.whole)
        elif seen.whole.regions:
            self.draw(self.picture(case, rated.name), seen.scan, ranked(scores), seen.whole)
        truth = seen.place.of_truth(seen.whole)
        counts, marks = {}, None
        if not case.unlabelled:
            here = seen.place.of_scores(scores, seen.scan.affine)
            seed = [self.settings.seed, zlib.crc32(case.name.encode()), 1]
            counts = count(here, truth, self.settings.protocols, seed)
            marks = Marks.of(here, truth.region, truth.spacing, ~truth.considered)
        facts = {
            "lesion_voxels": np.count_nonzero(truth.region),
            "regions": truth.regions,
            "regions_lost": seen.whole.regions - truth.regions,
            "seconds": time.monotonic() - began,
        }
        self.measured_by(case, rated).save(counts, marks, rarities, facts)

    def draw(self, path: Path, scan: Scan, rarity: np.ndarray, truth: Truth) -> None:
        """Write a picture of a scan."""
        make_folder(path.parent)
        with whole_file(path) as beside:
            draw_case(scan, rarity, truth.region != 0).save(beside)


@dataclass(frozen=True)
class Seen:
    """A scan as every score is measured on it.

    Arguments:
        scan: The scan.
        body: The voxels that the model scores, bool, in the scan's shape.
        whole: Lesions and what is no tissue to be judged, on the scan's grid.
        place: The grid that is measured on.
    """

    scan: Scan
    body: np.ndarray
    whole: Truth
    place: Place
