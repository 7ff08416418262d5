"""The page: our numbers beside the papers', with plots and pictures, in one file without scripts."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from ctscreener.findings import NOTICE
from training.claims import verdicts
from training.evaluator import SCREENER
from training.plots import Named, plot_set, svg
from training.printed import COLUMNS, METRICS, OTHERS, SET_OF_FAMILY, Other, Printed
from training.printed import SCREENER as PRINTED
from training.tables import HEADER, evaluation_rows, short

Results = Mapping[str, Any]
Part = Mapping[str, Any]

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
        *_differences(results),
        *(part for printed in PRINTED for part in _beside(printed, results)),
        *_claims(results),
        *(part for other in OTHERS for part in _other(other, results)),
        *_everything(results),
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


def column_of(part: Part) -> str | None:
    """Which of the paper's sets a set stands beside; none for others.

    Example:
        >>> column_of({"family": "kidney_tumour", "set": "mine"})
        'KiTS'
        >>> column_of({"family": None, "set": "Task03_LiTS"})
        'LiTS'
    """
    if part["family"]:
        return SET_OF_FAMILY.get(part["family"])
    name = part["set"].lower()
    return next((column for column in COLUMNS if column.lower() in name), None)


def _differences(results: Sequence[Results]) -> Iterator[str]:
    """What differs between our data and the paper's, said before any number."""
    parts = {p["set"]: (r, p) for r in results for p in r["sets"]}
    rows = []
    for name, (result, part) in parts.items():
        made = "phantoms (procedural, not patients)" if part["family"] else "scans with masks"
        lost = sum(scan["regions_lost"] for scan in part["scans"])
        rows.append(
            [
                name,
                column_of(part) or "none",
                f"{len(part['scans'])} {made} of {part['patients']} patients",
                f"{part['regions']} lesions, {lost} lost to the grid",
                f"{result['measuring']['grid']} grid",
            ]
        )
    yield "<h2>What differs from the papers</h2>"
    yield _table(["set", "stands beside", "scans", "lesions", "measured on"], rows)
    yield (
        "<p>The paper trains on 32,382 scans (NLST, AMOS, AbdomenAtlas) and tests on LIDC (1,017 "
        "scans), MIDRC (115), KiTS (298) and LiTS (117); AbdomenAtlas is put together from sets "
        "that include KiTS and LiTS. Its negatives are random voxels outside of the annotations: "
        "how many, from where and on which grid it does not say. The authors' public code draws "
        "1,000 lesion voxels and 1,000 others of each scan from the box around the body, with its "
        "air. Here <code>authors</code> draws as they do, <code>body-only</code> takes every "
        "voxel and no air as a negative, <code>voxel-all</code> takes the air too. Regions of PRO "
        "are 26-connected. Chance is .50 for AUROC and .15 for both areas up to a rate of 0.3. A "
        "number on other scans, or after other training, does not compare with a printed one: "
        "read differences between rows, not between sources.</p>"
    )
    for result in results:
        method, model = result["method"], result["model"]
        words = "; ".join(escape(method[k]) for k in ("descriptor", "condition", "density"))
        trivial = f", mean at place of {result['mean_at_place_scans']} scans"
        yield (
            f"<p>Model <strong>{escape(model['name'])}</strong>: {words}; weights "
            f"<code>{model['weights_sha256'][:12]}</code>; software "
            f"{escape(result['software']['version'])}, torch {escape(result['torch'])}"
            f"{trivial if result['mean_at_place_scans'] else ''}.</p>"
        )


def _beside(printed: Printed, results: Sequence[Results]) -> Iterator[str]:
    """A table of the paper with our numbers under its own, and our other models after it."""
    yield f"<h2>{escape(printed.title)}</h2>"
    protocols = dict.fromkeys(p["protocol"] for r in results for p in r["sets"])
    known = {row.method for row in printed.rows}
    rows = []
    for row in printed.rows:
        rows.append(_cells(row.name, "printed", [short(x, 2) for x in row.numbers], ""))
        for result in results:
            if row.method and tuple(result["method"].values()) == row.method:
                rows += [_ours(result, protocol) for protocol in protocols]
    extra = [r for r in results if tuple(r["method"].values()) not in known]
    # Trivial scores and models that the paper does not have stand at the end.
    rows += [_ours(r, protocol) for r in extra for protocol in protocols]
    rows += [
        _ours(results[0], protocol, name)
        for name in results[0]["sets"][0]["scores"]
        if name != SCREENER
        for protocol in protocols
    ]
    head = "".join(f'<th class="g" colspan="4">{title}</th>' for title in METRICS.values())
    names = "".join(f'<th class="n">{c}</th>' for _ in METRICS for c in COLUMNS)
    yield (
        f'<div class="scroll"><table><tr><th></th><th></th>{head}</tr><tr><th></th><th></th>'
        f"{names}</tr>{''.join(rows)}</table></div>"
    )


