"""Recipes followed with a stand-in for their stages, which notes what it is asked for."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training import run

ROOT = Path(__file__).parents[2]
MODULES = {
    "phantoms": "training.phantoms.stage",
    "insert": "training.inserted.stage",
    "baseline": "training.baselines.stage",
    "datasets": "training.datasets.stage",
}
"""Where the code of a stage is, if not in the file of its name."""
STAND_IN = r"""#!/usr/bin/env bash
# Notes what it is asked for, and leaves what a recipe looks for.
[ "$1" != -c ] || exec "$REAL" "$@"
# In one write: stages that run side by side would mix their lines.
printf '%s\n' "$@" --end >"$NOTES.$$" && cat "$NOTES.$$" >>"$NOTES" && rm "$NOTES.$$"
[ "$2" != "${FAIL:-}" ] || exit 1
words=("$@")
for ((i = 0; i < ${#words[@]}; i++)); do
  if [ "${words[i]}" = --out ] || [ "${words[i]}" = --run ]; then out=${words[i + 1]}; fi
done
if [ "$2" = export ] || [ "${words[*]:1:2}" = "pack --runs" ]; then mkdir -p "$out"; fi
if [ "$2" = discriminator ]; then
  mkdir -p "$out" && echo '{"seconds": 3.0, "draw_seconds": 2.0}' >"$out/result.json"
fi
if [ "$2" = insert ]; then
  [[ $out != *kidney* ]] || exit 2
  mkdir -p "$out" && touch "$out/a.nii.gz"
fi
"""
FOLDS = {"acrin_lower": 0, "cmb_crc": 1, "lidc0001_dicom": 1, "lidc_0003": 2, "ts_example": 0}
"""Groups of patients of a finished run, as `development.sh` finds it."""
Call = tuple[str, Any]


def calls_kept(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Have stages note the settings that they are called with, in place of their work."""
    calls: list[Call] = []

    def keep(stage: str) -> Any:  # noqa: ANN401 - takes what any stage takes
        if stage == "baseline":
            return lambda name, settings: calls.append((stage, settings))
        return lambda settings, *_: calls.append((stage, settings))

    for stage in (*run.STAGES, "tune"):
        if stage != "all":
            module = importlib.import_module(MODULES.get(stage, f"training.{stage}"))
            monkeypatch.setattr(module, "main", keep(stage))
    return calls


def follow(recipe: str, scans: Path, tmp_path: Path, **environment: str) -> Path:
    """Run a recipe with a stand-in for its stages, and give each command to the real ones.

    Returns:
        The folder that it was told to write.
    """
    stand_in, notes, out = tmp_path / "python", tmp_path / "notes", tmp_path / "out"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    flags = ["tiny", str(out)] if recipe.startswith("phantom") else [str(out)]
    flags = environment.pop("CALL", "").split() or flags
    made = tmp_path / "made"
    for stages in (2, 3):
        (run_folder := made / f"discriminator_{stages}").mkdir(parents=True, exist_ok=True)
        (run_folder / "folds.json").write_text(json.dumps(FOLDS))
    known = {"PYTHON": str(stand_in), "NOTES": str(notes), "SCREENER_SCANS": str(scans)}
    known["MADE"] = str(made)
    known["REAL"] = sys.executable
    path = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    subprocess.run(
        ["bash", str(ROOT / "training" / "recipes" / recipe), *flags],
        env=path | known | environment,
        check=True,
        capture_output=True,
    )
    for command in notes.read_text().split("\n--end\n")[:-1]:
        script, stage, *words = command.split("\n")
        assert script == "training/run.py"
        assert run.main([stage, *words]) == 0, command
    return out
