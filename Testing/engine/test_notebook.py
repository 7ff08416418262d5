"""A result shows itself: in one line, and in a notebook with its picture and the notice."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ctscreener.findings import NOTICE, FindingSettings, find
from ctscreener.scan import CANONICAL, Scan
from ctscreener.screened import Screened


@pytest.fixture(scope="module")
def screened() -> Screened:
    """A result with twelve findings; the rarest lies beyond what was counted."""
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL.T * 5.0
    rarity = np.ones((20, 30, 30), np.float32)
    for number in range(12):
        rarity[4 * (number // 3) + 2, 10 * (number % 3) + 3, 12] = 5.9 - 0.2 * number
    scan = Scan(np.full(rarity.shape, 40.0, np.float32), affine)
    findings = find(rarity, scan, FindingSettings(most=12))
    return Screened(scan, "tiny <b>", rarity, findings, found=12, counted_up_to=5.75)


def test_one_line_says_what_was_found_and_no_voxels(screened: Screened) -> None:
    line = repr(screened)
    assert line == (
        "<Screened: 12 findings, highest rarity > 5.7; 20 x 30 x 30 voxels, model tiny <b>>"
    )
    alone = replace(screened, findings=[], found=0)
    assert repr(alone).startswith("<Screened: 0 findings; 20 x 30")


def test_a_notebook_shows_the_picture_the_rarest_and_the_notice(screened: Screened) -> None:
    text = replace(screened, notices=("Smaller tiles & more.",))._repr_html_()
    (content,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert picture.format == "JPEG"
    assert picture.width == 900
    assert len(text) < 500_000
    assert text.count("<tr>") == 1 + 10
    assert "and 2 more" in text
    assert "&gt; 5.7" in text
    assert "tiny &lt;b&gt;" in text
    assert "Smaller tiles &amp; more." in text
    assert NOTICE in text


def test_nothing_found_is_shown_too(screened: Screened) -> None:
    text = replace(screened, findings=[], found=0)._repr_html_()
    assert "0 findings" in text
    assert "<table>" not in text
    assert NOTICE in text


def test_the_picture_names_the_model_unless_told_otherwise(screened: Screened) -> None:
    plain, titled = screened.picture(), screened.picture("A scan")
    assert plain.size == titled.size
    assert plain.tobytes() != titled.tobytes()
    assert plain.tobytes() == screened.picture("Model tiny <b>").tobytes()
