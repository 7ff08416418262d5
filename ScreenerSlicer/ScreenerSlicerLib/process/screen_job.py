"""A screening as work for a child process: the scan goes out, the map and its findings come in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from ctscreener.errors import InputError
from ctscreener.findings import Finding, FindingSettings
from ctscreener.parts import Parts
from ctscreener.scan import Scan
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.process.nrrd_file import read_labels, read_map, write_scan
from ScreenerSlicerLib.process.remote import WORKER as REMOTE_WORKER
from ScreenerSlicerLib.process.remote import Remote
from ScreenerSlicerLib.process.run import Check, Command
from ScreenerSlicerLib.scene.beyond import Beyond
from ScreenerSlicerLib.scene.packed_parts import packed
from ScreenerSlicerLib.translation import tr as _

ENGINE = "ctscreener"
"""The module that is run."""
Bounds = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class ScreenRequest:
    """How a volume is screened."""

    model: Path | str = "preview"
    """A model folder, or the name of a model that the engine knows."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N` or `mps`."""
    overlap: float | None = None
    """Share of a tile that the next one covers again, 0 to 0.9; the engine's own choice, or a
    model without tiles, when None."""
    threshold: float = 3.0
    """Lowest rarity of a finding."""
    min_volume_ml: float = 0.1
    """Smallest finding in ml."""
    all_parts: bool = False
    """List findings of arms, head and legs, too."""
    most: int = FindingSettings.most
    """List so many findings at most, the rarest."""
    region: Bounds | None = None
    """The only part that is scored: lowest and highest R, A, S in mm, in the volume's own frame."""
    remote: Remote | None = None
    """The other machine that screens; this one when None."""
    keep_earlier: bool = False
    """Leave earlier maps of the same volume in the scene, beside the new one; else it takes their
    place, with what was said of their findings. The engine knows nothing of this."""

    @property
    def findings(self) -> FindingSettings:
        """What counts as a finding."""
        return FindingSettings(self.threshold, self.min_volume_ml, self.most)

    def options(self) -> tuple[str, ...]:
        """Return the engine's arguments for this."""
        model = self.model.resolve() if isinstance(self.model, Path) else self.model
        if self.remote and isinstance(model, Path):
            # Over there it is another folder of the same name; its hash is compared.
            model = model.name
        line = arguments(
            {
                "--model": model,
                "--device": self.device,
                "--overlap": None if self.overlap is None else float(self.overlap),
                "--threshold": float(self.threshold),
                "--min-volume": float(self.min_volume_ml),
                "--most": int(self.most),
                "--region": self.region and tuple(float(side) for side in self.region),
            }
        )
        return (*line, "--all-parts") if self.all_parts else line


@dataclass(frozen=True)
class ScreenOutput:
    """What a run found.

    Arguments:
        rarity: float32 in the array order of the scan, `(D, H, W)`, NaN where not scored.
        findings: Regions above the threshold, rarest first.
        provenance: Model, hashes, parameters, device and seconds: plain JSON.
        beyond: What lies above the threshold and is not among the findings.
        parts: The parts of the body, as `body_parts.packed` writes them; empty if not known.
    """

    rarity: np.ndarray
    findings: list[Finding]
    provenance: dict[str, Any]
    beyond: Beyond = Beyond()
    parts: str = ""


@final
class ScreenWork:
    """Hands a scan over to the engine, and takes over what it found.

    Arguments:
        scan: What is screened; its array is read until the child has it, and must not be written
            meanwhile. Any real type will do.
        all_parts: Whether findings of all parts of the body are asked for.
    """

    def __init__(self, scan: Scan, all_parts: bool = False) -> None:
        self._scan = scan
        self._all_parts = all_parts

    @property
    def bytes_needed(self) -> float:
        """Room for the scan and the map, uncompressed."""
        return 8 * self._scan.hu.size

    def write(self, folder: Path, check: Check) -> None:
        """Write the scan."""
        write_scan(folder / "scan.nrrd", self._scan, check)
        # From here on its shape is enough: the voxels are not kept alive for hours.
        self._scan = Scan(np.broadcast_to(np.float32(0), self._scan.shape), self._scan.affine)

    def read(self, folder: Path, record: Mapping[str, Any], check: Check) -> ScreenOutput:
        """Read the map, and take the findings out of the result event.

        Raises:
            InputError: `result.unreadable`.
        """
        return output_in(folder / "result", record, self._scan, self._all_parts, check)


def output_in(
    folder: Path, record: Mapping[str, Any], scan: Scan, all_parts: bool, check: Check
) -> ScreenOutput:
    """Read a result folder.

    Arguments:
        folder: The folder, as `ctscreener screen --out` writes it.
        record: The result event, or what stands in `findings.json`.
        scan: What was screened; only its shape and affine are used.
        all_parts: Whether findings of all parts of the body were asked for.
        check: Called between two pieces; it stops the work by raising.

    Raises:
        InputError: `result.unreadable`.
        OSError: A file cannot be read.
    """
    rarity = read_map(folder / "anomaly.nrrd", scan, check)
    labels = folder / "parts.nrrd"
    # The stub of the self tests knows of no parts.
    parts = packed(Parts(*read_labels(labels, check))) if labels.exists() else ""
    try:
        findings = [finding_of(row) for row in record["findings"]]
        beyond = Beyond(int(record["found"]), record.get("elsewhere", {}), all_parts)
        output = ScreenOutput(rarity, findings, record["provenance"], beyond, parts)
    except (KeyError, TypeError) as error:
        found = _("Expected findings and their provenance, found {error}.")
        raise InputError(
            "result.unreadable",
            found.format(error=repr(error)),
            _("Screen the volume again."),
        ) from error
    check()
    return output


def screen_job(
    scan: Scan,
    request: ScreenRequest,
    python: Sequence[str],
    folder: Path | None = None,
    *,
    worker: str = ENGINE,
    environment: Mapping[str, str] | None = None,
    log_folder: Path | None = None,
) -> BackgroundJob[ScreenOutput]:
    """Make a screening that has not begun.

    Arguments:
        scan: As in `ScreenWork`.
        request: How it is screened.
        python: The interpreter that runs the engine, with its own arguments if any.
        folder: Where the temporary folder is made; the system's place when None.
        worker: The module that is run: the engine, or the stub of the self tests.
        environment: Variables of the child to start from; those of this process when None.
        log_folder: Where the run's log file goes; in memory alone when None.
    """
    line = ("screen", "scan.nrrd", "--out", "result", "--events", *request.options())
    if request.remote:
        stub = () if worker == ENGINE else ("--worker", worker)
        line = (*request.remote.arguments(), *stub, *line)
    module = REMOTE_WORKER if request.remote else worker
    command = Command(tuple(python), module, line, environment)
    return BackgroundJob(ScreenWork(scan, request.all_parts), command, folder, log_folder)


def finding_of(row: Mapping[str, Any]) -> Finding:
    """Make a finding of its JSON.

    Raises:
        TypeError: A field is missing or unknown.
    """
    plain: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in row.items()
    }
    return Finding(**plain)


def arguments(options: Mapping[str, object | Sequence[object]]) -> tuple[str, ...]:
    """Turn options into arguments; what is None is left out.

    Example:
        >>> arguments({"--overlap": 0.5, "--region": (-1.0, 2.0), "--model": None})
        ('--overlap', '0.5', '--region', '-1', '2')
    """
    line: list[str] = []
    for name, value in options.items():
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            line += [name, *map(_argument, values)]
    return tuple(line)


def _argument(value: object) -> str:
    # No exponent: argparse takes -1e-05 for an option.
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
