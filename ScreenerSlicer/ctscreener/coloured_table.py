"""A table for a terminal, drawn by rich; rarities have the colours of the heat map."""

from collections.abc import Sequence
from typing import TextIO

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ctscreener.colours import LOWEST, rarity_to_rgba
from ctscreener.texts import plain


def print_table(
    stream: TextIO,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    rarities: Sequence[float],
) -> None:
    """Print findings; `NO_COLOR` is heeded.

    Arguments:
        stream: A terminal.
        columns: Names of the columns; the one called `rarity` is coloured.
        rows: The cells of each finding.
        rarities: Of each finding, for its colour.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for row, rarity in zip(rows, rarities, strict=True):
        cells = [Text(plain(cell)) for cell in row]
        if rarity > LOWEST:
            red, green, blue, _ = (int(part) for part in rarity_to_rgba(np.array(rarity)))
            cells[columns.index("rarity")].stylize(f"bold rgb({red},{green},{blue})")
        table.add_row(*cells)
    Console(file=stream, highlight=False).print(table)
