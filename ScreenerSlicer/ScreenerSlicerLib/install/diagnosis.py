"""What went wrong, in the words of the panel; and a report to copy."""

import getpass
import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ctscreener.findings import NOTICE
from ctscreener.version import VERSION
from ScreenerSlicerLib.install.causes import JobError, actions, known
from ScreenerSlicerLib.translation import tr as _

if TYPE_CHECKING:
    from ScreenerSlicerLib.preflight.hardware import Hardware

PACKAGES = (
    *("torch", "numpy", "scipy", "SimpleITK", "scikit-image", "safetensors", "platformdirs"),
    *("pillow", "pydicom", "highdicom", "vtk", "light-the-torch"),
)
LINES_SHOWN = 200


def explain(code: str, message: str, action: str, log: str = "") -> JobError:
    """Turn the engine's error into one for the panel.

    Arguments:
        code: The engine's code.
        message: The engine's message.
        action: What the engine advises.
        log: What the run printed.

    Returns:
        For a fault of unknown kind the known reason that its output tells, if any.
    """
    if code in ("internal", "process.ended"):
        found = known(f"{message}\n{log}")
        if found is not None:
            return found
    return JobError(code, message, actions().get(code, action))


def died(returncode: int | None, log: str) -> JobError:
    """Explain a process that ended without a result and without an error.

    Arguments:
        returncode: Its exit status, negative for a signal.
        log: What it printed.
    """
    if found := known(log):
        return found
    if returncode in (-9, 137):
        return JobError(
            "process.killed",
            _("The system ended the process, most often because memory ran out."),
            _("Close other programs and volumes, or crop the scan."),
        )
    return JobError(
        "process.ended",
        _("The process ended without a result (exit status {status}).").format(status=returncode),
        _("Try again; if it stays so, copy the report and send it to the developers."),
    )


def report(
    hardware: "Hardware | None",
    folders: Mapping[str, Path],
    lines: Iterable[str] = (),
    error: JobError | None = None,
    slicer_version: str = "",
) -> str:
    """Write all that helps to find a fault, and nothing about a patient.

    Arguments:
        hardware: What the probe found; None before it has ended.
        folders: Folders by what they are, such as `models`.
        lines: What the last run printed.
        error: What it failed of.
        slicer_version: Of the application.

    Returns:
        Plain text. Home folder and user name are left out, and volume names never get here.
    """
    parts = [
        f"Screener {VERSION}",
        NOTICE,
        "",
        f"Slicer: {slicer_version or 'not known'}",
        f"Python: {sys.version.split()[0]}, {platform.platform()}, {platform.machine()}",
        *(f"{name}: {version}" for name, version in versions().items()),
        "",
        *([str(hardware)] if hardware else ["Hardware: not probed yet"]),
        "",
        *(f"{what}: {folder}" for what, folder in folders.items()),
    ]
    if error is not None:
        parts += ["", f"Error {error.code}: {error}"]
    parts += ["", "Last lines of the run:", *list(lines)[-LINES_SHOWN:]]
    return anonymous("\n".join(parts)) + "\n"


def versions() -> dict[str, str]:
    """Look up the versions of all packages that matter, without importing one."""
    return {name: installed_version(name) or "missing" for name in PACKAGES}


def installed_version(name: str) -> str | None:
    """Look up a package's version; None when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def anonymous(text: str) -> str:
    """Leave the home folder and, in paths, the user's name out of a text."""
    home = str(Path.home())
    if len(home) > 1:
        text = text.replace(home, "~")
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # Which of them depends on Python's version: no such variable, and no such account.
        return text
    return re.sub(rf"(?<=[/\\-]){re.escape(user)}(?=[/\\\s:]|$)", "user", text)
