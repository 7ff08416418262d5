"""What a condition knows of what was hidden, measured on small networks that were trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ctscreener.networks import NetworkSettings, UNet
from ctscreener.settings import read_json
from Testing.training.small_store import make_store
from training import condition, descriptor
from training.condition import ConditionStageSettings, measure_leak
from training.data.arrays import write_array
from training.data.augment import JitterSettings
from training.data.crops import CropSettings
from training.data.masking import MaskSettings
from training.data.store import Store
from training.descriptor import ContrastSettings, DescriptorSettings
from training.loop.loop import LoopSettings

SHAPE = (24, 60, 60)
STEPS = 40
NETWORK = NetworkSettings(channels=(8, 16, 16), out=8)


def write_slopes(folder: Path) -> None:
    """Scans whose grey values rise with the position, with a grain that nothing foretells."""
    make_store(folder, {"a": SHAPE, "b": SHAPE})
    d, h, w = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    slope = 60 * np.sin(2 * np.pi * h / 60) + 60 * np.cos(2 * np.pi * w / 60) + d
    for seed, name in enumerate("ab"):
        grain = np.random.default_rng(seed).integers(-50, 50, [-(-n // 3) for n in SHAPE])
        grown = grain.repeat(3, 0).repeat(3, 1).repeat(3, 2)[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
        write_array(folder / f"{name}.image.b2nd", (128 + slope * 0.6 + grown).astype(np.uint8))


def test_a_trained_condition_changes_less_under_masking_than_a_descriptor(tmp_path: Path) -> None:
    write_slopes(tmp_path / "store")
    crops = CropSettings(size=(16, 24, 24), scale=(1.0, 1.2), pairs=3, positions=96)
    jitter = JitterSettings(chance=0.3, noise=0.02)
    contrast = ContrastSettings(objective="simclr", width=64, projected=8)
    loop = LoopSettings(
        steps=STEPS, lr=3e-3, warmup=5, average=0.9, precision="32-true", device="cpu"
    )
    masks = MaskSettings(chance=0.8, ratio=0.4, least=(4, 6, 6), largest=(4, 6, 6))
    shared = {"crops": crops, "jitter": jitter, "contrast": contrast, "loop": loop}
    conditioned = ConditionStageSettings(
        tmp_path / "store",
        tmp_path / "condition",
        network=replace(NETWORK, inputs=2),
        masks=masks,
        **shared,
    )
    condition.main(conditioned)
    described = DescriptorSettings(
        tmp_path / "store", tmp_path / "descriptor", network=NETWORK, **shared
    )
    trained = descriptor.main(described)
    network = UNet(NETWORK)
    network.load_state_dict(trained.part("network"))
    store = Store(tmp_path / "store")
    descriptor_leak = measure_leak(network, store, conditioned, inputs=1)
    condition_leak = read_json(tmp_path / "condition" / "leak.json")
    # Trained without masks, the same network changes half as much as the descriptor.
    for place in ("hidden", "visible"):
        assert condition_leak[place] < 0.1 * descriptor_leak[place]
    assert descriptor_leak["hidden"] > 0.3
