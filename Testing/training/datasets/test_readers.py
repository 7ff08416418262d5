"""The list of readers, NAME:FOLDER, and groups of patients."""

import re
from pathlib import Path

import pytest

from ctscreener.errors import InputError
from Testing.training.datasets import test_kits, test_nlst
from training.data.sources import find_sources
from training.datasets.readers import READERS, Named, group_of, named, recognised
from training.evaluation.cases import find_cases


def kits_of(folder: Path, count: int) -> Path:
    """Cases of KiTS of which nothing is read."""
    for number in range(count):
        case = folder / f"case_{number:05}"
        case.mkdir(parents=True)
        (case / "imaging.nii.gz").touch()
        (case / "segmentation.nii.gz").touch()
    return folder


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_missing_folder_says_where_to_get_the_set(reader, tmp_path: Path) -> None:  # noqa: ANN001
    with pytest.raises(InputError) as error:
        list(Named(reader, tmp_path / "gone").examples())
    assert error.value.code == "datasets.missing"
    for fact in (reader.source, reader.size, reader.licence.name, reader.command):
        assert fact.split(", ")[0] in str(error.value)
    assert reader.name not in ("", "any", "check")
    assert re.fullmatch(r"[a-z0-9-]+", reader.name)
    assert len(reader.title) < 90


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("own",)])
def test_another_folder_says_what_it_should_hold(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    if name == "lits-paper":
        return
    with pytest.raises(InputError, match="found none of it") as error:
        list(Named(READERS[name], tmp_path).examples())
    assert error.value.code == "datasets.layout"
    assert recognised(tmp_path) is None


def test_a_name_or_the_look_of_a_folder_tells_the_set(tmp_path: Path) -> None:
    kits = kits_of(tmp_path / "kits", 3)
    for path in (Path(f"kits:{kits}"), kits):
        asked = named(path)
        assert asked is not None
        assert (asked.reader.name, asked.folder) == ("kits", kits)
    assert named(tmp_path) is None
    assert named(tmp_path / "gone.nii.gz") is None
    assert named(Path("C:/scans")) is None
    (tmp_path / "a:b").mkdir()
    assert named(tmp_path / "a:b") is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("kitz:/data", "datasets.name"),
        ("lidc,readers:/data", "datasets.option"),
        ("lidc,readers=two:/data", "datasets.option"),
        ("kits,readers=2:/data", "datasets.option"),
        ("kits,fold=6of5:/data", "datasets.option"),
        ("kits,split=:/data", "datasets.option"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, code: str) -> None:
    with pytest.raises(InputError) as error:
        named(Path(text))
    assert error.value.code == code


def test_groups_part_patients_not_scans(tmp_path: Path) -> None:
    folder = kits_of(tmp_path / "kits", 40)
    (folder / "case_00007" / "segmentation.nii.gz").unlink()

    def names(option: str) -> set[str]:
        asked = named(Path(f"kits,{option}:{folder}"))
        assert asked is not None
        return {example.name for example in asked.examples()}

    folds = [names(f"fold={number}of4") for number in (1, 2, 3, 4)]
    assert sum(map(len, folds)) == len(set().union(*folds)) == 40
    assert names("but=2of4") == set().union(*folds) - folds[1]
    assert names("split=test") == {"case_00007"}
    assert names("split=train,fold=2of4") == folds[1] - {"case_00007"}
    assert len({group_of("a", 5), group_of("a", 5)}) == 1


def test_sources_and_cases_know_set_and_patient(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00003")
    test_kits.write(tmp_path / "kits" / "case_00004", None)
    test_nlst.write(tmp_path / "nlst")
    kits = Path(f"kits:{tmp_path / 'kits'}")
    sources = find_sources([kits, Path(f"nlst:{tmp_path / 'nlst'}")])
    found = {source.name: (source.dataset, source.licence) for source in sources}
    assert found == {
        "case_00003": ("kits", "CC BY-NC-SA 4.0"),
        "case_00004": ("kits", "CC BY-NC-SA 4.0"),
        "100012": ("nlst", "CC BY 4.0"),
    }
    (case,) = find_cases([kits])
    assert (case.part, case.label, case.patient, case.dataset) == ("kits", 2, "case_00003", "kits")
    (case,) = find_cases([Path(f"kits,but=1of1000:{tmp_path / 'kits'}")])
    assert case.part == "kits,but=1of1000"
    with pytest.raises(InputError, match="nothing, as it has none") as error:
        find_cases([Path(f"nlst:{tmp_path / 'nlst'}")])
    assert error.value.code == "evaluate.no_lesions"
