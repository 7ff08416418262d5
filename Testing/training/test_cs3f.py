"""CS3F: cubes of slices along three axes, counterparts in other scans, coarse before fine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import one_scan, prepared, random_features, scores_of, with_lump
from training.baselines.cs3f import Cs3fSettings, Cubes, build
from training.baselines.folder import load_folder
from training.baselines.method import RunSettings
from training.baselines.stage import main


def settings_for(folder: Path) -> Cs3fSettings:
    """A small one."""
    return Cs3fSettings(
        features=random_features(folder), tile=(8, 16, 16), fine=(2, 2, 2), projection=16
    )


def test_cubes_see_slices_along_all_three_axes(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    rival = build(settings, PreprocessSettings())
    rival.describe.load(settings.features)
    x = torch.rand(1, 1, 8, 16, 16)
    assert rival.tokens(x).shape == (1, 4, 8, 8, 16)
    rival.projection = torch.eye(3 * 64)
    found = rival.tokens(x).split(64, dim=-1)
    # Turned over, axial slices of the tile are coronal ones.
    turned = rival.tokens(x.transpose(2, 3)).transpose(1, 2).split(64, dim=-1)
    for mine, other in ((0, 1), (1, 0)):
        torch.testing.assert_close(turned[mine], found[other], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(found[2], found[1], atol=0.1)
    # And the first view is that of axial slices, averaged in pairs.
    maps = rival.describe.maps(x)
    cubes = [F.adaptive_avg_pool3d(level.movedim(0, 1)[None], (4, 8, 8)) for level in maps]
    expected = F.normalize(torch.cat(cubes, dim=1), dim=1).movedim(1, -1)
    torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=1e-4)


def test_a_cube_is_as_far_as_from_the_nearest_in_the_nearest_scans() -> None:
    generator = torch.Generator().manual_seed(0)
    kept, own = torch.rand(30, 8, 5, generator=generator), torch.arange(30) // 10
    cubes = Cubes(5, 8)
    cubes.fine, cubes.coarse, cubes.scan = kept.half(), kept.mean(1).half(), own
    fine = torch.rand(7, 8, 5, generator=generator)
    # Looking into all coarse cubes is the exhaustive search.
    found = cubes.distances(fine.mean(1), fine, near=10, share=0.7)
    apart = torch.cdist(fine.flatten(0, 1), kept.half().float().flatten(0, 1)).unflatten(
        1, (3, 80)
    )
    nearest = apart.amin(dim=2).sort(dim=1).values[:, :2].mean(dim=1).unflatten(0, (7, 8))
    torch.testing.assert_close(found, nearest, rtol=1e-3, atol=1e-3)
    # Into fewer, nothing is nearer; and a cube that a scan has is found.
    assert (cubes.distances(fine.mean(1), fine, 2, 0.7) >= found - 1e-4).all()
    mine = cubes.distances(kept.mean(1), kept, near=1, share=0.3)
    assert mine.max() < 0.02
    other = Cubes(5, 8)
    other.load_state_dict(cubes.state_dict())
    assert torch.equal(other.fine, cubes.fine)
    assert Cubes(5, 8).distances(fine.mean(1), fine, 2, 0.5).isnan().all()


def test_a_lump_has_no_counterpart_in_other_scans(tmp_path: Path) -> None:
    store = one_scan(tmp_path / "store", "ab")
    settings = replace(
        settings_for(tmp_path), data=RunSettings(store, tmp_path / "run"), smooth=0.0
    )
    assert main("cs3f", settings)
    rival = load_folder(tmp_path / "run" / "fitted").rival
    scan, lump = with_lump(prepared(store))
    scores = scores_of(rival, scan)
    np.testing.assert_array_equal(np.isfinite(scores), scan.body)
    assert np.median(scores[lump & scan.body]) > np.quantile(scores[scan.body & ~lump], 0.8)
