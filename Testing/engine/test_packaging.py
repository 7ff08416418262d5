"""What is packaged: the version numbers and the bundled model agree with the files."""

from pathlib import Path

from ctscreener.model import BUNDLED, load_model
from ctscreener.version import VERSION

ROOT = Path(__file__).parents[2]


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_changelog_knows_this_version() -> None:
    assert f"\n## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_bundled_model_loads_and_has_a_card() -> None:
    model = load_model("preview")
    assert "Research use only, not for diagnosis." in model.card
    assert (BUNDLED / "preview" / "weights.safetensors").stat().st_size < 15e6
