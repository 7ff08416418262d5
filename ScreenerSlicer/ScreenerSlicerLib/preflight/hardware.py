"""What the machine offers, and where a run will take place; PyTorch is never imported for it."""

import importlib.metadata
import re
from collections.abc import Callable
from dataclasses import dataclass

from ScreenerSlicerLib.translation import tr as _

BLACKWELL = (10, 0)
"""First compute capability that a PyTorch for CUDA before 12.8 knows nothing of."""
BLACKWELL_CUDA = 128


@dataclass(frozen=True)
class Gpu:
    """A graphics card.

    Arguments:
        name: As its driver calls it.
        memory_mb: All of its memory in MiB; None when not told.
        free_mb: What of it is free.
        capability: Its CUDA compute capability.
    """

    name: str
    memory_mb: int | None = None
    free_mb: int | None = None
    capability: tuple[int, int] | None = None

    def __str__(self) -> str:
        """Return name and memory on one line."""
        if self.free_mb is None:
            return self.name
        free = _("{name}, {free:.1f} GB free")
        return free.format(name=self.name, free=self.free_mb / 1024)


@dataclass(frozen=True)
class Hardware:
    """What the machine offers.

    Arguments:
        gpus: NVIDIA cards in CUDA's order.
        driver: Their driver's version.
        apple: Whether there is an Apple GPU.
        cores: Processor cores.
        memory_mb: Memory in MiB; None when not known.
        free_mb: What of it programs may take.
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    apple: bool = False
    cores: int = 1
    memory_mb: int | None = None
    free_mb: int | None = None

    def __str__(self) -> str:
        """Return some lines for a report."""
        cards = [f"GPU {number}: {gpu}" for number, gpu in enumerate(self.gpus)]
        cards += ["GPU: Apple (mps)"] if self.apple else []
        free, all_of_it = (
            "?" if mb is None else f"{mb / 1024:.1f}" for mb in (self.free_mb, self.memory_mb)
        )
        memory = f"Memory: {free} GB free of {all_of_it} GB, {self.cores} cores"
        driver = [f"NVIDIA driver: {self.driver}"] if self.driver else []
        return "\n".join([*(cards or ["GPU: none found"]), *driver, memory])


@dataclass(frozen=True)
class Device:
    """Where a run will take place.

    Arguments:
        name: What the engine is given: `cpu`, `cuda:N` or `mps`.
        label: What the user reads.
        notice: Why it is the processor; empty on a GPU.
        gpu: The card; None on others.
    """

    name: str
    label: str
    notice: str = ""
    gpu: Gpu | None = None


def choose_device(hardware: Hardware, wanted: str, torch: str) -> Device:
    """Foresee where a run will take place.

    Arguments:
        hardware: What the machine offers.
        wanted: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        torch: What `torch_build` returned.

    Returns:
        The device, with a notice for the user wherever it is the processor.
    """
    if wanted == "mps" and hardware.apple:
        return Device("mps", _("Apple GPU"))
    number = int(wanted.partition(":")[2] or 0) if wanted.startswith(("auto", "cuda")) else None
    if number is not None and number < len(hardware.gpus):
        gpu = hardware.gpus[number]
        why = _unusable(gpu, torch)
        if not why:
            return Device(f"cuda:{number}", str(gpu), gpu=gpu)
    elif wanted == "cpu":
        why = _("The CPU was chosen.")
    elif hardware.apple and wanted == "auto":
        why = _("An Apple GPU is used only when it is chosen: not every operation exists there.")
    else:
        why = _("No NVIDIA GPU was found.")
    label = _("CPU, {cores} cores").format(cores=hardware.cores)
    return Device("cpu", label, _on_cpu(why))


def _on_cpu(why: str) -> str:
    """What stands in the panel for as long as there is no GPU to run on."""
    notice = _(
        "Running on the CPU: the map is the same up to rounding, but it takes longer than on a "
        "GPU. {why}"
    )
    return notice.format(why=why)


def _unusable(gpu: Gpu, torch: str) -> str:
    """Why PyTorch cannot use a card; nothing where it can, or is not installed yet."""
    if torch == "cpu":
        other = _("{name} is there, but the installed PyTorch is one for the CPU.")
        return other.format(name=gpu.name)
    cuda = re.fullmatch(r"cu(\d+)", torch)
    new = gpu.capability is not None and gpu.capability >= BLACKWELL
    if cuda and new and int(cuda[1]) < BLACKWELL_CUDA:
        older = _("{name} needs a PyTorch for CUDA 12.8 or newer, found {torch}.")
        return older.format(name=gpu.name, torch=torch)
    return ""


def torch_build(
    version: Callable[[str], str] = importlib.metadata.version,
    requires: Callable[[str], list[str] | None] = importlib.metadata.requires,
) -> str:
    """Tell which PyTorch is installed, from its metadata alone.

    Arguments:
        version: Looks a package's version up.
        requires: Looks its requirements up.

    Returns:
        `cu126` and the like, `cuda` where it is one for some CUDA, `rocm...`, `cpu`, or `` when
        none is installed.
    """
    try:
        build = version("torch").partition("+")[2]
        needs = requires("torch") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    if build:
        return build
    # Wheels of the package index carry no label; those for CUDA require NVIDIA's libraries.
    return "cuda" if any(need.startswith("nvidia-") for need in needs) else "cpu"
