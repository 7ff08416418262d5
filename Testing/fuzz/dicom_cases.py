"""DICOM series with something wrong in them, or something odd, and pydicom's reading of each.

`write_case` writes a small series and spoils it; `independent` reads a folder again by pydicom
alone. Whatever was done: the engine either gives just what `independent` gives, or refuses. Where
`independent` gives None there is no volume, and the engine has to refuse.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.uid import CTImageStorage

from Testing.fuzz.dicom_reading import independent
from Testing.fuzz.dicom_series import SYNTAXES, Slices, as_enhanced, make_series, save

__all__ = ["independent", "write_case"]

Rng = np.random.Generator
TEXTS = ("", "0", "-1", "1e9", "nan", "1\\2", "0\\0\\0", "\x1b[31m", "x" * 70)
TAGS = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"),
    *("RescaleIntercept", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation", "PixelData"),
    *("Modality", "ImageType", "SeriesInstanceUID", "AcquisitionNumber", "InstanceNumber"),
)


def write_case(folder: Path, rng: Rng) -> str:
    """Write a series with one thing changed.

    Arguments:
        folder: Made if it is not there.
        rng: What is random in it.

    Returns:
        What was changed, in a few words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    syntax = SYNTAXES[rng.integers(len(SYNTAXES))]
    slices = make_series(rng)
    name = str(rng.choice([*IN_SLICES, *IN_FILES]))
    if name in IN_SLICES:
        IN_SLICES[name](slices, rng)
    several = bool(rng.random() < 0.3) and name in ("nothing", *IN_FILES)
    files = [as_enhanced(slices)] if several else slices
    for number, data in enumerate(files):
        save(data, folder / f"{rng.integers(10**6):06}-{number}.dcm", syntax)
    if name in IN_FILES:
        IN_FILES[name](folder, rng)
    return f"{name} ({'enhanced, ' if several else ''}{syntax.name})"


def _some(slices: Slices, rng: Rng) -> int:
    """Pick a slice, the ends as often as all between."""
    last = len(slices) - 1
    return (0, last, int(rng.integers(1, last)))[rng.integers(3)]


