"""From what a program printed to what a user can do; and a report without the user in it."""

import getpass
from pathlib import Path

import pytest

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.install.causes import JobError, actions, causes, known
from ScreenerSlicerLib.install.diagnosis import anonymous, died, explain, report, versions
from ScreenerSlicerLib.preflight.hardware import Gpu, Hardware

SAID = {
    "gpu.unsupported": [
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current",
    ],
    "gpu.memory": [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "RuntimeError: MPS backend out of memory (MPS allocated: 8.00 GB)",
    ],
    "gpu.driver": ["The NVIDIA driver on your system is too old (found version 11040)."],
    "gpu.libraries": [
        "RuntimeError: cuDNN error: CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH",
        "ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory",
    ],
    "memory": [
        "MemoryError",
        "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 300. MiB for an array",
        "terminate called after throwing an instance of 'std::bad_alloc'",
    ],
    "output.disk_full": ["OSError: [Errno 28] No space left on device"],
    "install.ssl": [
        "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate'))"
    ],
    "install.network": [
        "WARNING: Retrying after connection broken by '[Errno -2] Name or service not known'",
        "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 403'))",
    ],
    "install.version": ["ERROR: No matching distribution found for torch>=2.6"],
    "install.extension": ["ModuleNotFoundError: No module named 'PyTorchUtils'"],
    "install.torch": ["ModuleNotFoundError: No module named 'torch'"],
    "install.packages": ["ModuleNotFoundError: No module named 'skimage'"],
    "install.numpy": [
        "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.0.2 as it may crash."
    ],
    "install.library": [
        'OSError: [WinError 126] The specified module could not be found. Error loading "c10.dll"'
    ],
    "install.permission": ["ERROR: Could not install: [Errno 13] Permission denied: '/opt'"],
    "python.mixed": ["AssertionError: SRE module mismatch"],
}


@pytest.mark.parametrize(
    ("code", "said"), [(c, one) for c, lines in SAID.items() for one in lines]
)
def test_what_programs_say_leads_to_an_action(code: str, said: str) -> None:
    error = known(f"Traceback (most recent call last):\n  File ...\n{said}\n")
    assert error is not None
    assert error.code == code
    assert error.message.endswith(".")
    assert error.action.endswith(".")


def test_every_known_cause_is_tried() -> None:
    assert {cause.error.code for cause in causes()} == set(SAID)


def test_what_nobody_knows_stays_what_it_is() -> None:
    assert known("KeyError: 'rank'") is None
    error = explain("internal", "This is a fault of Screener: KeyError.", "Report it.", "KeyError")
    assert error == JobError(
        "internal", "This is a fault of Screener: KeyError.", actions()["internal"]
    )


def test_an_engine_error_keeps_its_message_and_gets_an_action_of_the_panel() -> None:
    error = explain("device.unavailable", "Expected cuda:1, found one card.", "Use --device auto.")
    assert error.message == "Expected cuda:1, found one card."
    assert "--" not in error.action
    untouched = explain("scan.no_body", "No body.", "Choose another.", "CUDA out of memory")
    assert untouched == JobError("scan.no_body", "No body.", "Choose another.")


def test_a_fault_whose_reason_is_known_is_told_by_its_reason() -> None:
    said = (
        "This is a fault of Screener, not of your scan: RuntimeError: no kernel image is available"
    )
    assert explain("internal", said, "").code == "gpu.unsupported"


@pytest.mark.parametrize(
    ("status", "log", "code"),
    [
        (-9, "", "process.killed"),
        (137, "", "process.killed"),
        (-11, "", "process.ended"),
        (1, "ModuleNotFoundError: No module named 'torch'", "install.torch"),
        (0, "", "process.ended"),
    ],
)
def test_a_process_that_says_nothing_is_explained(status: int, log: str, code: str) -> None:
    assert died(status, log).code == code


def test_the_report_holds_what_helps() -> None:
    hardware = Hardware((Gpu("RTX 4090", 24564, 20000, (8, 9)),), "555.42", cores=8, free_mb=4096)
    error = JobError("gpu.memory", "Too little.", "Choose the CPU.")
    lines = [f"line {number}" for number in range(300)]
    text = report(hardware, {"models": Path("/data/models")}, lines, error, "5.12.3")
    for part in ("5.12.3", "RTX 4090", "555.42", "torch: ", "/data/models", "gpu.memory", NOTICE):
        assert part in text
    assert "line 299" in text
    assert "line 100" in text
    assert "line 99\n" not in text
    assert "not probed yet" in report(None, {})


def test_the_report_names_no_user() -> None:
    home = Path.home()
    user = getpass.getuser()
    text = report(None, {"temporary": Path("/tmp") / f"Slicer-{user}"}, [f"at {home}/scans/x"])
    assert str(home / "scans") not in text
    assert "at ~/scans/x" in text
    assert f"Slicer-{user}" not in text
    assert anonymous("user data") == "user data"


def test_versions_are_those_that_are_installed() -> None:
    import numpy

    found = versions()
    assert found["numpy"] == numpy.__version__
    assert "torch" in found
