"""The stage that measures a model on scans with known lesions, beside trivial scores."""

import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctscreener.device import find_device
from ctscreener.errors import InputError
from ctscreener.events import Terminal
from ctscreener.files import read_mask, read_scan
from ctscreener.maps import whole_file
from ctscreener.model import Model, load_model
from ctscreener.preprocess import PreprocessSettings
from ctscreener.provenance import fingerprint, request
from ctscreener.scan import Scan
from ctscreener.screen import ScreenSettings, screen
from ctscreener.settings import write_json
from training.baselines.trivial import MeanAtPlace, body_of, gradient_scores, random_scores
from training.cases import Case, find_cases
from training.kept import load_arrays, save_arrays
from training.metrics import PARTIAL, Counts, Estimate, estimate, pooled
from training.prepare import find_sources
from training.tables import evaluation_table

FORMAT, FORMAT_VERSION = "ctscreener-evaluation", 1
AREAS = {"auroc": 1.0, f"auroc@{PARTIAL}": PARTIAL}


@dataclass(frozen=True)
class EvaluateSettings:
    """Measure a model, and trivial scores, on scans with known lesions."""

    sets: tuple[Path, ...]
    """Folders with `<name>.nii.gz` (or a DICOM folder `<name>`) and `<name>_lesion.nii.gz`."""
    model: str = "preview"
    """Name or folder of the model."""
    labels: tuple[int, ...] = ()
    """Value of the lesions in each set's masks; 0 takes all. Without it, a set of phantoms is
    measured on its family, any other set on all that is not 0."""
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
    resamples: int = 1000
    """How often the scans are drawn anew for a confidence interval."""
    seed: int = 0
    """Seed of the random scores and of these draws."""


@dataclass(frozen=True)
class Evaluator:
    """Measures scans, and knows which ones it has measured before.

    Arguments:
        settings: All settings.
        model: The model.
        mean: Mean HU of the training scans; None leaves that score out.
    """

    settings: EvaluateSettings
    model: Model
    mean: MeanAtPlace | None

    @property
    def screening(self) -> ScreenSettings:
        """How scans are screened."""
        s = self.settings
        return ScreenSettings(overlap=s.overlap, device=s.device, batch=s.batch)

    def path(self, case: Case) -> Path:
        """Where the counts of a scan are kept."""
        return self.settings.out / "scans" / case.part / f"{case.name}.npz"

    def key(self, case: Case) -> str:
        """Tell what the counts depend on: equal keys, equal counts."""
        mean = None if self.mean is None else zlib.crc32(self.mean.hu.tobytes())
        return json.dumps(
            {
                **request(self.model, self.screening, None),
                "inputs": [fingerprint(path) for path in (case.scan, case.mask)],
                "label": case.label,
                "seed": self.settings.seed,
                "mean": mean,
            },
            sort_keys=True,
        )

    def known(self, case: Case) -> dict[str, Counts] | None:
        """What an earlier run counted in a scan, if it asked the same."""
        stored = load_arrays(self.path(case), self.key(case))
        if stored is None:
            return None
        return {str(name): Counts(*stored[f"counts{i}"]) for i, name in enumerate(stored["names"])}

    def measure(self, case: Case) -> dict[str, Counts]:
        """Count the voxels of a scan at each value of each score, and keep the counts.

        Raises:
            InputError: The scan or its mask cannot be used.
        """
        scan = read_scan(case.scan)
        labels = read_mask(case.mask, scan)
        lesion = labels == case.label if case.label else labels > 0
        considered = lesion | (labels == 0)
        counts = {
            name: Counts.of(scores[considered], lesion[considered])
            for name, scores in self.scores(scan, case.name)
        }
        arrays = {
            f"counts{i}": np.stack([c.negatives, c.positives])
            for i, c in enumerate(counts.values())
        }
        save_arrays(self.path(case), self.key(case), names=np.array(list(counts)), **arrays)
        return counts

    def scores(self, scan: Scan, name: str) -> Iterator[tuple[str, np.ndarray]]:
        """Give each score's name and map, one at a time, all on the voxels that the model scores.

        Arguments:
            scan: The scan.
            name: Its name, which seeds the random scores.
        """
        rarity = screen(scan, self.model, self.screening).rarity
        body = np.isfinite(rarity)
        yield "Screener", rarity
        del rarity
        if self.mean is not None:
            yield "HU - mean at place", self.mean.scores(scan, body)
        yield "gradient", gradient_scores(scan, body)
        rng = np.random.default_rng([self.settings.seed, zlib.crc32(name.encode())])
        yield "random", random_scores(body, rng)


