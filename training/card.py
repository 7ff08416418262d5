"""The model card: what a model was made of, what it finds, what it misses."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ctscreener.encoded import EncodedSettings
from ctscreener.model import ModelSettings
from training.datasets.licence import inherited
from training.evaluation.results import Results
from training.evaluation.trained_on import seen_by
from training.fold_model import fold_text
from training.tables import rarity_table
from training.whole_model import encoded_lines, tuned_text

NOTICE = (
    "Research use only, not for diagnosis. Absence of colour is not absence of disease: the map "
    "shows what is rare among the reference scans, not what is ill."
)
HEADER_LINES = 2
"""Lines of a table without rows."""


def write_card(
    name: str,
    model: ModelSettings | EncodedSettings,
    provenance: dict[str, Any],
    notes: Path | None,
    sha256: str = "",
) -> str:
    """Write the card of a model.

    Arguments:
        name: The model's name.
        model: Its settings.
        provenance: How it was made, see `training.export.trace`.
        notes: Markdown with what no number says; none where there is nothing to say.
        sha256: Hash of the weights, which tells results of this model from those of others.

    Returns:
        Markdown.
    """
    sections = [
        f"# Model `{name}`\n\n**{NOTICE}**",
        *([teacher_text(provenance)] if provenance.get("teacher") else []),
        *([tuned_text(tuned)] if (tuned := provenance["stages"].get("encoder")) else []),
        *([fold_text(provenance["fold"])] if "fold" in provenance else []),
        *([notes.read_text(encoding="utf-8").strip()] if notes else []),
        *measured(provenance["results"], sha256),
        "## Networks\n\n" + "\n".join(f"- {line}" for line in lines_of(model)),
        "## Training\n\n" + training_table(provenance["stages"]),
        "## Data\n\n" + data_text(provenance),
    ]
    return "\n\n".join(sections) + "\n"


def teacher_text(provenance: dict[str, Any]) -> str:
    """What a distilled model is, whose scores it learnt, and how well it gives them."""
    name, sha256 = provenance["teacher"]["name"], provenance["teacher"]["sha256"]
    text = (
        f"**Fast, less exact.** A small network that was taught to read the scores of the model "
        f"`{name}` (weights {sha256[:12]}) off its descriptors, for machines without a graphics "
        f"card. It finds no more "
        f"than its teacher does: where there is time, use `{name}`."
    )
    if agreement := provenance["agreement"]:
        text += (
            f" On scans that it was not trained on its scores correlate with its teacher's by "
            f"{agreement['pearson']:.2f} (their ranks by {agreement['spearman']:.2f}), and of the "
            f"teacher's rarest voxel in a thousand {agreement['top']:.0%} are among its own."
        )
    return text


def measured(results: Sequence[Results], sha256: str) -> Iterator[str]:
    """What was measured, of this model and of others that stand for it.

    Arguments:
        results: See `training.export.measured`.
        sha256: Hash of this model's weights.
    """
    for result in results:
        # Scans without masks have rarities alone.
        if result.get("table", "").count("\n") <= HEADER_LINES:
            continue
        yield f"## Measured\n\n{_whose(result, sha256)}{result.get('table', '').strip()}"
    known = [result for result in results if result["rarities"]]
    text = rarity_table(known).strip() if known else "Not measured."
    whose = "".join(dict.fromkeys(_whose(result, sha256) for result in known))
    yield f"## False findings a scan\n\n{whose}{text}"


def _whose(result: Results, sha256: str) -> str:
    """A paragraph where results are not those of the model with these weights."""
    name, others = (result["model"][key] for key in ("name", "weights_sha256"))
    if others == sha256:
        return ""
    return f"Of `{name}`, **another model** (weights {others[:12]}), not of this one.\n\n"


def calibration_text(provenance: Mapping[str, Any]) -> str:
    """Whether the scans that rarity refers to were also trained on."""
    if provenance.get("left_out"):
        return _tuned_on(provenance) + (
            "Each of them was scored by networks that saw neither "
            "its patient's scans nor patches of them."
        )
    digests = [scan["sha256"] for scan in provenance["reference"]]
    stages = {"stages": provenance["stages"], "reference": []}
    seen = {stage: many for stage, many in (seen_by(stages, digests) or {}).items() if many}
    if not seen:
        return "No network was trained on any of these: they stand for new scans."
    listed = ", ".join(f"{stage} {many}" for stage, many in seen.items())
    if {"density", "distil"} & seen.keys():
        return (
            f"Trained on these as well: {listed}. In new scans more voxels will be rare than "
            "rarity promises."
        )
    return f"What scores was trained on none of these; other networks were: {listed}."


def _tuned_on(provenance: Mapping[str, Any]) -> str:
    """A sentence where the encoder, unlike what reads it, was trained on scans of the reference."""
    tuned = provenance["stages"].get("encoder")
    digests = [scan["sha256"] for scan in provenance["reference"]]
    many = sum(scan["sha256"] in digests for scan in tuned["data"]) if tuned else 0
    return f"The encoder was trained, without labels, on {many} of them. " if many else ""


def lines_of(model: ModelSettings | EncodedSettings) -> list[str]:
    """One line for each network, of either kind of model."""
    return encoded_lines(model) if isinstance(model, EncodedSettings) else network_lines(model)


def network_lines(model: ModelSettings) -> list[str]:
    """One line for each network."""
    spacing = " x ".join(f"{step:g}" for step in model.preprocess.spacing)
    block = " x ".join(map(str, model.pool))
    voxels = f"voxels of {spacing} mm (D, H, W), scored in blocks of {block} voxels"
    if not model.student:
        return [voxels, *three_lines(model)]
    student = model.student
    waves = f", sin-cos of the position, {student.sincos} frequencies" if student.sincos else ""
    shells = "".join(f", their means in the shell {shell}" for shell in student.surround)
    described, *others = three_lines(model)
    return [
        voxels,
        f"{described}, its teacher's",
        f"student: UNet {student.network.channels} of descriptors{shells}, the body{waves}",
        *(f"in its teacher, {line}" for line in others),
    ]


def three_lines(model: ModelSettings) -> list[str]:
    """One line each for descriptor, condition and density."""
    descriptor, condition, density = model.descriptor, model.condition, model.density
    parts = []
    if condition.sincos:
        parts.append(f"sin-cos of the position, {condition.sincos} frequencies an axis")
    if condition.learned:
        shell = condition.learned_shell
        around = f", averaged over the shell {shell} around a voxel" if shell else ""
        parts.append(f"masking-invariant UNet {condition.learned.channels}{around}")
    parts += [
        f"mean descriptor of the shell {shell} around a voxel" for shell in condition.surround
    ]
    if condition.ape:
        waves = condition.ape_frequencies
        parts.append(
            f"anatomical position (APE), UNet {condition.ape.channels}, {waves} frequencies"
        )
    kinds = {
        "flow": f"flow, {density.flow.blocks} x {density.flow.hidden}",
        "gaussian": f"Gaussian, {density.covariance} covariance",
    }
    return [
        f"descriptor: UNet {descriptor.channels}, {descriptor.out} channels",
        f"condition: {'; '.join(parts) or 'none'}",
        f"density: {kinds[density.head]}",
    ]


def training_table(stages: dict[str, Any]) -> str:
    """Steps and hours of each stage."""
    rows = ["| stage | steps | hours | scans |", "|---|---|---|---|"]
    for stage, facts in stages.items():
        result = facts["result"]
        hours = result["seconds"] / 3600
        steps = result.get("step", "")
        rows.append(f"| {stage} | {steps} | {hours:.2f} | {len(facts['data'])} |")
    return "\n".join(rows)


def data_text(provenance: dict[str, Any]) -> str:
    """Which scans, by name and hash."""
    trained = {
        scan["name"]: scan["sha256"]
        for facts in provenance["stages"].values()
        for scan in facts["data"]
    }
    reference = ", ".join(scan["name"] for scan in provenance["reference"])
    listed = "\n".join(f"- {name} {digest[:16]}" for name, digest in sorted(trained.items()))
    odd = ", ".join(provenance["odd"])
    without = f" Left out, as each held too much of the tail: {odd}." if odd else ""
    licences = {
        scan["sha256"]: scan.get("licence", "")
        for facts in provenance["stages"].values()
        for scan in facts["data"]
    }
    terms = inherited(licences.values())
    return (
        f"Rarity refers to {len(provenance['reference'])} scans: {reference}.{without} "
        f"{calibration_text(provenance)}\n\n"
        f"{terms}{chr(10) * 2 * bool(terms)}"
        f"Trained on {len(trained)} scans (name, start of the SHA-256):\n\n{listed}"
    )
