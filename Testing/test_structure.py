"""Promises about the code as a whole: who imports whom, no circles, a test for each file."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "ctscreener": ROOT / "ScreenerSlicer" / "ctscreener",
    "training": ROOT / "training",
    "ScreenerSlicerLib": ROOT / "ScreenerSlicer" / "ScreenerSlicerLib",
}
SLICER = {"slicer", "qt", "ctk", "vtk", "mrml", "ScreenerSlicerLib"}
TESTS_ALONE = {"sklearn", "monai", "zuko", "nibabel", "hypothesis", "pytest", "Testing"}
QT = {"qt", "ctk"}

Graph = Mapping[str, set[str]]


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, inside its functions too, but not for types alone."""
    nodes: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        nodes += ast.iter_child_nodes(node)


def graph(package: str, folder: Path) -> Graph:
    """Which modules of a package each of its modules imports."""
    files = {
        ".".join([package, *file.relative_to(folder).with_suffix("").parts]): file
        for file in folder.rglob("*.py")
        if file.name != "__init__.py"
    }
    return {name: set(imports(file)) & set(files) - {name} for name, file in files.items()}


def circle(graph: Graph) -> list[str]:
    """Find modules that import each other, in a row; none where there are none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        for other in graph[name] if name not in done else ():
            if found := walk(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := walk(name, []))), [])


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other(package: str) -> None:
    assert circle(graph(package, PACKAGES[package])) == []


def test_a_circle_would_be_caught() -> None:
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def strangers(folder: Path, unwanted: set[str]) -> set[str]:
    """Files of a package that import what they should not."""
    return {
        f"{file.relative_to(folder)}: {name}"
        for file in folder.rglob("*.py")
        for name in imports(file)
        if name.partition(".")[0] in unwanted
    }


def test_training_imports_neither_slicer_nor_what_tests_alone_have() -> None:
    assert strangers(PACKAGES["training"], SLICER | TESTS_ALONE) == set()


def test_qt_is_imported_by_the_panel_alone() -> None:
    folder = PACKAGES["ScreenerSlicerLib"]
    found = strangers(folder, QT)
    assert found
    assert {name for name in found if not name.startswith("panel/")} == set()


def test_the_slicer_side_does_without_training() -> None:
    assert strangers(PACKAGES["ScreenerSlicerLib"], {"training"}) == set()


def test_an_import_inside_a_function_would_be_caught(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "def f():\n    from sklearn import metrics\n    return metrics\n"
    )
    assert strangers(tmp_path, TESTS_ALONE) == {
        "wrong.py: sklearn",
        "wrong.py: sklearn.metrics",
    }


COVERED_BY = {
    "coloured_table": "result_text",
    "device": "command",
    "dicom_elements": "dicom_parser",
    "dicom_line": "dicom",
    "dicom_packed": "dicom_pixels",
    "dicom_phases": "dicom_parts",
    "dicom_tags": "dicom_parser",
    "doctor_command": "doctor",
    "errors": "events",
    "header_text": "nrrd_header",
    "lock": "several_scans",
    "model_limits": "model_description",
    "owner": "whole_file",
    "progress": "screening",
    "provenance": "outputs",
    "rarity_text": "result_text",
    "regions": "body",
    "reporter": "events",
    "score_whole": "encoded",
    "scorer": "encoded",
    "scorers": "student",
    "screened": "notebook",
    "slices": "dicom",
    "stored": "voxels",
    "threads": "command",
    "version": "packaging",
    "weights": "model",
}
"""Files of the engine without a test of their name, and the test that proves what they promise."""


def test_every_file_of_the_engine_has_a_test() -> None:
    tests = {path.stem for path in (ROOT / "Testing" / "engine").glob("test_*.py")}
    files = {path.stem for path in PACKAGES["ctscreener"].glob("[!_]*.py")}
    alone = {name for name in files if f"test_{name}" not in tests}
    assert alone == set(COVERED_BY), "write a test of its name, or say which test covers it"
    assert {f"test_{test}" for test in COVERED_BY.values()} <= tests


REACHED_BY = {
    "ScreenerSlicerLib.batch.reopening": "module/test_batch",
    "ScreenerSlicerLib.export.deposit": "module/test_dicom",
    "ScreenerSlicerLib.export.dicom_files": "slicer/test_dicom_job",
    "ScreenerSlicerLib.export.dicom_worker": "slicer/test_dicom_job",
    "ScreenerSlicerLib.panel": "module/test_story",
    "ScreenerSlicerLib.scene.beyond": "slicer/test_find_again",
    "ScreenerSlicerLib.scene.body_outline": "slicer/test_heat_map",
    "ScreenerSlicerLib.scene.companions": "slicer/test_companions",
    "ScreenerSlicerLib.scene.findings_content": "slicer/test_findings_table",
    "ScreenerSlicerLib.scene.rendering": "slicer/test_heat_map",
    "ScreenerSlicerLib.scene.scans": "slicer/test_batch",
    "ScreenerSlicerLib.scene.side_by_side": "slicer/test_side_by_side",
    "ScreenerSlicerLib.scene.study": "slicer/test_segments",
    "training.baselines.parts.slice_scorer": "training/test_every_rival",
    "training.baselines.tiling": "training/test_every_rival",
    "training.datasets.anatomy": "training/datasets/test_lits",
    "training.datasets.folders": "training/datasets/test_layouts",
    "training.datasets.mri": "training/datasets/test_brain",
    "training.datasets.stage": "training/datasets/test_stages",
    "training.inserted": "training/test_inserted",
    "training.page.table_rows": "training/test_tables",
    "training.loop.flop": "training/test_minutes",
    "training.loop.skipping": "training/test_loop",
    "training.loop.start": "training/test_start",
    "training.phantoms": "training/test_phantoms",
    "training.phantoms.sample": "training/test_phantoms_stage",
}
"""Files, or folders of them, that no test imports, and the test that works through them."""


def reaching(module: str) -> str | None:
    """The entry of `REACHED_BY` for a module: itself, or a folder that it lies in."""
    parts = module.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 1, -1))
    return next((name for name in names if name in REACHED_BY), None)


def test_every_file_of_training_and_of_the_slicer_side_has_a_test() -> None:
    tested = {name for file in (ROOT / "Testing").rglob("*.py") for name in imports(file)}
    packages = ("training", "ScreenerSlicerLib")
    modules = {name for package in packages for name in graph(package, PACKAGES[package])}
    alone = {name: reaching(name) for name in modules - tested}
    missing = sorted(name for name, entry in alone.items() if entry is None)
    assert missing == [], "write a test that imports it, or say which test works through it"
    assert set(alone.values()) == set(REACHED_BY), "what a test imports needs no entry"
    files = [ROOT / "Testing" / f"{test}.py" for test in REACHED_BY.values()]
    assert [file.name for file in files if not file.is_file()] == []
