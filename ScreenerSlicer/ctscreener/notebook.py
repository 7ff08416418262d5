"""A result as a notebook shows it: a small picture, the first findings, and the notice."""

import base64
import html
import io
from typing import TYPE_CHECKING

from ctscreener.findings import NOTICE, Finding
from ctscreener.rarity_text import rarity_text

if TYPE_CHECKING:
    from ctscreener.screened import Screened

MOST = 10
"""Findings that are listed."""
WIDTH = 900
"""Pixels that the picture is wide."""
COLUMNS = ("rank", "rarity", "volume ml", "diameter mm", "mean HU", "right, anterior, superior mm")


def as_html(screened: "Screened") -> str:
    """Write a result as a piece of HTML that needs no other file.

    Arguments:
        screened: The result.

    Returns:
        One element, some hundred kB: the picture stands in it as JPEG.
    """
    rows = [_row(one, screened.counted_up_to) for one in screened.findings[:MOST]]
    table = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    more = max(screened.found, len(screened.findings)) - len(rows)
    parts = [
        f"<p>{html.escape(repr(screened)[1:-1])}</p>",
        f'<img alt="the rarest places" style="max-width: 100%" src="{_picture(screened)}">',
        f"<table><tr>{_cells('th', COLUMNS)}</tr>{table}</table>" if rows else "",
        f"<p>and {more} more</p>" if more else "",
        *(f"<p>{html.escape(notice)}</p>" for notice in screened.notices),
        f"<p><strong>{html.escape(NOTICE)}</strong></p>",
    ]
    return f"<div>{''.join(parts)}</div>"


def _row(finding: Finding, counted: float) -> list[str]:
    place = ", ".join(f"{mm:.0f}" for mm in finding.peak_ras)
    numbers = (finding.volume_ml, finding.diameter_mm, finding.mean_hu)
    rarity = rarity_text(finding.peak_rarity, counted, digits=2)
    return [str(finding.rank), rarity, *(f"{number:.1f}" for number in numbers), place]


def _cells(tag: str, texts: tuple[str, ...] | list[str]) -> str:
    return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)


def _picture(screened: "Screened") -> str:
    """The overview as an address that holds its bytes."""
    picture = screened.picture()
    picture.thumbnail((WIDTH, picture.height))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
