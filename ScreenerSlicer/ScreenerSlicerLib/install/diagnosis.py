"""What went wrong and what to do about it, in the words of the panel; and a report to copy."""

import getpass
import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctscreener.findings import NOTICE
from ctscreener.version import VERSION

if TYPE_CHECKING:
    from ScreenerSlicerLib.preflight.hardware import Hardware

PACKAGES = (
    *("torch", "numpy", "scipy", "SimpleITK", "scikit-image", "safetensors", "platformdirs"),
    *("pillow", "pydicom", "highdicom", "vtk", "light-the-torch"),
)
LINES_SHOWN = 200


@dataclass(frozen=True)
class JobError:
    """What a run or an installation failed of.

    Arguments:
        code: A short, stable name, such as `gpu.memory`.
        message: What is wrong, as one or two sentences.
        action: What to do, as one or two sentences.
    """

    code: str
    message: str
    action: str

    def __str__(self) -> str:
        """Return message and action on one line."""
        return f"{self.message} {self.action}"


@dataclass(frozen=True)
class Cause:
    """A known reason for a failure.

    Arguments:
        pattern: A regular expression that its output matches.
        error: What to say then.
    """

    pattern: str
    error: JobError


def _cause(code: str, pattern: str, message: str, action: str) -> Cause:
    return Cause(pattern, JobError(code, message, action))


CAUSES = (
    _cause(
        "gpu.unsupported",
        r"no kernel image is available|sm_\d+ is not compatible|invalid device function",
        "The installed PyTorch was not built for this GPU.",
        "Choose the CPU as device; or uninstall PyTorch in the module PyTorch Utils and install "
        "it again there, which picks the build for this GPU.",
    ),
    _cause(
        "gpu.driver",
        r"driver version is insufficient|NVIDIA driver on your system is too old|"
        r"no CUDA-capable device|CUDA unknown error",
        "The GPU's driver does not fit the installed PyTorch.",
        "Update the NVIDIA driver and restart, or choose the CPU as device.",
    ),
    _cause(
        "gpu.libraries",
        r"CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH|CUDNN_STATUS_NOT_INITIALIZED|"
        r"lib(cudnn|cublas|cudart|nvrtc)[^ ]*: (cannot open|undefined symbol)",
        "PyTorch found CUDA libraries of another version.",
        "Start Slicer without LD_LIBRARY_PATH or a CUDA folder in PATH, or choose the CPU.",
    ),
    _cause(
        "gpu.memory",
        r"CUDA out of memory|CUDA error: out of memory|MPS backend out of memory|"
        r"CUBLAS_STATUS_ALLOC_FAILED|OutOfMemoryError",
        "The GPU has too little free memory.",
        "Close other programs that use the GPU, screen a region alone, or choose the CPU.",
    ),
    _cause(
        "memory",
        r"\bMemoryError|std::bad_alloc|can't allocate memory|Cannot allocate memory|"
        r"Unable to allocate",
        "There is too little memory for this scan.",
        "Close other programs and volumes, or crop the scan.",
    ),
    _cause(
        "output.disk_full",
        r"No space left on device|not enough space on the disk|Disk quota exceeded|ENOSPC",
        "The disk is full.",
        "Free some space, or choose another temporary folder in Edit, Application Settings.",
    ),
    _cause(
        "install.ssl",
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError",
        "The network does not let Slicer check who it talks to (SSL certificate).",
        "Ask your IT department for its certificate and set REQUESTS_CA_BUNDLE and "
        "PIP_CERT to it, or install offline.",
    ),
    _cause(
        "install.network",
        r"ProxyError|Max retries exceeded|Name or service not known|getaddrinfo failed|"
        r"Temporary failure in name resolution|Failed to establish a new connection|"
        r"ReadTimeoutError|ConnectTimeoutError|Network is unreachable",
        "The packages could not be fetched from the network.",
        "Check the connection and the proxy (HTTPS_PROXY), or install offline.",
    ),
    _cause(
        "install.version",
        r"No matching distribution found|ResolutionImpossible|conflicting dependencies",
        "A package has no version that fits this Slicer without replacing what Slicer ships.",
        "Use a current Slicer, and copy the report if it is one.",
    ),
    _cause(
        "install.extension",
        r"No module named '?PyTorchUtils",
        "The PyTorch extension is missing.",
        "Install it from the Extensions Manager and restart Slicer.",
    ),
    _cause(
        "install.torch",
        r"No module named '?torch\b",
        "PyTorch is missing.",
        "Press Install.",
    ),
    _cause(
        "install.packages",
        r"No module named '?(skimage|safetensors|platformdirs|PIL|highdicom)",
        "A Python package is missing.",
        "Press Install.",
    ),
    _cause(
        "install.numpy",
        r"compiled using NumPy 1\.x|numpy\.core\.multiarray failed|_ARRAY_API not found",
        "The installed PyTorch was made for another NumPy than Slicer's.",
        "Uninstall PyTorch in the module PyTorch Utils and install it again.",
    ),
    _cause(
        "install.library",
        r"DLL load failed|\[?WinError (126|127|193|1114)",
        "A library of PyTorch cannot be loaded.",
        "Install Microsoft's Visual C++ Redistributable (x64), restart, and install PyTorch anew.",
    ),
    _cause(
        "install.permission",
        r"Permission denied|Access is denied|Read-only file system|WinError 5\b",
        "A folder may not be written.",
        "Install Slicer in a folder of your own, or start it once as administrator.",
    ),
    _cause(
        "python.mixed",
        r"SRE module mismatch|bad magic number in",
        "Another Python's files are in the way.",
        "Start Slicer without PYTHONHOME and PYTHONPATH.",
    ),
)
"""Known reasons, the more telling ones first."""

ACTIONS = {
    "device.memory": "Close other programs and volumes, screen a region alone, or choose the CPU.",
    "device.unavailable": "Choose the device Automatic, or install a PyTorch for this GPU.",
    "output.disk_full": (
        "Free some space, or choose another temporary folder in Edit, Application Settings."
    ),
    "output.unwritable": "Choose another temporary folder in Edit, Application Settings.",
    "option.invalid": "Copy the report and send it to the developers.",
    "internal": "Copy the report and send it to the developers.",
    "stopped": "Press Screen volume again.",
}
"""What to do in the panel, where the engine speaks of its command line."""


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
    return JobError(code, message, ACTIONS.get(code, action))


def known(text: str) -> JobError | None:
    """Find the known reason that a program's output tells; None when there is none."""
    return next((cause.error for cause in CAUSES if re.search(cause.pattern, text)), None)


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
            "The system ended the process, most often because memory ran out.",
            "Close other programs and volumes, or crop the scan.",
        )
    return JobError(
        "process.ended",
        f"The process ended without a result (exit status {returncode}).",
        "Try again; if it stays so, copy the report and send it to the developers.",
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
