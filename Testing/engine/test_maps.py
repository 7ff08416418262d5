"""Maps in files: on the grid of their scan, whole or not there."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from ctscreener.errors import InputError
from ctscreener.files import write_map
from ctscreener.itk import from_image
from Testing.engine.random_affine import random_affine


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
@pytest.mark.parametrize("seed", range(3))
def test_a_map_is_written_on_exactly_the_grid_of_its_scan(
    tmp_path: Path, rng: np.random.Generator, ending: str, seed: int
) -> None:
    affine = random_affine(seed, left_handed=seed == 1)
    values = rng.normal(size=(5, 6, 7))
    values[0] = np.nan
    write_map(tmp_path / f"anomaly{ending}", values, affine)
    if ending == ".nrrd":
        found, back = from_image(sitk.ReadImage(str(tmp_path / "anomaly.nrrd")))
    else:
        # ITK reads NaN in NIfTI files as 0; nibabel does not.
        image = nib.load(tmp_path / "anomaly.nii.gz")
        found, back = np.asarray(image.dataobj).T, image.affine[:, [2, 1, 0, 3]]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.astype(np.float32))
    np.testing.assert_allclose(back, affine, atol=1e-6 if ending == ".nrrd" else 1e-4)
    assert [path.name for path in tmp_path.iterdir()] == [f"anomaly{ending}"]


def test_a_map_takes_a_name_of_a_format_we_write(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_map(tmp_path / "anomaly.png", np.zeros((2, 2, 2)), np.eye(4))
    assert caught.value.code == "output.format"


WRITE_WITH_LITTLE_ROOM = """
import resource, sys
from pathlib import Path
import numpy as np
from ctscreener.errors import InputError
from ctscreener.files import write_map
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_map(Path(sys.argv[1]), np.random.default_rng(0).normal(size=(40, 40, 40)), np.eye(4))
except InputError as failure:
    print(failure.code)
"""


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
def test_nothing_is_left_of_a_map_that_does_not_fit(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"anomaly{ending}"
    path.write_text("an older map")
    told = subprocess.run(
        [sys.executable, "-c", WRITE_WITH_LITTLE_ROOM, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert told.stdout == "output.unwritable\n"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "an older map"


@pytest.mark.parametrize("folder", ["missing", "a_file"])
def test_a_folder_that_takes_no_file_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "a_file").write_text("")
    with pytest.raises(InputError, match=folder) as caught:
        write_map(tmp_path / folder / "anomaly.nrrd", np.zeros((2, 2, 2)), np.eye(4))
    assert caught.value.code == "output.unwritable"
