"""The overview: one picture of a scan with its most unusual places, to look at first."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ctscreener.colours import HIGHEST, LOWEST, rarity_to_rgba
from ctscreener.findings import NOTICE, Finding
from ctscreener.planes import PLANES, Plane, View, Window
from ctscreener.rarity_text import rarity_text
from ctscreener.scan import Scan

_WIDTH = 1800
_MARGIN = 28
_PAIR_GAP = 4
"""Between a plane's bare scan and its coloured one."""
_PLANE_GAP = 22
_HEADER = 118
_ROW_HEADER = 46
_FOOTER = 118
_TALLEST = 720
"""Pixels that a row of pictures may take, for scans of the whole body."""
_ROWS = 3
_LONGEST = 200
"""Letters of a title that are tried at all."""
_BAR = (400, 18)
"""Width and height of the colour bar."""

_CLEAR = 85
"""Pixels from a marker's middle within which no letter stands: the largest marker and its rank."""

_BACKGROUND = (18, 20, 24)
_TEXT = (232, 234, 237)
_FAINT = (154, 160, 168)
_WARNING = (255, 200, 87)
_LINE = (52, 56, 64)
_GREY = (96, 96, 96)
"""What the colour bar is drawn over: the grey of soft tissue."""

_Place = tuple[float, float]


def draw_overview(
    scan: Scan,
    rarity: np.ndarray,
    findings: Sequence[Finding],
    title: str,
    notice: str = NOTICE,
    found: int | None = None,
    counted: float = math.inf,
) -> Image.Image:
    """Draw three planes through each of the top findings, with and without the map.

    Arguments:
        scan: The scan.
        rarity: Its rarity, `(D, H, W)`; NaN where not scored.
        findings: What was found, highest rank first; the rarest place is shown without any.
        title: What to write above it, such as the scan's name and the model's.
        notice: What to write below it.
        found: How many findings there are, those that are not listed included.
        counted: The highest rarity that was counted on the reference scans.

    Returns:
        An RGB picture, 1800 pixels wide.
    """
    view = View.of(scan, rarity)
    scale = _scale(view)
    shown = list(findings[:_ROWS])
    row_height = _ROW_HEADER + _tallest(view, scale)
    height = _HEADER + row_height * max(1, len(shown)) + _FOOTER
    picture = Image.new("RGB", (_WIDTH, height), _BACKGROUND)
    _draw_header(picture, view, scale, title, len(shown), found or len(findings))
    for row in range(max(1, len(shown))):
        finding = shown[row] if shown else None
        top = _HEADER + row * row_height
        stated = _stated(view, finding, counted)
        _draw_row(picture, view, scale, top, finding, stated)
    _draw_footer(picture, height - _FOOTER, notice)
    return picture


def _scale(view: View) -> float:
    """Pixels a mm: the same for all pictures, so that they fill the width or the height."""
    across = sum(2 * view.extent[plane.columns] for plane in PLANES)
    gaps = 2 * _MARGIN + 3 * _PAIR_GAP + 2 * _PLANE_GAP
    by_width = (_WIDTH - gaps - 6) / across
    return float(min(by_width, _TALLEST / max(view.extent[plane.rows] for plane in PLANES)))


def _tallest(view: View, scale: float) -> int:
    """Pixels that a row of pictures is high."""
    return max(view.size(plane, scale)[1] for plane in PLANES)


def _lefts(view: View, scale: float) -> list[int]:
    """Left edge of each of the three pairs of pictures, spread over the width."""
    widths = [2 * view.size(plane, scale)[0] + _PAIR_GAP for plane in PLANES]
    spare = (_WIDTH - 2 * _MARGIN - sum(widths)) // 2
    return [_MARGIN, _MARGIN + widths[0] + spare, _WIDTH - _MARGIN - widths[2]]


def _write(
    draw: ImageDraw.ImageDraw,
    at: _Place,
    text: str,
    size: int,
    colour: tuple[int, int, int] = _TEXT,
    anchor: str = "la",
) -> None:
    """Write one line; `anchor` says which point of it lies at `at`, in Pillow's letters."""
    draw.text(at, text, fill=colour, font=ImageFont.load_default(size), anchor=anchor)


