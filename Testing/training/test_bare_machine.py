"""What training needs of a machine: a rented one has torch, lightning and little else."""

import json
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from Testing.training.bare_machine import MISSING, bare_packages, run_bare
from Testing.training.small_store import make_store
from training import presets
from training.data.arrays import write_array
from training.data.store import Store
from training.density import DensityStageSettings
from training.discriminator_settings import DiscriminatorSettings
from training.flags import parse, plain
from training.prepare import PrepareSettings

IMPORT_STAGES = f"""
import importlib, importlib.util, pkgutil
print(*[name for name in {MISSING} if importlib.util.find_spec(name)])
import training
for module in pkgutil.walk_packages(training.__path__, "training."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(module.name, error.name)
"""
PLOTS = ["training.page.page matplotlib", "training.page.plots matplotlib"]
"""A page of results is drawn with matplotlib: no training does so."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_packages(tmp_path_factory.mktemp("bare") / "packages")


def test_every_stage_is_imported_where_there_is_torch_and_little_else(packages: Path) -> None:
    done = run_bare(packages, "-c", IMPORT_STAGES)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["", *PLOTS]


def test_a_stage_trains_there_on_arrays_that_numpy_reads(packages: Path, tmp_path: Path) -> None:
    make_store(tmp_path / "store", {"a": (16, 24, 24), "b": (16, 24, 24)}, ".npy")
    words = "--crops.size 8 12 12 --crops.pairs 2 --crops.positions 16 --network.channels 8 16"
    words += " --network.stem 1 1 1 --contrast.width 16 --steps 2 --warmup 1 --device cpu"
    run = tmp_path / "run"
    done = run_bare(
        packages,
        *("training/run.py", "descriptor", "--preset", "tiny", *words.split()),
        *("--store", str(tmp_path / "store"), "--run", str(run)),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "result.json").read_text())["step"] == 2
    assert "TensorBoard is not installed" in done.stderr


@pytest.mark.parametrize(
    ("kind", "default", "words"),
    [
        (
            DensityStageSettings,
            presets.DENSITY["tiny"],
            "--steps 7 --surround 1 3 2 5 --no-compile",
        ),
        (DensityStageSettings, None, "--loop.seed 3 --often a b --times 2 --max-minutes None"),
        (DiscriminatorSettings, None, "--draw.rows.draws 9 --density.surround 0 2 --rows-at here"),
        (PrepareSettings, None, "a b --plain --fine 1 2 3.5 --kind ct"),
        (type(presets.APE["tiny"]), presets.APE["tiny"], "--betas .9 .99 --in-memory --lr=1e-5"),
        (type(presets.APE["tiny"]), presets.APE["tiny"], "--no-in-memory --span-mm 1 2 3"),
    ],
)
def test_flags_read_plainly_are_those_that_tyro_reads(
    kind: type, default: object, words: str
) -> None:
    given = words.replace("--loop.seed", "--seed").split()
    assert plain(kind, given, default, "stage") == parse(kind, given, default, "stage")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--stepz 3", "flags.unknown"),
        ("--steps three", "flags.value"),
        ("--steps", "flags.value"),
        ("--tile 1 2", "flags.value"),
        ("--tile 1 2 3 4", "flags.value"),
        ("--decay square", "flags.value"),
        ("loose", "flags.unknown"),
    ],
)
def test_flags_that_cannot_be_used_are_refused(words: str, code: str) -> None:
    with pytest.raises(InputError) as refused:
        plain(DensityStageSettings, words.split(), None, "density")
    assert refused.value.code == code


def test_a_setting_without_default_is_asked_for() -> None:
    with pytest.raises(InputError, match="scans"):
        plain(PrepareSettings, [], None, "prepare")


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_store_of_plain_arrays_reads_as_one_of_compressed_ones(
    tmp_path: Path, in_memory: bool
) -> None:
    shapes = {"a": (9, 12, 15), "b": (8, 7, 6)}
    for ending in (".b2nd", ".npy"):
        make_store(tmp_path / ending[1:], shapes, ending)
    packed, flat = (Store(tmp_path / name, (), in_memory) for name in ("b2nd", "npy"))
    box = slice(2, 7), slice(1, 6), slice(0, 5)
    for name in shapes:
        for one, other in zip(packed.read(name, box), flat.read(name, box), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_an_array_of_another_shape_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {"a": (9, 12, 15)}, ".npy")
    write_array(tmp_path / "store" / "a.image.npy", np.zeros((9, 12, 14), np.uint8))
    with pytest.raises(InputError, match="9, 12, 14"):
        Store(tmp_path / "store")
