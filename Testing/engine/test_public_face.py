"""The public face: every name is there, typed, and loaded no sooner than it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ctscreener
from Testing.engine.command_line import environment

MOST_SECONDS = 0.2


def ran(script: str) -> str:
    """What a fresh Python prints that runs a script."""
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
        timeout=120,
    ).stdout


@pytest.mark.parametrize(
    "line",
    [
        "import ctscreener",
        "from ctscreener.command import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_starting_is_quick_and_loads_nothing_heavy(line: str) -> None:
    # The processor's seconds, Python's own start included: others on the machine do not count.
    script = f"import sys, time\n{line}\nprint(sorted(sys.modules))\nprint(time.process_time())"
    modules, seconds = ran(script).splitlines()[-2:]
    assert not {"torch", "numpy", "scipy", "PIL"} & set(ast.literal_eval(modules))
    assert float(seconds) < MOST_SECONDS


def test_every_name_is_loaded_when_it_is_used() -> None:
    for name in ctscreener.__all__:
        assert getattr(ctscreener, name) is not None
    assert set(ctscreener.__all__) <= set(dir(ctscreener))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ctscreener.no_such_name


def test_type_checkers_see_the_names_that_are_loaded() -> None:
    source = Path(ctscreener.__file__)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(ctscreener.__all__) <= set(imported)
    homes = {name: f"ctscreener.{module}" for name, module in ctscreener._HOMES.items()}
    assert {name: imported[name] for name in homes} == homes
    assert (source.parent / "py.typed").is_file()


@pytest.mark.parametrize("before", ["", "import ctscreener.screening, ctscreener.scan\n"])
def test_screen_is_the_function_whatever_was_imported_before(before: str) -> None:
    script = before + "from ctscreener import Scan, screen; print(callable(screen), Scan.__name__)"
    assert ran(script).split() == ["True", "Scan"]
