"""What Slicer builds, loads and lists: the files, the names in the `.ui` file, the metadata."""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from ctscreener.version import VERSION
from ScreenerSlicerLib.scene import sample_data
from Testing.module.opened import ROOT, Opened

FOLDER = ROOT / "ScreenerSlicer"
LIBRARY = FOLDER / "ScreenerSlicerLib"
UI = FOLDER / "Resources" / "UI" / "ScreenerSlicer.ui"
NAME = "CTAnomalyScreener"
# What the index's reviewers let a module import when it is loaded, and this extension's own.
SHIPPED = {"slicer", "vtk", "vtkmodules", "numpy", "scipy", "SimpleITK"}
OURS = {"ctscreener", "ScreenerSlicerLib", "ScreenerSlicer"}


def list_in_cmake(name: str) -> set[str]:
    """The files of a list in the module's `CMakeLists.txt`."""
    text = (FOLDER / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf"set\({name}\n(.*?)\n\s*\)", text, re.DOTALL)
    assert found
    lines = [line.strip() for line in found[1].splitlines()]
    assert len(lines) == len(set(lines)), "a file is listed twice"
    return {line.replace("${MODULE_NAME}", "ScreenerSlicer") for line in lines}


def files(*patterns: str) -> set[str]:
    found = {file for pattern in patterns for file in FOLDER.glob(pattern) if file.is_file()}
    return {file.relative_to(FOLDER).as_posix() for file in found}


def metadata() -> dict[str, str]:
    """What the index's checker reads of the extension: quoted texts, one a line."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    return dict(re.findall(r'^set\((\w+) "([^"]*)"\)$', text, re.MULTILINE))


def entry() -> dict[str, object]:
    return json.loads((ROOT / f"{NAME}.json").read_text(encoding="utf-8"))


def imports_when_loaded(file: Path) -> Iterator[str]:
    """Top-level names that a file imports outside of its functions."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif not isinstance(node, ast.FunctionDef) and not is_never_loaded(node):
            waiting.extend(ast.iter_child_nodes(node))


def is_never_loaded(node: ast.AST) -> bool:
    """Whether it is there for type checkers alone."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def test_every_script_is_packaged() -> None:
    on_disk = files("*.py", "ScreenerSlicerLib/**/*.py", "ctscreener/**/*.py")
    assert list_in_cmake("MODULE_PYTHON_SCRIPTS") == on_disk


def test_every_resource_is_packaged() -> None:
    assert list_in_cmake("MODULE_PYTHON_RESOURCES") == files("Resources/**/*")


def test_nothing_but_what_slicer_ships_is_imported_when_the_module_is_loaded() -> None:
    allowed = SHIPPED | OURS | set(sys.stdlib_module_names)
    for file in LIBRARY.rglob("*.py"):
        panel = {"qt", "ctk"} if file.parent.name == "panel" else set()
        assert set(imports_when_loaded(file)) <= allowed | panel, file.name
    assert set(imports_when_loaded(FOLDER / "ScreenerSlicer.py")) <= allowed


def test_an_import_in_the_wrong_place_would_be_noticed(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("import os\nclass A:\n    import torch\ndef f():\n    import pydicom\n")
    assert set(imports_when_loaded(file)) == {"os", "torch"}


def test_parameters_and_widgets_name_each_other(opened: Opened) -> None:
    properties = ElementTree.parse(UI).iter("property")
    bound = [
        one.findtext("string") for one in properties if one.get("name") == "SlicerParameterName"
    ]
    assert len(bound) == len(set(bound))
    assert set(bound) == set(opened.parameters.allParameters)


def test_every_widget_that_the_code_uses_is_there_and_back() -> None:
    named = {one.get("name") for one in ElementTree.parse(UI).iter("widget")}
    code = "".join(
        file.read_text(encoding="utf-8")
        for file in [FOLDER / "ScreenerSlicer.py", *LIBRARY.glob("panel/*.py")]
    )
    used = set(re.findall(r"\b(?:self\.)?_?ui\.(\w+)", code))
    used |= set(re.findall(r'"(\w+(?:Slider|Range|Button|Box|Spin))"', code))
    assert used <= named
    passive = {"ScreenerSlicer", "heatMapButton", "findingsButton", "exportButton", "aboutLabel"}
    passive |= {"batchButton", "modelButton", "installationButton", "aboutButton", "scanButton"}
    bound = {
        one.get("name")
        for one in ElementTree.parse(UI).iter("widget")
        for value in one.findall("property")
        if value.get("name") == "SlicerParameterName"
    }
    titles = {name for name in named if name and name.endswith("Title")}
    assert named - used - bound - titles - passive == set()


def test_every_mrml_widget_gets_the_scene() -> None:
    tree = ElementTree.parse(UI)
    wanting = {
        one.get("name") for one in tree.iter("widget") if "qMRMLNode" in one.get("class", "")
    }
    assert {one.findtext("receiver") for one in tree.iter("connection")} == wanting


def test_the_extension_is_described_as_the_index_wants_it() -> None:
    about = metadata()
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f"project({NAME})" in text
    assert not NAME.startswith("Slicer")
    assert "Research use only" in about["EXTENSION_DESCRIPTION"]
    assert about["EXTENSION_DEPENDS"] == "PyTorch"
    assert about["EXTENSION_CONTRIBUTORS"]
    assert (ROOT / "LICENSE").is_file()


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_that_the_index_shows_are_in_the_repository(name: str) -> None:
    place = metadata()[name]
    owner = str(entry()["scm_url"]).removeprefix("https://github.com/")
    start = f"https://raw.githubusercontent.com/{owner}/main/"
    assert place.startswith(start)
    picture = Image.open(ROOT / place.removeprefix(start))
    assert picture.format == "PNG"
    if name == "EXTENSION_ICONURL":
        assert picture.size == (128, 128)


def test_the_sample_is_the_one_that_slicer_will_check() -> None:
    file = sample_data.sample_file()
    assert file is not None
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"SHA256:{found}" == sample_data.CHECKSUM


def test_the_module_says_what_it_is(opened: Opened) -> None:
    module = opened.host.app.moduleManager().module("ScreenerSlicer")
    assert module.title == "Screener (CT anomaly map)"
    assert list(module.categories) == ["Segmentation"]
    assert "not for diagnosis" in module.helpText
    assert "2502.08321" in module.acknowledgementText
    assert not module.icon.isNull()
    opened.host.click(opened.ui.installationButton)
    opened.host.click(opened.ui.checkButton)
    assert f"Screener {VERSION}" in opened.ui.reportText.plainText