def _short_pixels(slices: Slices, rng: Rng) -> None:
    data = slices[_some(slices, rng)]
    data.PixelData = data.PixelData[: 2 * int(rng.integers(len(data.PixelData) // 2))]


def _other_size(slices: Slices, rng: Rng) -> None:
    for data in slices[len(slices) - int(rng.integers(1, 12)) :]:
        values = np.frombuffer(data.PixelData, "<u2").reshape(data.Rows, data.Columns)[:-2, :-2]
        data.Rows, data.Columns = values.shape
        data.PixelData = values.tobytes()


def _eight_bits(slices: Slices, rng: Rng) -> None:
    data = slices[_some(slices, rng)]
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(np.uint8).tobytes()


def _monochrome1(slices: Slices, rng: Rng) -> None:
    slices[_some(slices, rng)].PhotometricInterpretation = "MONOCHROME1"


def _other_rescale(slices: Slices, rng: Rng) -> None:
    data = slices[_some(slices, rng)]
    if rng.random() < 0.5:
        data.RescaleIntercept = 7
    else:
        del data.RescaleIntercept


def _without(slices: Slices, rng: Rng) -> None:
    delattr(slices[_some(slices, rng)], TAGS[rng.integers(len(TAGS))])


def _odd_text(slices: Slices, rng: Rng) -> None:
    data = slices[_some(slices, rng)]
    element = data[TAGS[rng.integers(len(TAGS))]]
    if element.VR in ("US", "OW"):
        element.value = int(rng.integers(65536)) if element.VR == "US" else b"ab"
        return
    # As bytes: pydicom would not write what is no number.
    element.VR = "UN"
    element.value = TEXTS[rng.integers(len(TEXTS))].encode()


def _interleaved(slices: Slices, rng: Rng) -> None:
    tag = str(rng.choice(["AcquisitionNumber", "ContentTime", "TemporalPositionIdentifier"]))
    values = ["101010", "111213"] if tag == "ContentTime" else [1, 2]
    for index, data in enumerate(slices):
        setattr(data, tag, values[index % 2])
        if index % 2:
            raw = np.frombuffer(data.PixelData, "<u2")
            data.PixelData = ((raw + 1) & ((1 << data.BitsStored) - 1)).astype("<u2").tobytes()


def _stepwise(slices: Slices, rng: Rng) -> None:
    for index, data in enumerate(slices):
        data.AcquisitionNumber = 1 + index // 3


def _missing(slices: Slices, rng: Rng) -> None:
    del slices[_some(slices, rng)]


def _moved(slices: Slices, rng: Rng) -> None:
    data = slices[_some(slices, rng)]
    data.ImagePositionPatient = (
        np.array(data.ImagePositionPatient, float) + rng.normal(0, 2, 3)
    ).tolist()


def _rounded(slices: Slices, rng: Rng) -> None:
    for data in slices:
        data.ImagePositionPatient = [round(float(x), 1) for x in data.ImagePositionPatient]


def _skewed(slices: Slices, rng: Rng) -> None:
    off = float(rng.choice([1e-4, 2e-3, 0.1]))
    for data in slices:
        turned = np.array(data.ImageOrientationPatient, float) + [off, off, 0, 0, 0, 0]
        data.ImageOrientationPatient = [f"{x:.9f}" for x in turned]


def _scouts(slices: Slices, rng: Rng) -> None:
    slices[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def _one_of(folder: Path, rng: Rng) -> Path:
    """Pick a file."""
    files = sorted(folder.glob("*.dcm"))
    return files[rng.integers(len(files))]


def _cut(folder: Path, rng: Rng) -> None:
    path = _one_of(folder, rng)
    path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])


def _flipped(folder: Path, rng: Rng) -> None:
    path = _one_of(folder, rng)
    content = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(128, min(len(content), 1000)))
        content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def _claims(folder: Path, rng: Rng) -> None:
    """Let an element claim up to 4 GB: its length is found by what UN is written with."""
    path = _one_of(folder, rng)
    content = path.read_bytes()
    start = content.find(CTImageStorage.encode(), 200) - 8
    claim = int(rng.integers(1 << 20, 1 << 32)).to_bytes(4, "little")
    element = b"\x09\x00\x10\x10UN\0\0" + claim
    path.write_bytes(content[: max(start, 132)] + element + content[max(start, 132) :])


def _copied(folder: Path, rng: Rng) -> None:
    shutil.copy(_one_of(folder, rng), folder / "copy.dcm")


def _moved_away(folder: Path, rng: Rng) -> None:
    """Move a file out of the folder and leave a link, or a link to nothing."""
    path = _one_of(folder, rng)
    (folder / "below").mkdir()
    target = folder / "below" / path.name
    path.rename(target)
    if rng.random() < 0.5:
        target.rename(folder / "below" / "notes.txt")
        path.symlink_to("below/gone.dcm")


IN_SLICES: dict[str, Callable[[Slices, Rng], None]] = {
    "nothing": lambda slices, rng: None,
    "short pixels": _short_pixels,
    "other size at the end": _other_size,
    "8 bits": _eight_bits,
    "MONOCHROME1": _monochrome1,
    "other rescale": _other_rescale,
    "without a tag": _without,
    "odd value": _odd_text,
    "interleaved": _interleaved,
    "acquired step by step": _stepwise,
    "slice missing": _missing,
    "slice moved": _moved,
    "positions rounded": _rounded,
    "directions skewed": _skewed,
    "scout": _scouts,
}
IN_FILES: dict[str, Callable[[Path, Rng], None]] = {
    "cut short": _cut,
    "bits flipped": _flipped,
    "claims bytes": _claims,
    "copy": _copied,
    "link": _moved_away,
}
