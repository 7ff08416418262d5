"""What is packaged: CMake's list and the version numbers agree with the files."""

import re
from pathlib import Path

from ctscreener.version import VERSION

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "ScreenerSlicer"


def listed(variable: str) -> set[str]:
    """Files in one list of the module's CMakeLists.txt."""
    text = (MODULE / "CMakeLists.txt").read_text()
    found = re.search(rf"set\({variable}\n(.*?)\)", text, re.DOTALL)
    assert found
    return set(found[1].replace("${MODULE_NAME}", "ScreenerSlicer").split())


def standing(*endings: str, below: str = "") -> set[str]:
    """Files of the module's folder, without what Python leaves there."""
    files = (path for path in (MODULE / below).rglob("*") if path.is_file())
    names = (path.relative_to(MODULE).as_posix() for path in files)
    return {name for name in names if name.endswith(endings) and "__pycache__" not in name}


def test_slicer_packages_every_script() -> None:
    assert listed("MODULE_PYTHON_SCRIPTS") == standing(".py")


def test_slicer_packages_every_resource() -> None:
    assert listed("MODULE_PYTHON_RESOURCES") == standing("", below="Resources")


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_changelog_knows_this_version() -> None:
    assert f"\n## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()