def _claims(results: Sequence[Results]) -> Iterator[str]:
    """The paper's findings beside ours, as far as both rows of a comparison were measured."""
    for protocol in dict.fromkeys(p["protocol"] for r in results for p in r["sets"]):
        found = verdicts(results, protocol)
        if not found:
            continue
        yield f"<h2>The paper's findings, {escape(protocol)}</h2>"
        yield (
            "<p>Differences of AUROC, mean over the sets: in the paper, and here as means over "
            "scans, with 95% intervals from drawing the scans of each set anew. Other networks, "
            "less training and other scans may turn a finding around without refuting it.</p>"
        )
        rows = [
            [
                one.claim.text,
                f"{one.printed:+.3f}",
                f"{one.ours:+.3f}",
                f"{one.low:+.3f} to {one.high:+.3f}",
                one.word,
            ]
            for one in found
        ]
        yield _table(["finding", "paper", "here", "95%", "here it is"], rows)


def _ours(result: Results, protocol: str, name: str = SCREENER) -> str:
    """Our row of a table of the paper."""
    by_column = {
        column_of(p): p["scores"][name]
        for p in result["sets"]
        if p["protocol"] == protocol and name in p["scores"]
    }
    numbers = [
        short(by_column[column][metric]["pooled"]["value"], 2) if column in by_column else ""
        for metric in METRICS
        for column in COLUMNS
    ]
    title = result["model"]["name"] if name == SCREENER else name
    return _cells(title, f"ours, {protocol}", numbers, "ours")


def _cells(title: str, source: str, numbers: Sequence[str], kind: str) -> str:
    cells = "".join(
        f'<td class="n {kind}">{number}</td>' if number else '<td class="n none">-</td>'
        for number in numbers
    )
    return f'<tr><td class="{kind}">{escape(title)}</td><td>{escape(source)}</td>{cells}</tr>'


def _other(other: Other, results: Sequence[Results]) -> Iterator[str]:
    """A table of another paper, and our numbers in its columns."""
    rows = [
        _cells(name, "printed", [f"{x:g}" for x in numbers], "") for name, numbers in other.rows
    ]
    for result in results:
        for part in result["sets"]:
            score = part["scores"][SCREENER]
            numbers = [_percent(score, where) for where in other.ours]
            title = f"{result['model']['name']} on {part['set']}"
            rows.append(_cells(title, f"ours, {part['protocol']}", numbers, "ours"))
    head = "".join(f'<th class="n">{escape(column)}</th>' for column in other.columns)
    yield f"<h2>{escape(other.title)}</h2><p>{escape(other.differs)}</p>"
    yield (
        f'<div class="scroll"><table><tr><th></th><th></th>{head}</tr>{"".join(rows)}</table></div>'
    )


def _percent(score: Mapping[str, Any], where: tuple[str, ...] | None) -> str:
    """One of our numbers in percent; nothing where we have none."""
    value: Any = score
    for key in where or ():
        value = value[key]
    if where is None:
        return ""
    value = value["value"] if isinstance(value, Mapping) else value
    return "" if value is None else f"{100 * value:.2f}"


def _everything(results: Sequence[Results]) -> Iterator[str]:
    """Every number that we have, with its interval."""
    yield "<h2>All numbers</h2>"
    yield (
        "<p>Pooled over voxels, and the mean over scans, with 95% intervals from drawing "
        "patients anew; AP is average precision; FROC the share of lesions found, averaged over "
        "1/8 to 8 false findings a scan. Dice is the mean over scans at the threshold that is "
        "best for other patients.</p>"
    )
    yield _table(HEADER, [row for result in results for row in evaluation_rows(result)])
    worst = max(
        score[metric]["rounding"] or 0
        for r in results
        for p in r["sets"]
        for score in p["scores"].values()
        for metric in (*METRICS, "ap")
    )
    yield f"<p>Rounding of scores changes no pooled number by more than {worst:.1e}.</p>"


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
            models.append((result["model"]["name"], part["scores"][SCREENER], True))
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
            yield f"<h3>{escape(result['model']['name'])} on {escape(part['set'])}</h3>"
            chosen = _chosen(part, pictures)
            yield f'<div class="cases">{"".join(_figure(s, folder) for s in chosen)}</div>'


def _chosen(part: Part, pictures: int) -> list[Mapping[str, Any]]:
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
    data = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(data, "JPEG", quality=82)
    source = base64.b64encode(data.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(scan["name"])}" src="data:image/jpeg;base64,{source}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
