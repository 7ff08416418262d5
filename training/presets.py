"""Presets: settings of the stages for two cores, for one graphics card, and as in the paper."""

from ctscreener.networks import NetworkSettings
from training.condition import ConditionSettings
from training.crops import CropSettings
from training.descriptor import ContrastSettings, DescriptorSettings
from training.loop import LoopSettings
from training.masking import MaskSettings

# Two CPU cores, minutes: coarser networks, small crops and a narrow expander.
_TINY_LOOP = LoopSettings(steps=2_000, lr=1e-3, warmup=100, average=0.99)
# One graphics card, about an hour.
_SMALL_LOOP = LoopSettings(steps=20_000, lr=1e-3, warmup=1_000, workers=8)
# Goncharov et al., arXiv 2502.08321, appendix: one H100 for three days.
_PAPER_LOOP = LoopSettings(workers=12)

DESCRIPTOR = {
    "tiny": DescriptorSettings(
        network=NetworkSettings(channels=(32, 64, 128), blocks=1, stem=(2, 2, 2), out=32),
        crops=CropSettings(size=(32, 48, 48), pairs=8, positions=2048),
        contrast=ContrastSettings(width=1024),
        loop=_TINY_LOOP,
        in_memory=True,
    ),
    "small": DescriptorSettings(
        network=NetworkSettings(channels=(32, 64, 128, 256), blocks=2, out=32),
        crops=CropSettings(size=(64, 96, 96), pairs=8, positions=8192),
        contrast=ContrastSettings(width=2048),
        loop=_SMALL_LOOP,
    ),
    "paper": DescriptorSettings(loop=_PAPER_LOOP),
}

CONDITION = {
    "tiny": ConditionSettings(
        network=NetworkSettings(
            channels=(32, 64, 128), blocks=1, stem=(2, 2, 2), out=32, inputs=2
        ),
        crops=CropSettings(size=(32, 48, 48), scale=(1.0, 2.0), pairs=8, positions=2048),
        masks=MaskSettings(chance=0.9),
        contrast=ContrastSettings(width=1024),
        loop=_TINY_LOOP,
        in_memory=True,
    ),
    "small": ConditionSettings(
        network=NetworkSettings(
            channels=(32, 64, 128, 256), blocks=2, stem=(2, 2, 2), out=32, inputs=2
        ),
        crops=CropSettings(size=(64, 96, 96), scale=(0.8, 2.0), pairs=8, positions=8192),
        masks=MaskSettings(chance=0.5, least=(8, 12, 12), largest=(24, 36, 36)),
        contrast=ContrastSettings(width=2048),
        loop=_SMALL_LOOP,
    ),
    "paper": ConditionSettings(loop=_PAPER_LOOP),
}
