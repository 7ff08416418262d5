"""The pictures of the documentation can be taken anew, and are those that the documentation shows."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from Testing.host.picture import BAR
from Testing.module.opened import ROOT, Opened
from Testing.module.screenshots import NAMES, take_all

SHOWN = ROOT / "Resources" / "Screenshots"


def test_pictures_are_taken_and_labelled(seen: Opened, tmp_path: Path) -> None:
    take_all(seen, tmp_path)
    assert {file.stem for file in tmp_path.iterdir()} == set(NAMES)
    for name in NAMES:
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))
        assert (pixels[-BAR:, :150] > 200).any(), f"{name} has no label"


def test_the_tutorial_shows_pictures_that_are_there() -> None:
    text = (ROOT / "Docs" / "tutorial.md").read_text(encoding="utf-8")
    linked = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert linked
    for place in linked:
        assert (ROOT / "Docs" / place).resolve().is_file(), place
    assert {Path(place).stem for place in linked} <= set(NAMES)
    assert {file.stem for file in SHOWN.glob("*.png")} == set(NAMES)
