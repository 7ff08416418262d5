"""Who may import whom: the engine runs alone, in Slicer's Python and in any other."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import ctscreener

ENGINE = Path(ctscreener.__file__).parent
FORBIDDEN = {"slicer", "qt", "ctk", "vtk", "training", "matplotlib", "lightning", "monai"}
ALLOWED = {"torch", "numpy", "scipy", "SimpleITK", "skimage", "safetensors", "PIL", "platformdirs"}
ALLOWED |= {"rich"}  # In a terminal, where it is installed.
COHORT = {"dask", "dask_jobqueue", "distributed", "pyarrow"}
"""For thousands of scans; no other part of the engine knows them."""

IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
print(*sorted(set(sys.argv[2:]) & {name.partition(".")[0] for name in sys.modules}))
"""


def loaded_by(package: Path, places: list[Path]) -> set[str]:
    """Import every module of a package in a fresh Python; say what forbidden came with it."""
    path = os.pathsep.join(str(place) for place in [package.parent, *places])
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package.name, *sorted(FORBIDDEN)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=120,
    )
    return set(ended.stdout.split())


def imports_of(file: Path) -> Iterator[str]:
    """Top-level names that a file imports anywhere, inside its functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "ctscreener" if node.level else (node.module or "").partition(".")[0]


def strangers_in(files: Iterable[Path]) -> set[str]:
    """Names imported by files that are neither the engine, Python's own, nor allowed."""
    names = {name for file in files for name in imports_of(file)}
    return names - ALLOWED - {"ctscreener"} - set(sys.stdlib_module_names)


def make_package(folder: Path, line: str) -> Path:
    """Write a package one of whose modules holds `line`."""
    package = folder / "wrong"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "module.py").write_text(line)
    return package


def test_the_engine_loads_nothing_that_belongs_to_slicer_or_training() -> None:
    assert loaded_by(ENGINE, [ENGINE.parent.parent]) == set()


def test_a_package_that_loads_it_would_be_caught(tmp_path: Path) -> None:
    (tmp_path / "slicer.py").write_text("")
    package = make_package(tmp_path, "import slicer\n")
    assert loaded_by(package, []) == {"slicer"}


def test_the_engine_imports_its_dependencies_alone() -> None:
    cohort = ENGINE / "cohort"
    assert strangers_in(each for each in ENGINE.rglob("*.py") if each.parent != cohort) == set()
    assert strangers_in(cohort.glob("*.py")) == COHORT


def test_a_screening_loads_none_of_the_libraries_of_a_cohort() -> None:
    script = "import sys, ctscreener.command, ctscreener.screening; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ENGINE.parent)},
        timeout=120,
    )
    assert COHORT & set(ended.stdout.split()) == set()


def test_an_import_inside_a_function_would_be_caught(tmp_path: Path) -> None:
    package = make_package(tmp_path, "def f():\n    from training.run import main\n    main()\n")
    assert strangers_in(package.rglob("*.py")) == {"training"}
