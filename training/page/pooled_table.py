"""The two tables of pooled results: areas a scan, and what a reader sees at each rarity."""

from collections.abc import Iterator

from ctscreener.findings import NOTICE, FindingSettings
from training.evaluation.pooled import Counted, Pooled, PooledPromise
from training.page.written import findings, interval, markdown, percent

AREAS = {
    "auroc": "a scan: AUROC (95%)",
    "auroc@0.3": "AUROC@.3 (95%)",
    "aupro@0.3": "AUPRO@.3 (95%)",
}
"""Titles of the areas that are shown."""
HEADER = ("set", "voxels", "scans, patients", "lesions", "score", *AREAS.values())
FOUND_HEADER = (
    *("set", "scans, patients", "rarity", "lesions met", "by those listed"),
    *("false findings a scan (95%)", "false ones listed a scan (95%)"),
    *("voxels promised", "voxels found (95%)"),
)


def pooled_table(pooled: Pooled) -> str:
    """Lay out pooled results as Markdown, with what they rest on below.

    Arguments:
        pooled: See `training.evaluation.pooled.pool`.
    """
    settings = FindingSettings()
    areas = [
        [
            part["set"],
            part["protocol"],
            f"{part['scans']}, {part['patients']}",
            str(part["regions"]),
            name,
            *(interval(score[area]) for area in AREAS),
        ]
        for part in pooled["sets"]
        for name, score in part["scores"].items()
    ]
    models = ", ".join(
        f"`{one['name']}` ({one['weights_sha256'][:12]})" for one in pooled["models"]
    )
    tables = [markdown(HEADER, areas)] if areas else []
    tables.append(markdown(FOUND_HEADER, list(_rows(pooled))))
    tables.append(
        f"Each scan is measured by one of {len(pooled['models'])} models: {models}. "
        f"Screener's default threshold is rarity {settings.threshold:g}; of each scan the "
        f"{settings.most} rarest findings are listed. False findings meet no known lesion; "
        "what nobody outlined counts as false. Seen in making the model that measured them: "
        f"{'; '.join(map(_seen, pooled['rarities']))}.\n\n{NOTICE}\n"
    )
    return "\n".join(tables)


def _rows(pooled: Pooled) -> Iterator[list[str]]:
    """One row for each set and rarity at which findings are counted."""
    for part in pooled["rarities"]:
        levels = {level["rarity"]: level for level in part["levels"]}
        for counted in part["counted"]:
            level = levels[counted["rarity"]]
            yield [
                part["set"],
                f"{part['scans']}, {part['patients']}",
                str(counted["rarity"]),
                *_met(counted, part["lesions"]),
                findings(level.get("findings")),
                findings(level.get("listed")),
                percent({"value": level["promised"], "low": None, "high": None}),
                percent(level["share"]),
            ]


def _met(counted: Counted, lesions: int) -> tuple[str, str]:
    """How many of the lesions a finding meets, and one that is listed."""
    if not lesions:
        return "-", "-"
    return f"{counted['met']} of {lesions}", f"{counted['listed_met']} of {lesions}"


def _seen(part: PooledPromise) -> str:
    """Which stages of the models saw how many scans of a set."""
    given = part["seen"]
    stages = [f"{stage} {count}" for stage, count in (given or {}).items() if count]
    return f"{part['set']} {'not known' if given is None else ', '.join(stages) or 'none'}"
