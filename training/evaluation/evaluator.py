"""Measuring one scan: every score's counts by every protocol, its peaks, and a picture."""

import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ctscreener.files import read_scan
from ctscreener.model import Model
from ctscreener.provenance import fingerprint, request
from ctscreener.scan import Scan
from ctscreener.screen import ScreenSettings, screen
from ctscreener.whole_file import make_folder, whole_file
from training.baselines.fitted import Fitted
from training.baselines.trivial import MeanAtPlace, gradient_scores, random_scores
from training.evaluation.case_picture import draw_case
from training.evaluation.cases import Case, Others, read_case_mask
from training.evaluation.froc import Marks
from training.evaluation.measured import Measured
from training.evaluation.protocols import Grid, Place, Protocol, Truth, count
from training.evaluation.rarities import Rarities

KEPT_VERSION = 3
"""Of what is kept of a scan: a change of how it is measured needs a new number."""
SCREENER = "Screener"
"""Name of the model's score."""
PLACE, GRADIENT, RANDOM = "HU - mean at place", "gradient", "random"
BUILT_IN = (SCREENER, PLACE, GRADIENT, RANDOM)
"""Names that no fitted baseline may have."""


@dataclass(frozen=True)
class EvaluateSettings:
    """Measure a model, and trivial scores, on scans with known lesions."""

    sets: tuple[Path, ...] = ()
    """Folders with `<name>.nii.gz` (or a DICOM folder `<name>`) and `<name>_lesion.nii.gz`, or in
    the layout of nnU-Net or of the Medical Segmentation Decathlon (`dataset.json`)."""
    unlabelled: tuple[Path, ...] = ()
    """Scans, DICOM folders or folders of such, with or without masks: what is counted there is
    findings that meet no known lesion, and voxels above a rarity."""
    model: str = "preview"
    """Name or folder of the model."""
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
    baselines: tuple[Path, ...] = ()
    """Folders of fitted baselines, which score the same voxels."""
    train: Path | None = None
    """Folder of scans whose mean HU at each place is a trivial score; none leaves it out."""
    train_limit: int = 60
    """Scans of that folder that are averaged at most."""
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
        model: The model.
        mean: Mean HU of the training scans; None leaves that score out.
        fitted: Baselines that score the same voxels.
    """

    settings: EvaluateSettings
    model: Model
    mean: MeanAtPlace | None
    fitted: tuple[Fitted, ...] = ()
    _digests: dict[Path, dict[str, Any]] = field(default_factory=dict)

    @property
    def screening(self) -> ScreenSettings:
        """How scans are screened."""
        s = self.settings
        return ScreenSettings(overlap=s.overlap, device=s.device, batch=s.batch)

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

    def measured(self, case: Case) -> Measured:
        """Where the numbers of a scan are kept, and what they depend on."""
        mean = None if self.mean is None else zlib.crc32(self.mean.hu.tobytes())
        key = {
            **request(self.model, self.screening, case.series),
            **self.protocol(),
            "version": KEPT_VERSION,
            "inputs": [self.digest(path) for path in (case.scan, case.mask) if path],
            "label": [case.label, case.others],
            "mean": mean,
            "baselines": [[some.name, some.sha256] for some in self.fitted],
        }
        path = self.settings.out / "scans" / case.part / f"{case.name}.npz"
        return Measured(path, json.dumps(key, sort_keys=True))

    def digest(self, path: Path) -> dict[str, Any]:
        """Name, size and hash of a file, read once."""
        if path not in self._digests:
            self._digests[path] = fingerprint(path)
        return self._digests[path]

    def picture(self, case: Case) -> Path:
        """Where the picture of a scan is."""
        return self.settings.out / "pictures" / case.part / f"{case.name}.png"

    def measure(self, case: Case) -> Measured:
        """Measure a scan by every score and protocol, and keep the numbers.

        An unlabelled one has no numbers but those of its rarities.

        Raises:
            InputError: The scan or its mask cannot be used.
        """
        began, s = time.monotonic(), self.settings
        scan = read_scan(case.scan, case.series)
        labels = read_case_mask(case, scan, s.resample_masks)
        ignore = case.others == "ignored"
        whole = Truth.of(labels, scan.affine, case.label, ignore, s.region_voxels)
        place = Place.of(scan, s.grid, self.model.settings.preprocess)
        truth = place.of_truth(whole)
        seed = [s.seed, zlib.crc32(case.name.encode())]
        counts, marks, rarities = {}, {}, Rarities.none()
        for name, scores in self.scores(scan, seed):
            if name == SCREENER:
                self.draw(case, scan, scores, whole)
                rarities = Rarities.of(scores, whole)
            if case.unlabelled:
                break
            here = place.of_scores(scores, scan.affine)
            for protocol, some in count(here, truth, s.protocols, [*seed, 1]).items():
                counts[name, protocol] = some
            marks[name] = Marks.of(here, truth.region, truth.spacing, ~truth.considered)
        facts = {
            "lesion_voxels": np.count_nonzero(truth.region),
            "regions": truth.regions,
            "regions_lost": whole.regions - truth.regions,
            "seconds": time.monotonic() - began,
        }
        measured = self.measured(case)
        measured.save(counts, marks, rarities, facts)
        return measured

    def draw(self, case: Case, scan: Scan, rarity: np.ndarray, truth: Truth) -> None:
        """Write the picture of a scan."""
        path = self.picture(case)
        make_folder(path.parent)
        with whole_file(path) as beside:
            draw_case(scan, rarity, truth.region != 0).save(beside)

    def scores(self, scan: Scan, seed: list[int]) -> Iterator[tuple[str, np.ndarray]]:
        """Give each score's name and map, one at a time, all on the voxels that the model scores.

        Arguments:
            scan: The scan.
            seed: Decides the random scores.
        """
        rarity = screen(scan, self.model, self.screening).rarity
        body = np.isfinite(rarity)
        yield SCREENER, rarity
        del rarity
        if self.mean is not None:
            yield PLACE, self.mean.scores(scan, body)
        for some in self.fitted:
            yield some.name, some.scorer.scores(scan, body)
        yield GRADIENT, gradient_scores(scan, body)
        yield RANDOM, random_scores(body, np.random.default_rng(seed))
