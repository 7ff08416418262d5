"""The page: our numbers beside the papers', with plots and pictures, in one file without scripts."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from ctscreener.findings import NOTICE
from training.evaluation.case_picture import WIDTH, beside_of
from training.evaluation.rated import SCREENER
from training.evaluation.results import Part, Results
from training.page.beside import beside, differences, findings, other_paper, table
from training.page.plots import Named, plot_set, svg
from training.page.printed import METRICS, OTHERS
from training.page.printed import SCREENER as PRINTED
from training.page.table_rows import HEADER, RARITY_HEADER, evaluation_rows, rarity_rows, seen_text
from training.page.written import model_name, short

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2024; margin: 2em auto; max-width: 1280px;
  padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.25em; margin-top: 2.2em; }
table { border-collapse: collapse; font-size: 12.5px; margin: 1em 0; }
th, td { padding: 3px 8px; border-bottom: 1px solid #dde1e6; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.g { text-align: center; border-left: 1px solid #dde1e6; }
.ours { color: #0b5cad; font-weight: 600; } .none { color: #aab0b8; }
.notice { background: #fff4ce; border: 1px solid #e8cf7a; padding: .6em 1em; }
.scroll { overflow-x: auto; } img { max-width: 100%; } figure { margin: 1em 0; }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 1em; }
figcaption { font-size: 12.5px; color: #444b53; }
"""


