"""Versions: compared by their numbers, and pip held to those that Slicer ships."""

import subprocess
import sys
import zipfile
from pathlib import Path

from ScreenerSlicerLib.install.versions import constraints, holding, release


def test_versions_are_compared_by_their_numbers() -> None:
    assert release("0.10") > release("0.9.1") > release("0.9rc1") == release("0.9")
    assert release("unknown") == ()
    assert constraints({"a": "1.0.dev3+gabc", "b": ""}) == "a==1.0.dev3+gabc\n"


def test_pip_itself_keeps_to_what_is_held(tmp_path: Path) -> None:
    """A wheel that wants another version of what is held is refused by pip."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    wheel(folder, "held", "2.0")
    wheel(folder, "wanted", "1.0", "held>=2")
    held = folder / "constraints.txt"
    held.write_text("held==1.0\n")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index"]
    command += ["--find-links", str(folder), "wanted"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    with holding(held):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "held==1.0" in refused.stdout + refused.stderr


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    """Make a wheel that holds nothing but its metadata."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
