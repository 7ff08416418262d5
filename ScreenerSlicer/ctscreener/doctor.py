"""`ctscreener doctor`: what is installed, what it runs on, and whether it finds what it should."""

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ctscreener.errors import InputError
from ctscreener.progress import Progress, silent
from ctscreener.version import VERSION

PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "scikit-image", "pillow", "safetensors")
"""Packages whose versions are told."""
SAMPLE = Path(__file__).parents[2] / "Resources" / "sample_phantom.nrrd"
"""The scan of the self test; its mask stands beside it. Both come with the source code."""
MASK = SAMPLE.with_name("sample_phantom_lesion.nrrd")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Arguments:
        name: What was looked at.
        found: What was found, one line.
        sound: Whether it is as it should be; None where it is missing and not needed by all.
    """

    name: str
    found: str
    sound: bool | None = True


def examine(device: str, model: str, test: bool, progress: Progress = silent) -> Iterator[Check]:
    """Look at one thing after another.

    Arguments:
        device: What to run on, as `ctscreener screen` takes it.
        model: The model of the self test.
        test: Whether to screen the sample, some ten seconds on two cores.
        progress: Told about every step of that.
    """
    python = f"Python {platform.python_version()} on {platform.platform()}"
    yield Check("ctscreener", f"{VERSION}, {python}")
    yield Check("packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    yield machine(device)
    yield from models()
    if test:
        yield self_test(device, model, progress)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "without a version"


def machine(device: str) -> Check:
    """Say what the networks would run on."""
    import torch

    from ctscreener.device import find_device

    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads{_memory()}"
    try:
        chosen = find_device(device)
    except InputError as error:
        return Check("device", f"{error.message} {error.action}", sound=False)
    card = f" ({torch.cuda.get_device_name(chosen)})" if chosen.startswith("cuda") else ""
    return Check("device", f"{chosen}{card}; {cores}")


def _memory() -> str:
    """The machine's memory, where the system tells it."""
    try:
        return f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):
        return ""


def models() -> Iterator[Check]:
    """Load every model that has a name: its weights must have the hash that it describes."""
    from ctscreener.model import known_models, load_model

    for folder in known_models():
        name = f"model {folder.name}"
        try:
            model = load_model(folder)
        except InputError as error:
            missing = error.code == "encoder.missing"
            yield Check(name, f"{error.message} {error.action}", None if missing else False)
        else:
            yield Check(name, f"SHA-256 {model.sha256}")


def self_test(device: str, model: str, progress: Progress = silent) -> Check:
    """Screen the sample, a phantom with two lesions, and look whether the first finding is one.

    Arguments:
        device: What to run on.
        model: What to screen with.
        progress: Told about every step.
    """
    if not SAMPLE.is_file():
        return Check("self test", "no sample here: it comes with the source code", sound=None)
    from ctscreener.device import find_device
    from ctscreener.files import read_mask, read_scan
    from ctscreener.model import load_model
    from ctscreener.screening import ScreenSettings, screen

    began = time.perf_counter()
    try:
        scan = read_scan(SAMPLE)
        lesions = read_mask(MASK, scan)
        settings = ScreenSettings(device=find_device(device))
        screened = screen(scan, load_model(model), settings, progress)
    except InputError as error:
        return Check("self test", f"{error.message} {error.action}", sound=False)
    seconds = f"{time.perf_counter() - began:.0f} s on {screened.device}"
    true = [bool(lesions[one.peak_index]) for one in screened.findings]
    return Check("self test", f"{verdict(true, screened.found)}; {seconds}", true[:1] == [True])


def verdict(true: list[bool], found: int) -> str:
    """Say what was found in the sample.

    Arguments:
        true: Of each listed finding, rarest first, whether its peak lies in a lesion.
        found: How many findings there are, listed or not.

    Example:
        >>> verdict([True, True, False], 3), verdict([], 0)
        ('3 findings in the sample, the first is a lesion', '0 findings in the sample')
    """
    count = f"{found} finding{'s' * (found != 1)} in the sample"
    return f"{count}, the first is {'a' if true[0] else 'no'} lesion" if true else count
