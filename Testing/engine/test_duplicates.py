"""Scans that are nearly the same are found, others are not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from ctscreener.duplicates import ALIKE, duplicates, fingerprint, shared
from ctscreener.files import read_scan
from ctscreener.preprocess import PreprocessSettings, prepare


def texture(seed: int, shape: tuple[int, int, int] = (60, 80, 96)) -> np.ndarray:
    """Smooth noise: a made-up patient."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 6)
    return np.uint8(255 * (noise - noise.min()) / np.ptp(noise))


def difference(one: str, two: str) -> float:
    bits = [np.unpackbits(np.frombuffer(bytes.fromhex(p), np.uint8)) for p in (one, two)]
    return float((bits[0] != bits[1]).mean())


def test_noise_spacing_and_window_hardly_change_a_fingerprint_and_patients_do() -> None:
    image = texture(0)
    noisy = np.clip(image + np.random.default_rng(1).normal(0, 12, image.shape), 0, 255)
    changed = [noisy.astype(np.uint8), image[::2], image[:, ::2, ::2], image // 2 + 30]
    mine = fingerprint(image)
    for other in changed:
        assert difference(mine, fingerprint(other)) < ALIKE
    for seed in range(1, 6):
        assert difference(mine, fingerprint(texture(seed))) > 2 * ALIKE


def test_groups_hold_all_that_are_linked_and_empty_fingerprints_are_alone() -> None:
    prints = {f"p{seed}": fingerprint(texture(seed)) for seed in range(5)}
    prints["p3 again"] = fingerprint(texture(3)[::2])
    prints["p3 thrice"] = fingerprint(texture(3)[:, ::2])
    prints |= {"old a": "", "old b": ""}
    assert duplicates(prints) == [["p3", "p3 again", "p3 thrice"]]
    assert duplicates({"one": prints["p0"]}) == []


def test_many_scans_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctscreener.duplicates.ROWS", 3)
    prints = {f"p{seed:02}": fingerprint(texture(seed % 7)) for seed in range(14)}
    groups = duplicates(prints)
    assert groups == [[f"p{seed:02}", f"p{seed + 7:02}"] for seed in range(7)]


@pytest.mark.parametrize("few", [0.0, 1.0], ids=["blocks", "pairs"])
def test_groups_over_several_blocks_are_those_of_all_pairs(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, few: float
) -> None:
    # The second half of the bits is compared by blocks, or pair by pair where few are left.
    monkeypatch.setattr("ctscreener.duplicates.FEW", few)
    codes = rng.integers(0, 256, (40, 40), np.uint8)
    # Chains: each is near the one before, and far from the one before that.
    for k in (7, 19, 33, 38):
        codes[k] = codes[k - 7]
        codes[k].view(np.uint8)[:5] ^= 255
    # Those that differ in every second byte alone, a little too much, and just not.
    for k, most in ((30, 13), (31, 9)):
        codes[k] = codes[k - 28]
        codes[k, 1 : 1 + most : 2] ^= 255
    prints = {f"s{k:02}": code.tobytes().hex() for k, code in enumerate(codes)}
    bits = np.unpackbits(codes, axis=1)
    near = (bits[:, None] != bits[None]).mean(axis=2) < ALIKE
    groups = connected_components(near)[1]
    expected = [[f"s{k:02}" for k in np.flatnonzero(groups == g)] for g in np.unique(groups)]
    monkeypatch.setattr("ctscreener.duplicates.ROWS", 6)
    assert duplicates(prints) == [some for some in expected if len(some) > 1] != []


def test_scans_of_another_set_are_found() -> None:
    mine = {f"p{seed}": fingerprint(texture(seed)) for seed in range(4)}
    theirs = {"t": fingerprint(texture(2)[::2]), "u": fingerprint(texture(9)), "old": ""}
    assert shared(mine, theirs) == [("p2", "t")]
    assert shared(mine, {}) == shared({}, mine) == []


def test_a_real_scan_is_found_again_and_is_no_other_patient(real_scans: Path) -> None:
    settings = PreprocessSettings(spacing=(6.75, 4.5, 4.5))
    prints = {}
    for name in ("lidc_0002", "lidc_0003", "lungdx_a0001"):
        scan = read_scan(real_scans / f"{name}.nii.gz")
        prints[name] = fingerprint(prepare(scan, settings).image)
        if name == "lidc_0002":
            noise = np.random.default_rng(0).normal(0, 20, scan.hu.shape).astype(np.float32)
            again = replace(scan, hu=scan.hu + noise)
            prints["again"] = fingerprint(prepare(again, settings).image)
    assert duplicates(prints) == [["again", "lidc_0002"]]