def page(results: Sequence[Results], folders: Sequence[Path], pictures: int) -> str:
    """Write the page.

    Arguments:
        results: The contents of each `results.json`.
        folders: The folder of each, for its pictures.
        pictures: Best and worst scans of each set to show.

    Returns:
        HTML that needs nothing else: no script, no font, no file.
    """
    body = [
        "<h1>Screener: evaluation</h1>",
        f'<p class="notice"><strong>{escape(NOTICE)}</strong></p>',
        *differences(results),
        *(part for printed in PRINTED for part in beside(printed, results)),
        *findings(results),
        *(part for other in OTHERS for part in other_paper(other, results)),
        *_everything(results),
        *_rarities(results),
        *_plots(results),
        *_cases(results, folders, pictures),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Screener: evaluation</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _everything(results: Sequence[Results]) -> Iterator[str]:
    """Every number that we have, with its interval."""
    yield "<h2>All numbers</h2>"
    yield (
        "<p>Pooled over voxels, and the mean over scans, with 95% intervals from drawing "
        "patients anew; AP is average precision; FROC the share of lesions found, averaged over "
        "1/8 to 8 false findings a scan. Dice is the mean over scans at the threshold that is best "
        "for each of them, which SimpleSliceNet reports and nobody knows before, or at the one "
        "that is best for other patients. Of drawn voxels neither AP nor Dice is given: they would "
        "measure the drawing.</p>"
    )
    yield table(HEADER, [row for result in results for row in evaluation_rows(result)])
    rounded = (
        score[metric]["rounding"] or 0
        for r in results
        for p in r["sets"]
        for score in p["scores"].values()
        for metric in (*METRICS, "ap")
    )
    worst = max(rounded, default=0)
    yield f"<p>Rounding of scores changes no pooled number by more than {worst:.1e}.</p>"


def _rarities(results: Sequence[Results]) -> Iterator[str]:
    """What rarities are worth: findings that meet no lesion, and voxels against the promise."""
    yield "<h2>False findings and calibration</h2>"
    yield (
        "<p>Rarity r promises that a share of 10<sup>-r</sup> of the voxels is at least as rare; "
        "that is so in the scans that a model was calibrated on, and measured here in others, "
        "lesions left out. A finding is a connected region at or above the rarity, of .1 ml or "
        "more, as <code>ctscreener screen</code> lists it. It meets a lesion that one of its "
        "voxels is within 5 mm of; a false one meets none that is known, so that what nobody "
        "outlined counts as false.</p>"
    )
    yield table(RARITY_HEADER, list(rarity_rows(results)))
    yield f"<p>Seen in making the model: {escape('; '.join(map(seen_text, results)))}.</p>"


def _plots(results: Sequence[Results]) -> Iterator[str]:
    """One figure for each set and protocol."""
    yield "<h2>Curves</h2>"
    places = dict.fromkeys((p["set"], p["protocol"]) for r in results for p in r["sets"])
    for place in places:
        title = f"{place[0]}, {place[1]}"
        image = base64.b64encode(svg(plot_set(_named(results, place), title)).encode()).decode()
        yield (
            f'<figure><img alt="Curves of {escape(title)}" '
            f'src="data:image/svg+xml;base64,{image}"></figure>'
        )


def _named(results: Sequence[Results], place: tuple[str, str]) -> list[Named]:
    """All scores of one set, models first; the trivial ones of the first result alone."""
    models, others = [], []
    for result in results:
        for part in result["sets"]:
            if (part["set"], part["protocol"]) != place:
                continue
            models.append((model_name(result), part["scores"][SCREENER], True))
            if not others:
                scores = part["scores"].items()
                others = [(name, score, False) for name, score in scores if name != SCREENER]
    return [*models, *others]


def _cases(results: Sequence[Results], folders: Sequence[Path], pictures: int) -> Iterator[str]:
    """The best and the worst scans of each model and set."""
    yield "<h2>Best and worst scans</h2>"
    yield (
        "<p>The slice with most lesion voxels: left the scan, right the same with its rarity from "
        "2 (yellow) to 6 (purple). The cyan line is the edge of the annotated lesion.</p>"
    )
    for result, folder in zip(results, folders, strict=True):
        seen = set()
        for part in result["sets"]:
            if part["set"] in seen:
                continue
            seen.add(part["set"])
            yield f"<h3>{escape(model_name(result))} on {escape(part['set'])}</h3>"
            chosen = _chosen(part, pictures)
            yield f'<div class="cases">{"".join(_figure(s, folder) for s in chosen)}</div>'
            yield from _side_by_side(part, chosen[:1], folder)


def _side_by_side(part: Part, scans: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """Maps of all scores of a scan, as Figure 3 of the paper has them; none that is not there."""
    for scan in scans:
        figures = []
        for score in part["scores"]:
            path = folder / scan["picture"]
            if score != SCREENER:
                path = path.with_stem(path.stem + beside_of(score))
            if path.is_file():
                with Image.open(path) as picture:
                    panel = picture.crop((picture.width - WIDTH, 0, *picture.size))
                    caption = f"{escape(score)}: AUROC {short(scan['auroc'].get(score), 2)}"
                    figures.append(_image(panel, score, caption))
        if len(figures) > 1:
            yield (
                f"<p>{escape(scan['name'])} by every score. Colours tell ranks within the scan: "
                "its rarest hundredth begins to be yellow; those of Screener are its "
                "rarities.</p>"
            )
            yield f'<div class="cases">{"".join(figures)}</div>'


def _image(picture: Image.Image, name: str, caption: str) -> str:
    """A picture with words below, which are escaped already."""
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=82)
    source = base64.b64encode(data.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(name)}" src="data:image/jpeg;base64,{source}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _chosen(part: Part, pictures: int) -> list[dict[str, Any]]:
    """Best scans, then worst ones, each once."""
    known = [scan for scan in part["scans"] if scan["auroc"][SCREENER] is not None]
    ranked = sorted(known, key=lambda scan: -scan["auroc"][SCREENER])
    best = ranked[:pictures]
    return best + [scan for scan in ranked[-pictures:] if scan not in best]


def _figure(scan: Mapping[str, Any], folder: Path) -> str:
    path = folder / scan["picture"]
    auroc, aupro = (short(scan[metric][SCREENER], 2) for metric in ("auroc", "aupro@0.3"))
    caption = f"{escape(scan['name'])}: AUROC {auroc}, AUPRO@.3 {aupro}"
    if not path.is_file():
        return f"<figure><figcaption>{caption}; its picture is not there.</figcaption></figure>"
    with Image.open(path) as picture:
        return _image(picture, scan["name"], caption)
