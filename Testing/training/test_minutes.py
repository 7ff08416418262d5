"""A few minutes of a rented card, rehearsed: packed scans in, a model that screens out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctscreener.command import main as ctscreener
from ctscreener.settings import read_json
from Testing.training.bare_machine import ROOT, bare_packages
from Testing.training.plain_store import make_plain_store, write_encoder
from training import pack, unpack
from training.pack import PackSettings

SMALL = {
    "TUNE": "--crops.size 8 16 16 --crops.pairs 2 --crops.positions 64 --contrast.width 32 "
    "--contrast.projected 8 --precision 32-true --log-every 1 --workers 1",
    "DISCRIMINATOR": "--folds 2 --draw.rows.corruption.fewest 3 --draw.rows.an-anomaly 20 "
    "--draw.rows.untouched 60 --draw.rows.corruption.radius-mm 3 6 --fit.hidden 4 "
    "--fit.epochs 1 --fit.batch 64 --density.components 6",
    "NETWORK": "--crops.size 8 24 24 --crops.pairs 2 --crops.positions 64 --contrast.width 32 "
    "--precision 32-true --log-every 1 --network.channels 8 16 --network.stem 1 1 1 --workers 1",
    "CONDITION": "--masks.least 2 6 6 --masks.largest 4 8 8",
    "DENSITY": "--tile 8 24 24 --tiles 6 --per-step 2 --block 4 4 4 --voxels 40 "
    "--head.flow.blocks 2 --head.flow.hidden 8 --precision 32-true --log-every 1 --workers 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("route", ["encoder", "scratch"])
def test_the_minutes_end_with_a_model_that_screens(route: str, tmp_path: Path) -> None:
    out = tmp_path / "minutes"
    make_plain_store(tmp_path / "store", {"a": 1, "b": 2, "c": 3, "d": 4})
    pack.main(PackSettings(tmp_path / "store", out=out / "in" / f"{route}.pack"))
    write_encoder(out / "in" / "encoder")
    machine(tmp_path, out, route)
    there(tmp_path, "smoke")
    assert "| smoke_" in (out / "pace_smoke.md").read_text()
    there(tmp_path, "main")
    table = (out / "pace_main.md").read_text()
    assert "steps/s" in table
    assert "| export" in table
    paces = read_json(out / "pace_main.json")["runs"]
    assert all(pace["rate"] > 0 and pace["flop"] > 0 for pace in paces.values())
    unpack.main(unpack.UnpackSettings(out / "back", tmp_path / "home"))
    for name in ("public", "tuned_model") if route == "encoder" else ("scratch",):
        assert screened(tmp_path / "home" / name, tmp_path / name)


def machine(place: Path, out: Path, route: str) -> None:
    """A script that stands for the Python of a machine without SimpleITK, blosc2 and others."""
    packages = bare_packages(place / "packages")
    path = os.pathsep.join(map(str, [packages, ROOT, ROOT / "ScreenerSlicer"]))
    script = place / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    names = {"OUT": str(out), "ROUTE": route, "PYTHON": str(script), "WORKERS": "2"}
    names |= {"DRAWS": "1", "STEPS": "4", "TUNE_MINUTES": ".05", "NETWORK_MINUTES": ".05"}
    names |= {"DENSITY_MINUTES": ".05", "LEFT_OUT": "d"}
    names |= {f"SMALL_{name}": flags for name, flags in SMALL.items()}
    lines = "".join(f'export {name}="{value}"\n' for name, value in names.items())
    (place / "environment").write_text(lines)


def there(place: Path, call: str) -> None:
    """Make a call of the recipe there."""
    recipe = ROOT / "training" / "recipes" / "minutes.sh"
    done = subprocess.run(
        ["bash", "-c", f". {place}/environment && bash {recipe} {call}"],
        capture_output=True,
        text=True,
        check=False,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
    )
    logs = "".join(path.read_text() for path in (place / "minutes").glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs


def screened(model: Path, out: Path) -> bool:
    """Screen the sample phantom by the command line; whether it left a map."""
    sample = ROOT / "Resources" / "sample_phantom.nrrd"
    flags = ["screen", str(sample), "--model", str(model), "--out", str(out), "--device", "cpu"]
    assert ctscreener([*flags, "--overlap", "0"]) == 0
    return any(out.rglob("anomaly.nrrd"))
