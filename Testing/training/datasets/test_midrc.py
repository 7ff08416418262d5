"""MIDRC-RICORD-1a: polygons of MD.ai on the images that they name."""

import json
from pathlib import Path
from typing import Any

import pytest

from ctscreener.errors import InputError
from Testing.training.datasets.fabricated import Series, check_places, read, write_series
from training.datasets.midrc import READER

NAME = "MIDRC-RICORD-1a_annotations_labelgroup_all_2020-Dec-8.json"


def annotations(series: Series) -> dict[str, Any]:
    def one(image: str, label: str, data: object) -> dict[str, Any]:
        return {
            "SeriesInstanceUID": series.uid,
            "SOPInstanceUID": image,
            "labelId": label,
            "data": data,
        }

    found = [
        one(image, "L_2", {"vertices": points.tolist()}) for image, points in series.outlines()
    ]
    # An annotation of an image without an outline, and one of a study.
    corner = {"vertices": [[0, 0], [6, 0], [6, 6], [0, 6]]}
    found += [one(series.images[0], "L_1", None), one(series.images[0], "L_9", corner)]
    labels = [
        {"id": "L_1", "name": "Atelectasis", "scope": "INSTANCE"},
        {"id": "L_2", "name": "Infectious opacity", "scope": "INSTANCE"},
        {"id": "L_9", "name": "Typical appearance", "scope": "STUDY"},
    ]
    return {
        "labelGroups": [{"id": "G_1", "name": "all", "labels": labels}],
        "datasets": [{"id": "D_1", "name": "1a", "annotations": found, "studies": []}],
    }


def write(folder: Path) -> Series:
    patient = folder / "MIDRC-RICORD-1A" / "MIDRC-RICORD-1A-419639-000082" / "08-02-2002-CT"
    series = write_series(patient / "2.000000-ROUTINE-68494")
    write_series(patient / "3.000000-LUNG-11111", "1.2.826.77.2")
    (folder / NAME).write_text(json.dumps(annotations(series)))
    return series


def test_findings_are_where_they_were_outlined(tmp_path: Path) -> None:
    write(tmp_path)
    assert READER.fits(tmp_path)
    outlined, other = READER.examples(tmp_path)
    assert outlined.patient == other.patient == "MIDRC-RICORD-1A-419639-000082"
    assert outlined.name != other.name
    # Nobody annotated the other series: it is no scan without findings.
    assert other.mask is None
    scan, labels = read(READER, outlined)
    check_places(scan, labels, lesion=1)


def test_polygons_on_other_images_and_other_json_are_told(tmp_path: Path) -> None:
    series = write(tmp_path)
    content = annotations(series)
    content["datasets"][0]["annotations"][0]["SOPInstanceUID"] = "1.2.3"
    (tmp_path / NAME).write_text(json.dumps(content))
    example = next(READER.examples(tmp_path))
    from training.datasets import midrc

    midrc.outlines.cache_clear()
    with pytest.raises(InputError, match="not in the series") as error:
        read(READER, example)
    assert error.value.code == "datasets.annotation"
    (tmp_path / NAME).write_text('{"datasets": []}')
    midrc.outlines.cache_clear()
    with pytest.raises(InputError, match="labelGroups"):
        list(READER.examples(tmp_path))
