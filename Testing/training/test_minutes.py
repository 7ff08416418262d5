"""A few minutes of a rented card, rehearsed: packed scans in, a model that screens out."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctscreener.command import main as ctscreener
from ctscreener.settings import read_json
from Testing.training.bare_machine import ROOT, bare_packages
from Testing.training.plain_store import make_plain_store, write_encoder
from training import pack, unpack
from training.pack import PackSettings

RECIPE = ROOT / "training" / "recipes" / "minutes.sh"
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
    names |= {"DENSITY_MINUTES": ".05", "LEFT_OUT": "d", "LIMIT": "900"}
    names |= {f"SMALL_{name}": flags for name, flags in SMALL.items()}
    lines = "".join(f'export {name}="{value}"\n' for name, value in names.items())
    (place / "environment").write_text(lines)


def there(place: Path, call: str) -> None:
    """Make a call of the recipe there."""
    done = subprocess.run(
        ["bash", "-c", f". {place}/environment && bash {RECIPE} {call}"],
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


STAND_IN = """#!/bin/sh
# Notes what is asked of it, and leaves the folders that a stage would.
[ "$1" = -c ] && exec {python} "$@"
shift
echo "$*" >>{place}/calls
case "$*" in
  *"--run "*) run=$(echo "$*" | sed 's/.*--run \\([^ ]*\\).*/\\1/') ;;
  *) run=$(echo "$*" | sed 's/.*--out \\([^ ]*\\).*/\\1/') ;;
esac
name=$1_$(basename "$run")
[ -f "{place}/fails_$name" ] && exit 3
[ -f "{place}/hangs_$name" ] && sleep 60
case $1 in pace) echo pace >"$run" ;; *) mkdir -p "$run" ;; esac
[ $1 = discriminator ] && cp {place}/told "$run/result.json"
exit 0
"""


def rehearsed(place: Path, limit: int, **more: str) -> tuple[int, list[str], str, float]:
    """Make the main call with a Python that only notes what is asked of it.

    Returns:
        Status, the stages that were asked for, the lines of what was left out, and seconds.
    """
    stand_in = place / "stand_in"
    stand_in.write_text(STAND_IN.format(python=sys.executable, place=place))
    stand_in.chmod(0o755)
    out = place / "out"
    (out / "unpacked_encoder").mkdir(parents=True)
    (out / "unpacked_encoder" / "manifest.json").write_text("{}")
    if not (place / "told").exists():
        (place / "told").write_text('{"seconds": 30.0, "draw_seconds": 20.0}')
    names = {"OUT": str(out), "PYTHON": str(stand_in), "LIMIT": str(limit), "LEFT_OUT": ""}
    began = time.monotonic()
    done = subprocess.run(
        ["bash", str(RECIPE), "main"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **names, **more},
    )
    seconds = time.monotonic() - began
    calls = (place / "calls").read_text().splitlines()
    told = out / "left_out_main.txt"
    lines = told.read_text() if told.exists() else ""
    assert all(line in done.stderr for line in lines.splitlines())
    return done.returncode, calls, lines, seconds


def asked(calls: list[str], stage: str) -> list[str]:
    """The calls of a stage."""
    return [call for call in calls if call.split()[0] == stage]


def flag(call: str, name: str) -> float:
    """The number that a flag of a call has."""
    words = call.split()
    return float(words[words.index(name) + 1])


def test_trainings_and_draws_are_shortened_to_the_limit(tmp_path: Path) -> None:
    status, calls, lines, _ = rehearsed(tmp_path, 140)
    assert (status, lines) == (0, "")
    # Of 100 seconds beside those for packing: 45 of tuning, 30 of draws, and of those that are left
    # all but the 11 that the first took after its draws, at most 30.
    (tuning,) = asked(calls, "encoder")
    first, second = asked(calls, "discriminator")
    assert flag(tuning, "--max-minutes") == pytest.approx(0.75, abs=0.05)
    assert flag(first, "--draw.max-minutes") == pytest.approx(0.5, abs=0.05)
    assert flag(second, "--draw.max-minutes") == pytest.approx(0.5, abs=0.05)
    assert len(asked(calls, "pack")) == 2
    last = asked(calls, "pack")[-1]
    assert all(f"/out/{name}" in last for name in ("public", "tuned_model", "tuned"))
    assert (tmp_path / "out" / "back").is_dir()


def test_a_second_discriminator_that_has_no_time_is_left_out_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "told").write_text('{"seconds": 900.0, "draw_seconds": 20.0}')
    status, calls, lines, _ = rehearsed(tmp_path, 140)
    assert status == 0
    assert len(asked(calls, "discriminator")) == 1
    assert lines.count("\n") == 1
    assert "left out the discriminator of the tuned encoder" in lines
    assert "it takes 881 s beside draws" in lines
    assert [" ".join(c.split()[2:4]).count("/out/") for c in asked(calls, "pack")] == [1, 2]


@pytest.mark.parametrize(
    ("hanging", "status", "back"),
    [
        ("discriminator_discriminator_tuned", 0, "model of the public encoder"),
        ("encoder_tuned", 1, "model of the public encoder"),
        ("discriminator_discriminator_public", 1, "tuned encoder"),
    ],
)
def test_what_is_not_done_in_time_is_ended_and_what_there_is_comes_back(
    hanging: str, status: int, back: str, tmp_path: Path
) -> None:
    (tmp_path / "told").write_text('{"seconds": 0.5, "draw_seconds": 0.5}')
    (tmp_path / f"hangs_{hanging}").touch()
    found, calls, lines, seconds = rehearsed(tmp_path, 6, SPARE="3")
    assert found == status
    assert seconds < 30
    assert lines.count("\n") == 1
    assert f"the {back} comes back" in lines
    assert ("/out/public" if "model" in back else "/out/tuned") in asked(calls, "pack")[-1]
    assert (tmp_path / "out" / "back").is_dir()


def test_a_failure_that_is_not_the_time_is_one(tmp_path: Path) -> None:
    (tmp_path / "fails_discriminator_discriminator_tuned").touch()
    status, calls, lines, _ = rehearsed(tmp_path, 140)
    assert status == 1
    assert "ended with status 3" in lines
    assert len(asked(calls, "pack")) == 2


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"LIMIT": "soon"}, "Expected LIMIT in whole seconds, found 'soon'"),
        ({"LIMIT": "10.5"}, "Expected LIMIT in whole seconds, found '10.5'"),
        ({"SPARE": "-1"}, "Expected SPARE in whole seconds, found '-1'"),
        ({"LIMIT": "0"}, "Expected a LIMIT of more than the 40 s"),
        ({"LIMIT": "30"}, "Expected a LIMIT of more than the 40 s"),
    ],
)
def test_a_limit_that_leaves_no_time_is_refused(
    names: dict[str, str], told: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["bash", str(RECIPE), "main"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "OUT": str(tmp_path), "PYTHON": "false", **names},
    )
    assert done.returncode == 2
    assert done.stderr.startswith(told)


def test_scans_that_are_not_unpacked_in_time_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "python").chmod(0o755)
    names = {"OUT": str(tmp_path), "PYTHON": str(tmp_path / "python"), "LIMIT": "1", "SPARE": "0"}
    done = subprocess.run(
        ["bash", str(RECIPE), "main"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **names},
    )
    assert done.returncode == 124
    assert "not unpacked in time" in done.stderr
