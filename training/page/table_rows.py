"""Rows of the tables of results, in the order of their headers."""

from collections.abc import Iterator, Sequence

from training.evaluation.results import Results
from training.page.written import findings, interval, model_name, percent

COLUMNS = (
    ("AUROC (95%)", "auroc", "pooled"),
    ("AUROC@.3 (95%)", "auroc@0.3", "pooled"),
    ("AUPRO@.3 (95%)", "aupro@0.3", "pooled"),
    ("a scan: AUROC (95%)", "auroc", "mean"),
    ("AUROC@.3 (95%)", "auroc@0.3", "mean"),
    ("AP (95%)", "ap", "mean"),
    ("Dice, own best threshold (95%)", "dice", "own"),
    ("AP (95%)", "ap", "pooled"),
    ("Dice, others' threshold (95%)", "dice", "elsewhere"),
    ("FROC (95%)", "froc", "sensitivity"),
)
"""Title, metric and kind of each number."""
RARITY_HEADER = (
    *("model", "set", "scans, patients", "rarity", "voxels promised", "voxels found (95%)"),
    *("false findings a scan (95%)", "lesions met (95%)"),
    *("false ones listed (95%)", "lesions met by those listed (95%)"),
)
HEADER = ("model", "set", "voxels", "scans", "score", *(title for title, _, _ in COLUMNS))


def evaluation_rows(results: Results) -> list[list[str]]:
    """One row for each set, protocol and score, in the order of `HEADER`."""
    return [
        [
            model_name(results),
            part["set"],
            part["protocol"],
            str(len(part["scans"])),
            name,
            *(interval(score[metric][kind]) for _, metric, kind in COLUMNS),
        ]
        for part in results["sets"]
        for name, score in part["scores"].items()
    ]


def rarity_rows(results: Sequence[Results]) -> Iterator[list[str]]:
    """One row for each set and rarity, in the order of `RARITY_HEADER`."""
    for result in results:
        for part in result.get("rarities", []):
            for level in part["levels"]:
                yield [
                    model_name(result),
                    part["set"],
                    f"{part['scans']}, {part['patients']}",
                    str(level["rarity"]),
                    percent({"value": level["promised"], "low": None, "high": None}),
                    percent(level["share"]),
                    findings(level.get("findings")),
                    interval(met) if (met := level.get("met")) else "-",
                    findings(level.get("listed")),
                    interval(met) if (met := level.get("listed_met")) else "-",
                ]


def seen_text(result: Results) -> str:
    """Which stages of a model saw how many scans of each set."""
    sets = []
    for part in result.get("rarities", []):
        given = part["seen"]
        stages = [f"{stage} {count}" for stage, count in (given or {}).items() if count]
        words = "not known" if given is None else ", ".join(stages) or "none"
        sets.append(f"{part['set']} ({part['scans']} scans): {words}")
    return f"`{model_name(result)}`, {', '.join(sets) or 'no rarities measured'}"
