"""The report as a page: one HTML file that holds its pictures and asks no network for anything."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from ctscreener.cohort.place import Place
from ctscreener.cohort.report import Counts, Report, gather
from ctscreener.cohort.table import NOTICE, write_table
from ctscreener.texts import plain
from ctscreener.whole_file import write_text

NAME = "report.html"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""What a browser may load for the page: nothing but what is in it."""
STYLE = """
body{background:#121418;color:#e8eaed;font:15px/1.5 system-ui,sans-serif}
body{margin:2em auto;max-width:1200px;padding:0 1em}
h1,h2{font-weight:500}table{border-collapse:collapse;margin:1em 0}
td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #34383f}
td:first-child,th:first-child,td.text,th.text{text-align:left}
.notice{color:#ffc857}.faint{color:#9aa0a8}#pictures{display:flex;flex-wrap:wrap;gap:12px}
figure{margin:0;width:384px}figcaption{font-size:13px}
label{margin-right:1em}
select,input{background:#22262c;color:inherit;border:1px solid #34383f;padding:.2em}
"""
SCRIPT = """
const all = JSON.parse(document.getElementById("data").textContent);
const filters = document.querySelectorAll("[data-field]");
const columns = [
  "id", "run", "rank", "rarity", "volume", "diameter", "hu", "part", "height", "side", "depth",
];
function kept(one) {
  return [...filters].every(f => {
    if (!f.value) return true;
    const value = one[f.dataset.field];
    if (f.dataset.rule === "least") return value >= Number(f.value);
    if (f.dataset.rule === "most") return value <= Number(f.value);
    if (f.dataset.rule === "holds") return value.includes(f.value);
    return value === f.value;
  });
}
function show() {
  const some = all.filter(kept);
  document.getElementById("count").textContent = some.length + " of " + all.length;
  const rows = some.slice(0, 200).map(one => {
    const row = document.createElement("tr");
    for (const name of columns) {
      const cell = document.createElement("td");
      cell.textContent = one[name];
      row.append(cell);
    }
    return row;
  });
  document.querySelector("#rarest tbody").replaceChildren(...rows);
  const wanted = new Set(some.map(one => one.n));
  for (const figure of document.querySelectorAll("figure"))
    figure.hidden = !wanted.has(Number(figure.dataset.n));
}
const asked = new URLSearchParams(location.hash.slice(1));
for (const f of filters) {
  f.value = asked.get([f.dataset.field, f.dataset.rule].filter(Boolean).join(".")) ?? f.value;
  f.addEventListener("input", show);
}
show();
"""
CHOICES = {
    "part": ("torso", "arms", "head", "legs"),
    "height": ("upper", "middle", "lower"),
    "side": ("right", "middle", "left"),
    "depth": ("front", "middle", "back"),
}
NUMBERS = (
    ("volume", "least", "ml from"),
    ("volume", "most", "ml to"),
    ("diameter", "least", "mm from"),
    ("diameter", "most", "mm to"),
)
HEADS = ("scan", "run", "rank", "rarity", "ml", "mm", "mean HU", "part", "height", "side", "depth")


def write_report(place: Place) -> Path:
    """Write the page of a cohort, from a table that is made anew.

    Arguments:
        place: The cohort.

    Returns:
        The page.

    Raises:
        InputError: `cohort.missing`, or one of `whole_file`.
    """
    if place.runs():
        write_table(place)
    path = place.folder / NAME
    write_text(path, page(gather(place), place.folder.absolute().name))
    return path


def page(report: Report, title: str) -> str:
    """Draw a report as HTML.

    Arguments:
        report: What it says.
        title: What the cohort is called.
    """
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>",
            f'<h1>Cohort {_text(title)}</h1><p class="notice">{NOTICE}</p>',
            *_counts(report.runs),
            *_causes(report),
            *_held(report.runs),
            *_rarest(report),
            f'<script type="application/json" id="data">{_data(report)}</script>',
            f"<script>{SCRIPT}</script></body></html>\n",
        ]
    )


def _text(text: object) -> str:
    """Write a text that comes from files so that it is nothing but text."""
    return escape(plain(str(text)))


def _table(heads: tuple[str, ...], rows: Iterator[tuple[object, ...]], name: str) -> str:
    head = "".join(f"<th>{_text(each)}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(each)}</td>" for each in row) + "</tr>" for row in rows
    )
    return f'<table id="{name}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _counts(runs: Mapping[str, Counts]) -> Iterator[str]:
    yield "<h2>Scans</h2>"
    heads = ("run", "scans", "screened", "failed", "findings", "a scan", "without any")
    yield _table(
        heads,
        (
            (
                name,
                some.scans,
                some.scans - some.failed,
                some.failed,
                some.findings,
                f"{some.findings / max(1, some.scans - some.failed):.1f}",
                some.without,
            )
            for name, some in runs.items()
        ),
        "counts",
    )


def _causes(report: Report) -> Iterator[str]:
    if report.causes:
        yield "<h2>Failures by cause</h2>"
        yield _table(("cause", "scans", "for example"), iter(report.causes), "causes")


def _held(runs: Mapping[str, Counts]) -> Iterator[str]:
    """Say whether rarities keep their promise in this cohort."""
    yield "<h2>Do rarities hold here?</h2>"
    yield (
        '<p class="faint">Rarity r promises that a share of 10<sup>-r</sup> of the voxels is at '
        "least as rare. That holds in the scans that the model was calibrated on.</p>"
    )
    heads = ("run", "rarity", "promised", "all voxels", "5% of scans below", "median", "95% below")
    yield _table(
        heads,
        (
            (
                name,
                one["rarity"],
                *(f"{one[key]:.2g}" for key in ("promised", "found", "low", "middle", "high")),
            )
            for name, some in runs.items()
            for one in some.held()
        ),
        "held",
    )


def _rarest(report: Report) -> Iterator[str]:
    """Lay out filters, pictures and the empty table, which the script fills."""
    total = sum(some.findings for some in report.runs.values())
    listed = sum(some.listed for some in report.runs.values())
    shown = f"The {len(report.rarest)} rarest of {listed} that are listed"
    yield f"<h2>The rarest findings</h2><p>{shown}, of {total} above the threshold; "
    yield 'shown: <span id="count"></span>, 200 lines at most.</p><p>'
    for name, choices in {"run": tuple(report.runs), **CHOICES}.items():
        options = "".join(f"<option>{_text(each)}</option>" for each in choices)
        yield f'<label>{name} <select data-field="{name}"><option value="">any</option>'
        yield f"{options}</select></label>"
    for name, rule, words in NUMBERS:
        yield f'<label>{words} <input type="number" min="0" step="any" size="6" '
        yield f'data-field="{name}" data-rule="{rule}"></label>'
    yield '<label>scan <input data-field="id" data-rule="holds"></label></p><div id="pictures">'
    for number, picture in report.pictures.items():
        one = report.rarest[number]
        yield f'<figure data-n="{number}"><img width="384" height="128" alt="" src="{picture}">'
        yield f"<figcaption>{_text(one['id'])}, {_text(one['run'])}: rarity {one['rarity']}, "
        yield f"{one['volume']} ml, {one['diameter']} mm</figcaption></figure>"
    yield "</div>" + _table(HEADS, iter(()), "rarest")


def _data(report: Report) -> str:
    """Give the findings as JSON that cannot end the script that it stands in."""
    some = [
        {key: plain(v) if isinstance(v, str) else v for key, v in one.items() if key != "folder"}
        | {"n": number}
        for number, one in enumerate(report.rarest)
    ]
    return json.dumps(some).replace("<", "\\u003c")
