"""Tables of the page: our rows beside the papers', and what differs between the two, as HTML."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Literal

from training.evaluation.rated import SCREENER
from training.evaluation.results import Part, Results, Score
from training.page.claims import verdicts
from training.page.printed import (
    COLUMNS,
    METRICS,
    SET_OF_FAMILY,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    Other,
    Printed,
)
from training.page.written import model_name, short

Kind = Literal["scans", "inserted", "phantoms"]
MADE: Mapping[Kind, str] = {
    "scans": "scans with masks",
    "inserted": "real scans with lesions put into them",
    "phantoms": "phantoms (procedural, not patients)",
}
"""What the scans of a set are, in words."""
ON: Mapping[Kind, str] = {"scans": "", "inserted": ", lesions put in", "phantoms": " on phantoms"}
"""The same behind "ours"."""


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


def kind_of(part: Part) -> Kind:
    """What the scans of a set are: sets of one kind fill a row together.

    Example:
        >>> kind_of({"family": "liver_tumour", "inserted": True})
        'inserted'
    """
    if part.get("inserted"):
        return "inserted"
    return "phantoms" if part["family"] else "scans"


def differences(results: Sequence[Results]) -> Iterator[str]:
    """What differs between our data and the paper's, said before any number."""
    parts = {p["set"]: (r, p) for r in results for p in r["sets"]}
    rows = []
    for name, (result, part) in parts.items():
        made = MADE[kind_of(part)]
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
    yield table(["set", "stands beside", "scans", "lesions", "measured on"], rows)
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
        rivals = "".join(f"; beside {escape(name)}" for name in result.get("baselines", ()))
        yield (
            f"<p>Model <strong>{escape(model_name(result))}</strong>: {words}; weights "
            f"<code>{model['weights_sha256'][:12]}</code>; software "
            f"{escape(result['software']['version'])}, torch {escape(result['torch'])}"
            f"{rivals}.</p>"
        )


def beside(printed: Printed, results: Sequence[Results]) -> Iterator[str]:
    """A table of the paper with our numbers under its own, and our other models after it."""
    yield f"<h2>{escape(printed.title)}</h2>"
    protocols = dict.fromkeys(p["protocol"] for r in results for p in r["sets"])
    # A model that stands in one of the ablations is no guest in the other.
    tables = (TABLE_2,) if printed is TABLE_2 else (TABLE_3, TABLE_4)
    known = {row.method for one in tables for row in one.rows}
    rows = []
    for row in printed.rows:
        rows.append(_cells(row.name, "printed", [short(x, 2) for x in row.numbers], ""))
        for result in results:
            if row.method and tuple(result["method"].values()) == row.method:
                rows += [row for protocol in protocols for row in _ours(result, protocol)]
    extra = [r for r in results if tuple(r["method"].values()) not in known]
    # Trivial scores and models that the paper does not have stand at the end.
    rows += [row for r in extra for protocol in protocols for row in _ours(r, protocol)]
    others = [name for part in results[0]["sets"][:1] for name in part["scores"]]
    rows += [
        row
        for name in others
        if name != SCREENER
        for protocol in protocols
        for row in _ours(results[0], protocol, name)
    ]
    head = "".join(f'<th class="g" colspan="4">{title}</th>' for title in METRICS.values())
    names = "".join(f'<th class="n">{c}</th>' for _ in METRICS for c in COLUMNS)
    yield (
        f'<div class="scroll"><table><tr><th></th><th></th>{head}</tr><tr><th></th><th></th>'
        f"{names}</tr>{''.join(rows)}</table></div>"
    )


def findings(results: Sequence[Results]) -> Iterator[str]:
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
        yield table(["finding", "paper", "here", "95%", "here it is"], rows)


def other_paper(other: Other, results: Sequence[Results]) -> Iterator[str]:
    """A table of another paper, and our numbers in its columns."""
    rows = [
        _cells(name, "printed", [f"{x:g}" for x in numbers], "") for name, numbers in other.rows
    ]
    for result in results:
        for part in result["sets"]:
            # Precision and Dice of drawn voxels say nothing of a scan.
            if part["protocol"] == "authors" or other.only not in (None, column_of(part)):
                continue
            score = part["scores"][SCREENER]
            numbers = [_percent(score, where) for where in other.ours]
            title = f"{model_name(result)} on {part['set']}"
            rows.append(_cells(title, f"ours, {part['protocol']}", numbers, "ours"))
    head = "".join(f'<th class="n">{escape(column)}</th>' for column in other.columns)
    yield f"<h2>{escape(other.title)}</h2><p>{escape(other.differs)}</p>"
    yield (
        f'<div class="scroll"><table><tr><th></th><th></th>{head}</tr>{"".join(rows)}</table></div>'
    )


def _ours(result: Results, protocol: str, name: str = SCREENER) -> Iterator[str]:
    """Our rows of a table of the paper: one for each kind of scans."""
    title = model_name(result) if name == SCREENER else name
    parts = [p for p in result["sets"] if p["protocol"] == protocol and name in p["scores"]]
    kinds: dict[Kind, None] = dict.fromkeys(kind_of(part) for part in parts)
    for kind in kinds:
        by_column = {column_of(p): p["scores"][name] for p in parts if kind_of(p) == kind}
        numbers = [
            short(by_column[column][metric]["pooled"]["value"], 2) if column in by_column else ""
            for metric in METRICS
            for column in COLUMNS
        ]
        yield _cells(title, f"ours{ON[kind]}, {protocol}", numbers, "ours")


def _percent(score: Score, where: tuple[str, ...] | None) -> str:
    """One of our numbers in percent; nothing where we have none."""
    value: Any = score
    for key in where or ():
        value = value[key]
    if where is None:
        return ""
    value = value["value"] if isinstance(value, Mapping) else value
    return "" if value is None else f"{100 * value:.2f}"


def _cells(title: str, source: str, numbers: Sequence[str], kind: str) -> str:
    cells = "".join(
        f'<td class="n {kind}">{number}</td>' if number else '<td class="n none">-</td>'
        for number in numbers
    )
    return f'<tr><td class="{kind}">{escape(title)}</td><td>{escape(source)}</td>{cells}</tr>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells as an HTML table that scrolls sideways where it is too wide.

    Arguments:
        header: Names of the columns, plain text.
        rows: Cells, plain text.
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