def _fitted(text: str, size: int, width: float) -> str:
    """Shorten a line until it is no wider than `width` pixels."""
    font, line = ImageFont.load_default(size), " ".join(text.split())[:_LONGEST]
    while font.getlength(line) > width:
        line = line.rstrip("…")[:-1] + "…"
    return line


def _draw_header(
    picture: Image.Image, view: View, scale: float, title: str, shown: int, found: int
) -> None:
    """Draw the title, what is shown, and what each column is."""
    draw = ImageDraw.Draw(picture)
    _write(draw, (_MARGIN, 20), _fitted(title, 28, _WIDTH // 2), 28)
    if not found:
        count = "No finding above the threshold"
    elif found > shown:
        count = f"The {shown} rarest of {found} findings"
    else:
        count = f"{found} finding" + "s" * (found > 1)
    _write(draw, (_WIDTH - _MARGIN, 26), count, 20, _FAINT, "ra")
    draw.line((_MARGIN, 66, _WIDTH - _MARGIN, 66), fill=_LINE)
    for plane, left in zip(PLANES, _lefts(view, scale), strict=True):
        step = view.size(plane, scale)[0] + _PAIR_GAP
        _write(draw, (left, 84), f"{plane.name} CT", 18, _FAINT)
        _write(draw, (left + step, 84), f"{plane.name} CT + rarity", 18, _FAINT)


def _draw_row(
    picture: Image.Image,
    view: View,
    scale: float,
    top: int,
    finding: Finding | None,
    text: str,
) -> None:
    """Draw the three planes through one finding, or through the rarest place, under a text."""
    draw = ImageDraw.Draw(picture)
    index = view.index(finding.peak_ras) if finding else view.rarest()
    window = view.window(index)
    stated = f"{window.name} window (W {window.width:.0f}, L {window.level:.0f} HU)"
    if finding:
        _write(draw, (_MARGIN, top + 8), f"{finding.rank}", 24, _WARNING)
    _write(draw, (_MARGIN + (28 if finding else 0), top + 11), text, 20)
    _write(draw, (_WIDTH - _MARGIN, top + 13), stated, 18, _FAINT, "ra")
    tallest = _tallest(view, scale)
    for plane, left in zip(PLANES, _lefts(view, scale), strict=True):
        step = view.size(plane, scale)[0] + _PAIR_GAP
        for x, coloured in ((left, False), (left + step, True)):
            at = view.pixel(plane, index, scale) if finding and coloured else None
            panel = _panel(view, plane, index, scale, window, coloured, at)
            if finding and at:
                _mark(panel, at, finding, scale)
            picture.paste(panel, (x, top + _ROW_HEADER + (tallest - panel.height) // 2))


def _stated(view: View, finding: Finding | None, counted: float) -> str:
    """What is said about a finding, or about the rarest place, in one line."""
    if finding:
        return _label(finding, counted)
    highest = float(view.rarity[tuple(view.rarest())])
    if np.isnan(highest):
        return "The rarest place: nothing is scored"
    return f"The rarest place: rarity {rarity_text(highest, counted)}, no finding"


def _label(finding: Finding, counted: float) -> str:
    """What is said about a finding in one line."""
    places = zip(finding.peak_ras, ("RL", "AP", "SI"), strict=True)
    where = "  ".join(f"{name[value < 0]} {abs(value):.0f}" for value, name in places)
    return (
        f"rarity {rarity_text(finding.peak_rarity, counted)}   ·   {finding.volume_ml:.1f} ml   ·   "
        f"{finding.diameter_mm:.0f} mm across   ·   mean {finding.mean_hu:.0f} HU   ·   "
        f"at {where} mm"
    )


def _panel(
    view: View,
    plane: Plane,
    index: np.ndarray,
    scale: float,
    window: Window,
    coloured: bool,
    marked: _Place | None,
) -> Image.Image:
    """Draw one plane with the letters of its sides, and a length on the bare one."""
    shown = view.filled(plane, index)
    panel = view.draw(plane, shown, scale, window, coloured)
    draw = ImageDraw.Draw(panel)
    width, height = panel.size
    for letter, (place, anchor) in zip(plane.letters, _sides(panel.size, marked), strict=True):
        _outlined(draw, place, letter, anchor)
    apart = abs(shown - index)[plane.across] * view.scan.spacing[plane.across]
    if apart:
        _outlined(draw, (width - 6, height - 4), f"{apart:.0f} mm beside the peak", "rb")
    length = 50 * scale
    if not coloured and length < width / 2:
        draw.line((8, height - 9, 8 + length, height - 9), fill=_TEXT, width=2)
        _outlined(draw, (8, height - 14), "5 cm", "lb")
    return panel


def _sides(size: tuple[int, int], marked: _Place | None) -> list[tuple[_Place, str]]:
    """Where the letters of the four sides stand, and their anchors: away from a marker.

    Arguments:
        size: Width and height of the panel.
        marked: Where the marker is; None for no marker.
    """
    width, height = size
    sides = []
    for x, y, anchor in ((5, 0, "lm"), (width - 5, 0, "rm"), (0, 4, "mt"), (0, height - 4, "mb")):
        for share in (0.5, 0.2, 0.8):
            upright = anchor in ("lm", "rm")
            place = (x, share * height) if upright else (share * width, y)
            if marked is None or np.hypot(*np.subtract(place, marked)) > _CLEAR:
                break
        sides.append((place, anchor))
    return sides


def _outlined(draw: ImageDraw.ImageDraw, at: _Place, text: str, anchor: str) -> None:
    """Write small text that is legible on black and on white."""
    font = ImageFont.load_default(15)
    draw.text(at, text, _TEXT, font, anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _mark(panel: Image.Image, at: _Place, finding: Finding, scale: float) -> None:
    """Point at a finding from four sides, and leave it free."""
    draw = ImageDraw.Draw(panel)
    near = float(np.clip(finding.diameter_mm * scale / 2 + 4, 8, 48))
    far = near + 12
    x, y = at
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        line = (x + dx * near, y + dy * near, x + dx * far, y + dy * far)
        draw.line(line, fill=(0, 0, 0), width=4)
        draw.line(line, fill=(255, 255, 255), width=2)
    # Beside the marker, on the side that has room for it.
    side = 1 if x + far < panel.width else -1
    _outlined(draw, (x + side * near * 0.8, y - near * 0.8), str(finding.rank), "ms")


def _draw_footer(picture: Image.Image, top: int, notice: str) -> None:
    """Draw the colour bar with what it means, and the notice."""
    draw = ImageDraw.Draw(picture)
    width, height = _BAR
    left, bar_top = _MARGIN + 68, top + 24
    rarity = np.tile(np.linspace(0, HIGHEST, width, dtype=np.float32), (height, 1))
    rgba = rarity_to_rgba(rarity)
    bar = Image.new("RGB", _BAR, _GREY)
    bar.paste(Image.fromarray(rgba[..., :3]), mask=Image.fromarray(rgba[..., 3]))
    _write(draw, (_MARGIN, bar_top + height / 2), "Rarity", 18, anchor="lm")
    picture.paste(bar, (left, bar_top))
    for tick in range(int(HIGHEST) + 1):
        x = left + round(tick / HIGHEST * (width - 1))
        draw.line((x, bar_top + height, x, bar_top + height + 4), fill=_FAINT)
        more = "+" if tick == HIGHEST else ""
        _write(draw, (x, bar_top + height + 7), f"{tick}{more}", 15, _FAINT, "ma")
    meaning = (
        "Rarity 3 = as rare as 1 voxel in 1,000 of the reference scans; each step is 10 times "
        f"rarer. No colour below {LOWEST:.0f}."
    )
    _write(draw, (left + width + 36, bar_top + height / 2), meaning, 18, anchor="lm")
    _write(draw, (_MARGIN, top + 80), notice, 20, _WARNING)
    sides = "R right   L left   A anterior   P posterior   S superior   I inferior"
    _write(draw, (_WIDTH - _MARGIN, top + 84), sides, 15, _FAINT, "ra")
