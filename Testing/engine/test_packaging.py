"""What is packaged: the version numbers and the bundled models agree with the files."""

from pathlib import Path

from ctscreener.model import BUNDLED, load_model
from ctscreener.version import VERSION

ROOT = Path(__file__).parents[2]
MIB = 2**20


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_changelog_knows_this_version() -> None:
    assert f"\n## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_bundled_model_loads_and_has_a_card() -> None:
    assert "Research use only, not for diagnosis." in load_model("preview").card


def test_the_bundled_models_are_all_packaged_and_small() -> None:
    weights = sorted(BUNDLED.glob("*/weights.safetensors"))
    assert all(path.stat().st_size < 15 * MIB for path in weights)
    packaged = (ROOT / "ScreenerSlicer" / "CMakeLists.txt").read_text()
    for path in BUNDLED.glob("*/*"):
        assert f"  Resources/Models/{path.parent.name}/{path.name}\n" in packaged
