"""The probe of the machine: graphics cards from `nvidia-smi` or `/proc`, memory from the system."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import final

from ScreenerSlicerLib.preflight.hardware import Gpu, Hardware

PROBE_SECONDS = 5.0
GPU_FOLDER = Path("/proc/driver/nvidia/gpus")
QUERY = ("name", "memory.total", "memory.free", "compute_cap", "driver_version")

Ask = Callable[[Sequence[str]], str]
"""Runs a program and returns what it printed, nothing where it failed."""


@final
class Probe:
    """The probe in the background: `nvidia-smi` may take seconds.

    Arguments:
        find: What finds the hardware.
    """

    def __init__(self, find: Callable[[], Hardware] | None = None) -> None:
        self._find = find or find_hardware
        self._found: Hardware | None = None
        self._thread = threading.Thread(target=self._work, name="screener probe", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        self._found = self._find()

    @property
    def hardware(self) -> Hardware | None:
        """What was found; None as long as the probe runs."""
        return self._found


def find_hardware(
    environment: Mapping[str, str] = os.environ,
    ask: Ask | None = None,
    gpu_folder: Path = GPU_FOLDER,
) -> Hardware:
    """Look for graphics cards and free memory; takes up to some seconds.

    Arguments:
        environment: Where `CUDA_VISIBLE_DEVICES` may stand.
        ask: What runs a program.
        gpu_folder: Where the Linux driver lists its cards.
    """
    query = [f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    gpus, driver = parse_table((ask or _ask)([_nvidia_smi(), *query]))
    gpus = gpus or _listed_by_driver(gpu_folder)
    found = Hardware(
        gpus=visible(gpus, environment.get("CUDA_VISIBLE_DEVICES")),
        driver=driver,
        apple=sys.platform == "darwin" and platform.machine() == "arm64",
        cores=os.cpu_count() or 1,
    )
    memory, free = memory_mb()
    return replace(found, memory_mb=memory, free_mb=free)


def parse_table(text: str) -> tuple[tuple[Gpu, ...], str]:
    """Read what `nvidia-smi` printed, one card a line; numbers that it does not know are None.

    Example:
        >>> parse_table("RTX 4090, 24564, 20000, 8.9, 555.42")
        ((Gpu(name='RTX 4090', memory_mb=24564, free_mb=20000, capability=(8, 9)),), '555.42')
    """
    gpus, driver = [], ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(QUERY):
            continue
        name, total, free, capability, driver = cells
        all_mb, free_mb = (int(cell) if cell.isdigit() else None for cell in (total, free))
        version = re.fullmatch(r"(\d+)\.(\d+)", capability)
        pair = (int(version[1]), int(version[2])) if version else None
        gpus.append(Gpu(name, all_mb, free_mb, pair))
    return tuple(gpus), driver


def visible(gpus: tuple[Gpu, ...], variable: str | None) -> tuple[Gpu, ...]:
    """Keep the cards that `CUDA_VISIBLE_DEVICES` leaves, in its order, up to the first invalid."""
    # Cards named by their UUID cannot be told apart here.
    if variable is None or variable.startswith(("GPU-", "MIG-")):
        return gpus
    kept = []
    for word in variable.split(","):
        if not word.strip().isdigit() or int(word) >= len(gpus):
            break
        kept.append(gpus[int(word)])
    return tuple(kept)


def _listed_by_driver(folder: Path) -> tuple[Gpu, ...]:
    """The cards that the Linux driver lists, for machines without `nvidia-smi`."""
    gpus = []
    for file in sorted(folder.glob("*/information")):
        with suppress(OSError):
            name = re.search(r"^Model:\s*(.+)$", file.read_text(errors="replace"), re.MULTILINE)
            gpus.append(Gpu(name[1].strip() if name else "NVIDIA GPU"))
    return tuple(gpus)


def _nvidia_smi() -> str:
    """Where the program is: on Windows it need not be on the path."""
    found = shutil.which("nvidia-smi")
    root = os.environ.get("SYSTEMROOT", "")
    return found or str(Path(root, "System32", "nvidia-smi.exe"))


def _ask(command: Sequence[str]) -> str:
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            creationflags=flags,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout


def memory_mb() -> tuple[int | None, int | None]:
    """Memory of the machine and what of it is free, in MiB; None where not known."""
    if sys.platform == "win32":
        return _windows_memory()
    if sys.platform == "darwin":
        return _mac_memory()
    with suppress(OSError):
        text = Path("/proc/meminfo").read_text()
        found = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", text, re.MULTILINE))
        total, free = (found.get(name) for name in ("MemTotal", "MemAvailable"))
        return total and int(total) // 1024, free and int(free) // 1024
    return None, None


def _mac_memory() -> tuple[int | None, int | None]:
    total = _ask(["/usr/sbin/sysctl", "-n", "hw.memsize"]).strip()
    pages = _ask(["/usr/bin/vm_stat"])
    size = re.search(r"page size of (\d+)", pages)
    kinds = r"Pages (?:free|inactive|speculative|purgeable):\s+(\d+)"
    free = sum(map(int, re.findall(kinds, pages)))
    all_of_it = int(total) >> 20 if total.isdigit() else None
    return all_of_it, free * int(size[1]) >> 20 if size else None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = [
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        *((f"bytes_{number}", ctypes.c_ulonglong) for number in range(7)),
    ]


def _windows_memory() -> tuple[int | None, int | None]:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 (unknown to type checkers elsewhere)
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return status.bytes_0 >> 20, status.bytes_1 >> 20
