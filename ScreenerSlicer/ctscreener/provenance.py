"""Provenance: what a result comes from, and whether an earlier result still stands.

Of the scan it names the file alone: no folder, no patient data.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctscreener.errors import InputError
from ctscreener.outputs import RESULTS
from ctscreener.rarity_text import COUNTED
from ctscreener.scan import Scan
from ctscreener.settings import to_json
from ctscreener.version import VERSION

if TYPE_CHECKING:
    from ctscreener.model import Model
    from ctscreener.screened import Screened
    from ctscreener.screening import ScreenSettings


def fingerprint(path: Path) -> dict[str, Any]:
    """Measure a scan on disk, so that a change of it is noticed.

    Arguments:
        path: A file, or a folder of DICOM files.

    Returns:
        `name`, `bytes` and `sha256`: of a file its SHA-256; of a header with data files, and of a
        folder, the SHA-256 of one line `<sha256>  <name>` for each file, in the order of
        `files_of`. What a screening has written into the folder is no part of the scan.

    Raises:
        InputError: `scan.unreadable` or `scan.dangling_link`, if a file cannot be read.
    """
    folder = path.is_dir()
    files = [file for file in _files_of(path) if not (folder and is_result(file))]
    if files == [path]:
        size, digest = _measure(path)
        return {"name": path.name, "bytes": size, "sha256": digest}
    lines, total = [], 0
    for file in files:
        size, digest = _measure(file)
        total += size
        name = file.relative_to(path).as_posix() if folder else file.name
        lines.append(f"{digest}  {name}\n")
    listing = "".join(lines).encode("utf-8", "surrogateescape")
    name = path.resolve().name
    return {"name": name, "bytes": total, "sha256": hashlib.sha256(listing).hexdigest()}


def _files_of(path: Path) -> list[Path]:
    """All files that a scan is read from; of a damaged header, which is never read on, it alone."""
    from ctscreener.files import files_of

    try:
        return files_of(path)
    except InputError:
        return [path]


def is_result(file: Path) -> bool:
    """Tell whether a file, by its name and its folder's, was written by a screening.

    Example:
        >>> is_result(Path("scan/out/findings.json")), is_result(Path("scan/IM0001"))
        (True, False)
    """
    hidden = any(part.startswith((".screener", ".ctscreener")) for part in file.parts[-2:])
    # The lock of a result folder that is not there yet stands beside it.
    return hidden or file.name.endswith(".screener.lock") or file.name in RESULTS


def _measure(file: Path) -> tuple[int, str]:
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return stream.tell(), digest
    except OSError as error:
        raise InputError(
            "scan.unreadable",
            f"Expected a file that can be read, found {file}: {error.strerror or error}.",
            "Check that it exists, and its permissions.",
        ) from error


def request(
    model: "Model", settings: "ScreenSettings", series: str | None
) -> dict[str, dict[str, Any]]:
    """Describe what is asked of a scan: two equal requests give the same result.

    The device and the batch size are left out: they change how long it takes.

    Arguments:
        model: The model that is used.
        settings: How to screen.
        series: The DICOM series that was asked for.

    Returns:
        `software`, `model` and `parameters`, ready for JSON.
    """
    parameters = to_json(settings) | {"series": series}
    del parameters["device"], parameters["batch"]
    if model.whole:
        parameters["overlap"] = None
    # The same weights may be calibrated anew.
    scale = model.scale(settings.overlap)
    rest = {"settings": to_json(model.settings), "calibration": scale.to_json()}
    return {
        "software": {"name": "ctscreener", "version": VERSION},
        "model": {
            "name": model.name,
            "weights_sha256": model.sha256,
            COUNTED: scale.measured_up_to,
            "settings_sha256": hashlib.sha256(json.dumps(rest).encode()).hexdigest(),
            # Of a distilled model, whose scores it imitates.
            **({"teacher": teacher} if (teacher := model.provenance.get("teacher")) else {}),
        },
        "parameters": parameters,
    }


def provenance(
    source: Mapping[str, Any],
    scan: Scan,
    wanted: Mapping[str, Any],
    screened: "Screened",
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Put together where a result comes from.

    Arguments:
        source: The fingerprint of the scan.
        scan: The scan, for its grid.
        wanted: What was asked, see `request`.
        screened: What came out: what the networks ran on, and what was not done as asked for.
        seconds: How long each stage took.

    Returns:
        The provenance that `findings.json` holds, ready for JSON.
    """
    import torch

    return {
        **wanted,
        "input": dict(source),
        "grid": {
            "axes": "(D, H, W)",
            "shape": list(scan.shape),
            "spacing_mm": [float(length) for length in scan.spacing],
            "voxel_to_ras_mm": scan.affine.tolist(),
        },
        "torch": torch.__version__,
        "device": screened.device,
        "rarity_below": screened.below,
        "notices": list(screened.notices),
        "seconds": {stage: round(float(time), 3) for stage, time in seconds.items()},
    }


def standing_record(
    folder: Path, source: Path, wanted: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Find what an earlier run wrote, if it still answers the same question.

    Arguments:
        folder: The result folder of the scan.
        source: The scan on disk.
        wanted: What is asked now, see `request`.

    Returns:
        The contents of its `findings.json`; none where the scan was not screened, or the scan,
        the model, the software or
        a parameter has changed since.
    """
    try:
        record = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
        known = record["provenance"]
        same = all(known[part] == wanted[part] for part in wanted)
        before = known["input"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not (same and source.exists()) or before != fingerprint(source):
        return None
    return record