def main(settings: EvaluateSettings) -> None:
    """Measure all sets; write `results.json` and `table.md`, print the table.

    Arguments:
        settings: All settings.

    Raises:
        InputError: The model or a set cannot be used, or no scan could be.
    """
    find_device(settings.device)
    model = load_model(settings.model)
    cases = find_cases(settings.sets, settings.labels, settings.limit)
    evaluator = Evaluator(settings, model, fit_mean(settings, model, cases))
    counted, skipped = measure_all(evaluator, cases)
    results: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **request(model, evaluator.screening, None),
        "seed": settings.seed,
        "resamples": settings.resamples,
        "mean_at_place_scans": evaluator.mean.scans if evaluator.mean else 0,
        "sets": [
            summary([case for case in counted if case.part == part], counted, settings)
            for part in dict.fromkeys(case.part for case in counted)
        ],
        "skipped": skipped,
    }
    results["table"] = table = evaluation_table(results)
    write_json(settings.out / "results.json", results)
    with whole_file(settings.out / "table.md") as beside:
        beside.write_text(table, encoding="utf-8")
    print(table, end="")


def measure_all(
    evaluator: Evaluator, cases: Sequence[Case]
) -> tuple[dict[Case, dict[str, Counts]], list[dict[str, str]]]:
    """Measure what no earlier run has measured.

    Returns:
        Counts of each score for each scan, and the scans left out with the reason.

    Raises:
        InputError: `evaluate.nothing`.
    """
    counted = {case: counts for case in cases if (counts := evaluator.known(case)) is not None}
    todo, skipped = [case for case in cases if case not in counted], []
    report = Terminal(sys.stdout, sys.stderr)
    for done, case in enumerate(todo):
        report.progress("evaluating", done, len(todo))
        try:
            counted[case] = evaluator.measure(case)
        except InputError as error:
            skipped.append({"set": case.part, "scan": case.name, "reason": error.message})
            report.refused(error, case.name)
    report.progress("evaluating", len(todo), len(todo))
    if not counted:
        found = f"Expected a usable scan among {len(cases)}, found none."
        raise InputError("evaluate.nothing", found, "The reason for each is listed above.")
    return {case: counted[case] for case in cases if case in counted}, skipped


def summary(
    cases: Sequence[Case], counted: dict[Case, dict[str, Counts]], settings: EvaluateSettings
) -> dict[str, Any]:
    """Put together what was measured on one set, ready for JSON."""
    names = list(counted[cases[0]])
    return {
        "set": cases[0].part,
        "label": cases[0].label,
        "scores": {
            name: areas_of([counted[case][name] for case in cases], settings) for name in names
        },
        "scans": [
            {
                "name": case.name,
                "sha256": fingerprint(case.scan)["sha256"],
                "mask_sha256": fingerprint(case.mask)["sha256"],
                "lesion_voxels": int(counted[case][names[0]].positives.sum()),
                "unscored_lesion": _number(counted[case][names[0]].unscored),
                "auroc": {name: _number(counted[case][name].auroc()) for name in names},
            }
            for case in cases
        ],
    }


def areas_of(scans: Sequence[Counts], settings: EvaluateSettings) -> dict[str, Any]:
    """Both areas of one score over a set: pooled, and the mean over scans, with intervals."""
    result = {}
    for name, up_to in AREAS.items():
        # The same draws for every score, so that their intervals can be compared.
        rng = np.random.default_rng(settings.seed)
        pool, mean = estimate(scans, up_to, settings.resamples, rng)
        rounding = _number(pooled(scans).bound(up_to))
        result[name] = {"pooled": _plain(pool), "mean": _plain(mean), "rounding": rounding}
    return result


def fit_mean(
    settings: EvaluateSettings, model: Model, cases: Sequence[Case]
) -> MeanAtPlace | None:
    """Average the training scans at each place, unless an earlier run has done so.

    A scan that is measured itself is left out, whatever its name.

    Raises:
        InputError: `trivial.no_scans`, or there is no such folder.
    """
    if settings.train is None:
        return None
    measured = {fingerprint(case.scan)["sha256"] for case in cases}
    found = {source.path: fingerprint(source.path) for source in find_sources([settings.train])}
    paths = [path for path, file in found.items() if file["sha256"] not in measured]
    paths = paths[: settings.train_limit]
    preprocess = model.settings.preprocess
    key = json.dumps([str(preprocess), *(found[path] for path in paths)])
    kept = settings.out / "mean_at_place.npz"
    if stored := load_arrays(kept, key):
        return MeanAtPlace(stored["hu"], int(stored["scans"]))
    mean = MeanAtPlace.fit(bodies(paths, preprocess))
    save_arrays(kept, key, hu=mean.hu, scans=np.array(mean.scans))
    return mean


def bodies(
    paths: Sequence[Path], preprocess: PreprocessSettings
) -> Iterator[tuple[Scan, np.ndarray]]:
    """Read scans and find their bodies; what cannot be used is named and left out."""
    report = Terminal(sys.stdout, sys.stderr)
    for done, path in enumerate(paths):
        report.progress("averaging", done, len(paths))
        try:
            scan = read_scan(path)
            body = body_of(scan, preprocess)
        except InputError as error:
            report.refused(error, path.name)
            continue
        yield scan, body
    report.progress("averaging", len(paths), len(paths))


def _plain(value: Estimate) -> dict[str, float | None]:
    return {name: _number(number) for name, number in asdict(value).items()}


def _number(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return round(value, 6) if np.isfinite(value) else None
