"""STU-Net's features: names of the public weights, HU as it was trained on, a marginal flow."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ctscreener.encoded import PLAIN
from ctscreener.errors import InputError
from ctscreener.flow import FlowSettings
from Testing.training.rivals import LOOP, fit, one_scan
from training.baselines.parts.stunet import StuNet, StuNetSettings, Up, load_stunet, stunet_file
from training.baselines.stunet import Marginal, StuNetFlowSettings, build
from training.data.patches import PatchSettings
from training.loop.loop import seeded

SIZES = StuNetSettings(channels=(4, 8, 8))


def settings_for(folder: Path) -> StuNetFlowSettings:
    """A small one, of weights in a file."""
    path = folder / "stunet.safetensors"
    if not path.exists():
        with seeded(0):
            save_file(StuNet(SIZES).state_dict(), path)
    return StuNetFlowSettings(
        features=path,
        sizes=SIZES,
        patches=PatchSettings(size=(4, 16, 16), count=2),
        rows=64,
        flow=FlowSettings(blocks=2, hidden=8),
        smooth=0.0,
        loop=LOOP,
    )


def test_the_small_form_has_the_names_and_numbers_of_the_public_one() -> None:
    """14.6 million weights by the authors' table, 105 classes of them left out here."""
    with torch.device("meta"):
        network = StuNet(StuNetSettings())
    count = sum(weight.numel() for weight in network.parameters())
    classes = 105 * sum((16, 32, 64, 128, 256))
    assert (count + classes) / 1e6 == pytest.approx(14.6, abs=0.05)
    names = set(network.state_dict())
    for name in (
        "conv_blocks_context.0.0.conv3.weight",
        "conv_blocks_context.5.0.norm2.bias",
        "upsample_layers.4.conv.bias",
        "conv_blocks_localization.4.0.conv1.weight",
    ):
        assert name in names


def test_it_is_a_unet_with_an_output_at_full_resolution() -> None:
    network = StuNet(SIZES).eval()
    x = torch.randn(1, 1, 8, 16, 16)
    found = network(x)
    assert found.shape == (1, 4, 8, 16, 16)
    kept: list[torch.Tensor] = []
    for stage in network.conv_blocks_context:
        kept.append(stage(kept[-1] if kept else x))
    h = kept[-1]
    for up, stage, skip in zip(
        network.upsample_layers, network.conv_blocks_localization, kept[-2::-1], strict=True
    ):
        assert isinstance(up, Up)
        h = stage(torch.cat([up.conv(F.interpolate(h, scale_factor=2)), skip], dim=1))
    torch.testing.assert_close(found, h)


def test_hu_are_normalized_and_slices_made_finer(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    rival = build(settings, PLAIN)
    load_stunet(rival.network, stunet_file(settings.features))
    hu = torch.randint(-1200, 2000, (1, 1, 4, 16, 16)).float()
    found = rival.features(hu / 255)
    seen = ((hu.clamp(-1004, 1588) + 50.4) / 503.4).repeat_interleave(2, dim=2)
    expected = F.avg_pool3d(rival.network(seen), (4, 2, 2))
    torch.testing.assert_close(found, expected.movedim(1, -1), rtol=1e-3, atol=1e-4)
    rows = torch.randn(20, 4)
    nll = rival.flow.nll(rows, rows[:, :0])
    torch.testing.assert_close(Marginal(rival.flow)(rows)["loss"], nll.mean() / 4)


def test_without_the_public_weights_it_is_refused(tmp_path: Path) -> None:
    settings, store = settings_for(tmp_path), one_scan(tmp_path / "store", "a", plain=True)
    torch.save({"state_dict": {"other": torch.zeros(2)}}, tmp_path / "other.model")
    (tmp_path / "torn.model").write_bytes(b"torn")
    cases = (
        (None, "stunet.missing"),
        (tmp_path / "none", "stunet.missing"),
        (tmp_path / "other.model", "stunet.unfit"),
        (tmp_path / "torn.model", "stunet.unfit"),
    )
    for number, (path, code) in enumerate(cases):
        with pytest.raises(InputError) as error:
            fit("stunet", replace(settings, features=path), store, tmp_path / f"run{number}")
        assert error.value.code == code
    grey = one_scan(tmp_path / "grey")
    with pytest.raises(InputError) as error:
        fit("stunet", settings, grey, tmp_path / "run")
    assert error.value.code == "baseline.grey"


def test_public_weights_are_read_from_what_holds_them(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    first, second = StuNet(SIZES), StuNet(SIZES)
    load_stunet(first, stunet_file(settings.features))
    state = first.state_dict() | {"seg_outputs.0.weight": torch.zeros(3)}
    torch.save({"epoch": 4000, "state_dict": state}, tmp_path / "small.model")
    load_stunet(second, tmp_path / "small.model")
    assert all(torch.equal(v, second.state_dict()[k]) for k, v in first.state_dict().items())
