"""Files that lie in Slicer's own folder, which slicer-core has not: colours and terminologies.

They are look-alikes under Slicer's names, so that node IDs such as
`vtkMRMLColorTableNodeFileViridis.txt` exist and the logics start without complaint. A table's
colours agree with Slicer's roughly; a terminology holds one type of tissue and no more.
"""

import json
from pathlib import Path

import numpy as np

ANCHORS = {
    "Inferno": [(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)],
    "Magma": [(0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191)],
    "Plasma": [(13, 8, 135), (126, 3, 168), (204, 71, 120), (248, 149, 64), (240, 249, 33)],
    "Viridis": [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)],
    "ColdToHotRainbow": [(0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)],
}
"""Colours at 0, 1/4, 1/2, 3/4 and 1."""
LABELS = ("GenericColors", "GenericAnatomyColors")
LABEL_LINES = ["0 background 0 0 0 0", "1 one 128 174 128 255", "2 two 241 214 145 255"]
SEGMENT_FILES = (
    "SegmentationCategoryTypeModifier-SlicerGeneralAnatomy",
    "SegmentationCategoryTypeModifier-DICOM-Master",
)
REGION_FILE = "AnatomicRegionAndModifier-DICOM-Master"
SCHEMAS = "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas"
TISSUE = {"CodeMeaning": "Tissue", "CodingSchemeDesignator": "SCT", "CodeValue": "85756007"}


def write_colours(folder: Path) -> None:
    """Write every colour table into a folder that does not exist yet."""
    folder.mkdir(parents=True)
    for name, anchors in ANCHORS.items():
        write_table(folder, name, ramp(name, np.array(anchors)))
    for name in LABELS:
        write_table(folder, name, LABEL_LINES)


def ramp(name: str, anchors: np.ndarray) -> list[str]:
    """The lines of 256 colours between evenly spaced anchors, `(N, 3)` of 0 to 255."""
    places = np.linspace(0, len(anchors) - 1, 256)
    columns = [np.interp(places, range(len(anchors)), channel) for channel in anchors.T]
    rows = np.rint(np.stack(columns, axis=1)).astype(int).tolist()
    return [
        f"{i} {name}_{i} {red} {green} {blue} 255" for i, (red, green, blue) in enumerate(rows)
    ]


def write_table(folder: Path, name: str, lines: list[str]) -> None:
    """Write one table: a comment, then number, name, red, green, blue and opacity a line."""
    (folder / f"{name}.txt").write_text("\n".join([f"# {name}", *lines, ""]), encoding="ascii")


def write_terminologies(folder: Path) -> None:
    """Write the terminologies that Slicer loads when it starts, each with one entry."""
    folder.mkdir(parents=True)
    category = {**TISSUE, "Type": [{**TISSUE, "recommendedDisplayRGBValue": [128, 174, 128]}]}
    for name in SEGMENT_FILES:
        content = {
            "SegmentationCategoryTypeContextName": name,
            "@schema": f"{SCHEMAS}/segment-context-schema.json#",
            "SegmentationCodes": {"Category": [category]},
        }
        write_terminology(folder, name, content)
    regions = {
        "AnatomicContextName": REGION_FILE,
        "@schema": f"{SCHEMAS}/anatomic-context-schema.json#",
        "AnatomicCodes": {"AnatomicRegion": [TISSUE]},
    }
    write_terminology(folder, REGION_FILE, regions)


def write_terminology(folder: Path, name: str, content: dict[str, object]) -> None:
    """Write one terminology."""
    path = folder / f"{name}.term.json"
    path.write_text(json.dumps(content), encoding="utf-8")
