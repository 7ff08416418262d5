"""Numbers with their intervals, names and tables, as results write them."""

from collections.abc import Sequence

from ctscreener.screening import ScreenSettings
from training.evaluation.results import Interval, Results


def model_name(result: Results) -> str:
    """Name of a model with how its tiles overlapped, where that is not how they usually do."""
    name, overlap = result["model"]["name"], result["parameters"]["overlap"]
    if overlap is None or overlap == ScreenSettings().overlap:
        return name
    return f"{name}, overlap {overlap:g}"


def percent(estimate: Interval) -> str:
    """Write a small share with its interval.

    Example:
        >>> percent({"value": 0.00123, "low": 0.0008, "high": 0.00211})
        '.12% (.08-.21)'
        >>> percent({"value": 1e-4, "low": None, "high": None})
        '.01%'
    """
    value, low, high = (
        None if (x := estimate[key]) is None else _two_digits(100 * x)
        for key in ("value", "low", "high")
    )
    return "-" if value is None else f"{value}% ({low}-{high})" if low and high else f"{value}%"


def _two_digits(value: float) -> str:
    """Two digits that count, without the zero in front."""
    text = f"{float(f'{value:.2g}'):g}"
    return text[1:] if text.startswith("0.") else text


def findings(estimate: Interval | None) -> str:
    """Write a number of findings a scan with its interval.

    Example:
        >>> findings({"value": 3.25, "low": 0.5, "high": 11.0})
        '3.2 (0.5-11.0)'
        >>> findings(None)
        '-'
    """
    if estimate is None:
        return "-"
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    bounds = f" ({low:.1f}-{high:.1f})" if low is not None and high is not None else ""
    return "-" if value is None else f"{value:.1f}{bounds}"


def interval(estimate: Interval) -> str:
    """Write a number with its interval, as far as there are any.

    Example:
        >>> interval({"value": 0.9, "low": 0.81, "high": 0.951})
        '.900 (.810-.951)'
        >>> interval({"value": 1.0, "low": None, "high": None})
        '1.000'
    """
    value, low, high = (short(estimate[key]) for key in ("value", "low", "high"))
    return f"{value} ({low}-{high})" if low and high else value or "-"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out cells as a Markdown table that is also readable as plain text.

    Arguments:
        header: Names of the columns.
        rows: Cells, as many in each row as there are columns.

    Example:
        >>> print(markdown(["scan", "s"], [["a", "1"], ["bcdef", "12"]]), end="")
        | scan  | s  |
        |-------|----|
        | a     | 1  |
        | bcdef | 12 |
    """
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def short(value: float | None, digits: int = 3) -> str:
    """A few digits, without the zero in front; nothing for no value."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text
