"""Plots of an evaluation: ROC, PRO, FROC and histograms of scores, as SVG."""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.froc import RATES
from training.evaluation.results import Score

COLOURS = tuple(mpl.color_sequences["tab10"])
GREYS = ("0.35", "0.55", "0.75")
"""Colours of the trivial scores."""
SHOWN = (0.1, 10.0)
"""False findings a scan that the FROC shows."""

Named = tuple[str, Score, bool]
"""Title of a line, its score, and whether it is a model's."""


def plot_set(named: Sequence[Named], title: str) -> Figure:
    """Draw all curves of one set.

    Arguments:
        named: The scores, models first.
        title: What to write above.
    """
    figure = Figure(figsize=(13.5, 3.9), layout="constrained")
    figure.suptitle(title, fontsize=11)
    roc, pro, froc, histogram = figure.subplots(1, 4)
    styles = _styles(named)
    for (name, score, _), style in zip(named, styles, strict=True):
        for axes, curve in ((roc, score["roc"]), (pro, score["pro"])):
            if curve:
                axes.plot(*zip(*curve, strict=True), label=name, **style)
        if score["froc"]["curve"]:
            froc.step(*_within(score["froc"]["curve"]), where="post", **style)
    for axes, what in ((roc, "lesion voxels found (ROC)"), (pro, "mean overlap of lesions (PRO)")):
        axes.plot([0, 1], [0, 1], ":", color="0.8", linewidth=1)
        axes.axvline(0.3, color="0.8", linewidth=1)
        _label(axes, "share of other voxels", what)
    froc.set_xscale("log")
    froc.set_xlim(*SHOWN)
    froc.set_xticks(RATES, [str(Fraction(rate)) for rate in RATES])
    froc.minorticks_off()
    _label(froc, "false findings a scan", "lesions found (FROC)")
    _draw_histogram(histogram, named[0])
    # Below all panels: beside a curve there is no room for a dozen names.
    handles, labels = roc.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7, frameon=False)
    return figure


def svg(figure: Figure) -> str:
    """A figure as SVG, the same text for the same figure."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "ctscreener", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _styles(named: Sequence[Named]) -> list[dict[str, Any]]:
    """Colours for models, greys for what they have to beat."""
    styles, models, others = [], 0, 0
    for _, _, model in named:
        if model:
            line = ("-", "--", ":")[models // len(COLOURS) % 3]
            styles.append({"color": COLOURS[models % len(COLOURS)], "linestyle": line})
            models += 1
        else:
            styles.append({"color": GREYS[others % len(GREYS)], "linewidth": 1})
            others += 1
    return styles


def _within(curve: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """The part of a FROC that is shown, as a rising staircase from one border to the other."""
    rates, found = np.array(curve).T
    first, last = (int(np.searchsorted(rates, border, side="right")) - 1 for border in SHOWN)
    ends = found[max(first, 0)], found[last]
    inside = slice(first + 1, last + 1)
    return (
        np.concatenate([SHOWN[:1], rates[inside], SHOWN[1:]]),
        np.concatenate([ends[:1], found[inside], ends[1:]]),
    )


def _draw_histogram(axes: Axes, named: Named) -> None:
    """Shares of lesion voxels and of others at each score of one scorer."""
    name, score, model = named
    edges = score["histogram"]["edges"]
    for kind, colour in (("negatives", "0.6"), ("positives", "tab:red")):
        if edges:
            label = "lesions" if kind == "positives" else "others"
            axes.stairs(
                score["histogram"][kind], edges, fill=True, alpha=0.55, color=colour, label=label
            )
    axes.set_xlabel(f"{'rarity by' if model else 'score of'} {name}", fontsize=8)
    axes.set_ylabel("share of voxels", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False)


def _label(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    axes.set_ylim(0, 1)
    axes.tick_params(labelsize=7)
