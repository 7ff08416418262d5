"""A rented machine's Python: torch, lightning and what they need, and nothing else that is here."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THERE = ("torch", "lightning", "numpy", "scipy", "scikit-image", "Pillow", "safetensors")
MISSING = (
    *("SimpleITK", "blosc2", "tyro", "platformdirs", "ndindex", "numexpr", "docstring_parser"),
    *("typeguard", "rich", "tensorboard", "matplotlib", "pydicom", "dask", "pytest"),
)
"""Some of what such a machine lacks."""


def needed(names: Sequence[str]) -> dict[str, Distribution]:
    """The distributions of some names, and all that they require."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found[name] = distribution(name)
        for line in found[name].requires or ():
            # What is wanted for an extra, another system or another Python is not.
            plain, _, marker = line.partition(";")
            if not marker:
                waiting.append(re.split(r"[ \[<>=!~(]", plain.strip())[0])
    return found


def bare_packages(folder: Path) -> Path:
    """A folder with links to the packages that such a machine has."""
    folder.mkdir()
    for one in needed(THERE).values():
        for top in {file.parts[0] for file in one.files or () if file.parts[0] != ".."}:
            there = Path(str(one.locate_file(top)))
            if there.exists() and not (folder / top).exists() and top != "__pycache__":
                (folder / top).symlink_to(there)
    return folder


def run_bare(
    packages: Path, *words: str, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run Python as such a machine would.

    Arguments:
        packages: From `bare_packages`.
        words: What stands after `python`.
        timeout: Seconds.
    """
    path = [packages, ROOT, ROOT / "ScreenerSlicer"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        # Without the site's own packages.
        [sys.executable, "-S", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        cwd=ROOT,
        env={**kept, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_WAIT_POLICY": "PASSIVE"},
    )
