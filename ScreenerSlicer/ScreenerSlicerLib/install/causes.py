"""Why runs and installations fail, told by what they printed, and what to do then."""

import re
from dataclasses import dataclass

from ScreenerSlicerLib.translation import tr as _


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
        pattern: What its output matches.
        error: What to say then.
    """

    pattern: re.Pattern[str]
    error: JobError


def _cause(code: str, pattern: re.Pattern[str], message: str, action: str) -> Cause:
    return Cause(pattern, JobError(code, message, action))


def causes() -> tuple[Cause, ...]:
    """Return the known reasons, the more telling ones first."""
    return (
        _cause(
            "gpu.unsupported",
            re.compile(
                r"no kernel image is available|sm_\d+ is not compatible|invalid device "
                r"function"
            ),
            _("The installed PyTorch was not built for this GPU."),
            _(
                "Choose the CPU as device; or uninstall PyTorch in the module PyTorch Utils "
                "and install it again there, which picks the build for this GPU."
            ),
        ),
        _cause(
            "gpu.driver",
            re.compile(
                r"driver version is insufficient|NVIDIA driver on your system is too old|no "
                r"CUDA-capable device|CUDA unknown error"
            ),
            _("The GPU's driver does not fit the installed PyTorch."),
            _("Update the NVIDIA driver and restart, or choose the CPU as device."),
        ),
        _cause(
            "gpu.libraries",
            re.compile(
                r"CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH|CUDNN_STATUS_NOT_INITIALIZED|"
                r"lib(cudnn|cublas|cudart|nvrtc)[^ ]*: (cannot open|undefined symbol)"
            ),
            _("PyTorch found CUDA libraries of another version."),
            _("Start Slicer without LD_LIBRARY_PATH or a CUDA folder in PATH, or choose the CPU."),
        ),
        _cause(
            "gpu.memory",
            re.compile(
                r"CUDA out of memory|CUDA error: out of memory|MPS backend out of memory|"
                r"CUBLAS_STATUS_ALLOC_FAILED|OutOfMemoryError"
            ),
            _("The GPU has too little free memory."),
            _("Close other programs that use the GPU, screen a region alone, or choose the CPU."),
        ),
        _cause(
            "memory",
            re.compile(
                r"\bMemoryError|std::bad_alloc|can't allocate memory|Cannot allocate memory|"
                r"Unable to allocate"
            ),
            _("There is too little memory for this scan."),
            _("Close other programs and volumes, or crop the scan."),
        ),
        _cause(
            "output.disk_full",
            re.compile(
                r"No space left on device|not enough space on the disk|Disk quota exceeded|"
                r"ENOSPC"
            ),
            _("The disk is full."),
            _(
                "Free some space, or choose another temporary folder in Edit, Application "
                "Settings."
            ),
        ),
        _cause(
            "install.ssl",
            re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError"),
            _("The network does not let Slicer check who it talks to (SSL certificate)."),
            _(
                "Ask your IT department for its certificate and set REQUESTS_CA_BUNDLE and "
                "PIP_CERT to it, or install offline."
            ),
        ),
        _cause(
            "install.network",
            re.compile(
                r"ProxyError|Max retries exceeded|Name or service not known|getaddrinfo "
                r"failed|Temporary failure in name resolution|Failed to establish a new "
                r"connection|ReadTimeoutError|ConnectTimeoutError|Network is unreachable"
            ),
            _("The packages could not be fetched from the network."),
            _("Check the connection and the proxy (HTTPS_PROXY), or install offline."),
        ),
        _cause(
            "install.version",
            re.compile(
                r"No matching distribution found|ResolutionImpossible|conflicting dependencies"
            ),
            _(
                "A package has no version that fits this Slicer without replacing what "
                "Slicer ships."
            ),
            _("Use a current Slicer, and copy the report if it is one."),
        ),
        _cause(
            "install.extension",
            re.compile(r"No module named '?PyTorchUtils"),
            _("The PyTorch extension is missing."),
            _("Install it from the Extensions Manager and restart Slicer."),
        ),
        _cause(
            "install.torch",
            re.compile(r"No module named '?torch\b"),
            _("PyTorch is missing."),
            _("Press Install."),
        ),
        _cause(
            "install.packages",
            re.compile(r"No module named '?(skimage|safetensors|platformdirs|PIL|highdicom)"),
            _("A Python package is missing."),
            _("Press Install."),
        ),
        _cause(
            "install.numpy",
            re.compile(
                r"compiled using NumPy 1\.x|numpy\.core\.multiarray failed|_ARRAY_API not "
                r"found"
            ),
            _("The installed PyTorch was made for another NumPy than Slicer's."),
            _("Uninstall PyTorch in the module PyTorch Utils and install it again."),
        ),
        _cause(
            "install.library",
            re.compile(r"DLL load failed|\[?WinError (126|127|193|1114)"),
            _("A library of PyTorch cannot be loaded."),
            _(
                "Install Microsoft's Visual C++ Redistributable (x64), restart, and install "
                "PyTorch anew."
            ),
        ),
        _cause(
            "install.permission",
            re.compile(r"Permission denied|Access is denied|Read-only file system|WinError 5\b"),
            _("A folder may not be written."),
            _("Install Slicer in a folder of your own, or start it once as administrator."),
        ),
        _cause(
            "python.mixed",
            re.compile(r"SRE module mismatch|bad magic number in"),
            _("Another Python's files are in the way."),
            _("Start Slicer without PYTHONHOME and PYTHONPATH."),
        ),
    )


def actions() -> dict[str, str]:
    """Return what to do in the panel, where the engine speaks of its command line."""
    another = _("Choose another temporary folder in Edit, Application Settings.")
    report_it = _("Copy the report and send it to the developers.")
    return {
        "device.memory": _(
            "Close other programs and volumes, screen a region alone, or choose the CPU."
        ),
        "device.unavailable": _("Choose the device Automatic, or install a PyTorch for this GPU."),
        "output.disk_full": _(
            "Free some space, or choose another temporary folder in Edit, Application Settings."
        ),
        "output.unwritable": another,
        "option.invalid": report_it,
        "internal": report_it,
        "stopped": _("Press Screen volume again."),
    }


def known(text: str) -> JobError | None:
    """Find the known reason that a program's output tells; None when there is none."""
    return next((cause.error for cause in causes() if cause.pattern.search(text)), None)
