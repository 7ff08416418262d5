"""Presets: settings of the stages for two cores, for a card (minutes, an hour), as in the paper."""

from dataclasses import replace

from ctscreener.density import DensitySettings as HeadSettings
from ctscreener.flow import FlowSettings
from ctscreener.networks import NetworkSettings
from ctscreener.student import StudentSettings
from training.ape import ApeSettings
from training.condition import ConditionStageSettings
from training.data.crops import CropSettings
from training.data.masking import MaskSettings
from training.density import DensityStageSettings
from training.descriptor import ContrastSettings, DescriptorSettings
from training.distil import DistilSettings
from training.loop.loop import LoopSettings

# Spacing (D, H, W) in mm of the finer copy that crops are cut from; none has no such copy.
FINE_SPACING = {"tiny": None, "minutes": None, "small": None, "paper": (1.5, 1.0, 1.0)}

# Two CPU cores, minutes: coarser networks, small crops and a narrow expander.
_TINY_LOOP = LoopSettings(steps=2_000, lr=1e-3, warmup=100, average=0.99)
# A few minutes of a rented card: networks that take 4 TFLOP a step, and no wait for anything.
_MINUTES_LOOP = LoopSettings(
    steps=20_000,
    lr=1e-3,
    warmup=150,
    average=0.99,
    workers=6,
    schedule="minutes",
    max_minutes=6.4,
    log_every=20,
    checkpoint_seconds=120,
)
_MINUTES_NETWORK = NetworkSettings(
    channels=(32, 64, 128, 256), blocks=1, stem=(1, 2, 2), out=32, norm="voxel"
)
# One graphics card, about an hour.
_SMALL_LOOP = LoopSettings(steps=20_000, lr=1e-3, warmup=1_000, workers=8)
# Goncharov et al., arXiv 2502.08321, appendix: one H100 for three days.
_PAPER_LOOP = LoopSettings(workers=12)

DESCRIPTOR = {
    "tiny": DescriptorSettings(
        network=NetworkSettings(channels=(32, 64, 128), blocks=1, stem=(2, 2, 2), out=32),
        crops=CropSettings(size=(32, 48, 48), pairs=8, positions=2048),
        contrast=ContrastSettings(width=512),
        loop=_TINY_LOOP,
        in_memory=True,
    ),
    "minutes": DescriptorSettings(
        network=_MINUTES_NETWORK,
        crops=CropSettings(size=(64, 96, 96), pairs=8, positions=8192),
        contrast=ContrastSettings(width=2048),
        loop=_MINUTES_LOOP,
        in_memory=True,
    ),
    "small": DescriptorSettings(
        network=NetworkSettings(channels=(32, 64, 128, 256), blocks=2, out=32),
        crops=CropSettings(size=(64, 96, 96), pairs=8, positions=8192),
        contrast=ContrastSettings(width=2048),
        loop=_SMALL_LOOP,
    ),
    # Voxels of 1.0 to 2.0 mm within the slice: 1.5 mm on average, which a screening has.
    "paper": DescriptorSettings(
        crops=CropSettings(scale=(1.0, 2.0), spread="uniform", grid="fine"), loop=_PAPER_LOOP
    ),
}

CONDITION = {
    "tiny": ConditionStageSettings(
        network=NetworkSettings(
            channels=(32, 64, 128), blocks=1, stem=(2, 2, 2), out=32, inputs=2
        ),
        crops=CropSettings(size=(32, 48, 48), scale=(1.0, 2.0), pairs=8, positions=2048),
        masks=MaskSettings(chance=0.9),
        contrast=ContrastSettings(width=512),
        loop=_TINY_LOOP,
        in_memory=True,
    ),
    "minutes": ConditionStageSettings(
        network=replace(_MINUTES_NETWORK, inputs=2),
        crops=CropSettings(size=(64, 96, 96), scale=(0.8, 2.0), pairs=8, positions=8192),
        masks=MaskSettings(chance=0.9, least=(8, 12, 12), largest=(24, 36, 36)),
        contrast=ContrastSettings(width=2048),
        loop=_MINUTES_LOOP,
        in_memory=True,
    ),
    "small": ConditionStageSettings(
        network=NetworkSettings(
            channels=(32, 64, 128, 256), blocks=2, stem=(2, 2, 2), out=32, inputs=2
        ),
        crops=CropSettings(size=(64, 96, 96), scale=(0.8, 2.0), pairs=8, positions=8192),
        masks=MaskSettings(chance=0.5, least=(8, 12, 12), largest=(24, 36, 36)),
        contrast=ContrastSettings(width=2048),
        loop=_SMALL_LOOP,
    ),
    "paper": ConditionStageSettings(
        crops=CropSettings(scale=(1.0, 2.0), spread="uniform", grid="fine"), loop=_PAPER_LOOP
    ),
}

# Positions vary slowly: coarse networks, and crops that see much of the body.
APE = {
    "tiny": ApeSettings(
        network=NetworkSettings(channels=(32, 64, 128), blocks=1, stem=(2, 4, 4), out=3, inputs=2),
        crops=CropSettings(size=(32, 64, 64), scale=(1.0, 2.0), pairs=4, positions=1024),
        masks=MaskSettings(least=(8, 16, 16), largest=(16, 32, 32)),
        loop=_TINY_LOOP,
        in_memory=True,
    ),
    "minutes": ApeSettings(
        network=replace(_MINUTES_NETWORK, stem=(2, 4, 4), inputs=2, out=3),
        loop=_MINUTES_LOOP,
        in_memory=True,
    ),
    "small": ApeSettings(
        network=NetworkSettings(
            channels=(32, 64, 128, 256), blocks=2, stem=(2, 4, 4), out=3, inputs=2
        ),
        loop=_SMALL_LOOP,
    ),
    # Voxels of 1 to 4 mm within the slice, twice that along it, in the authors' code.
    "paper": ApeSettings(
        crops=CropSettings(
            size=(64, 128, 128), scale=(1.0, 4.0), spread="uniform", positions=4096, grid="fine"
        ),
        loop=_PAPER_LOOP,
    ),
}

# Rounding would add up over the rotations of a flow, which cost next to nothing: no TF32.
DENSITY = {
    "tiny": DensityStageSettings(
        sincos=2,
        head=HeadSettings(flow=FlowSettings(blocks=8, hidden=64)),
        tiles=256,
        # The 3x3x3 convolutions of a conditional Gaussian see little more than what is scored.
        per_step=32,
        block=(8, 8, 8),
        voxels=4096,
        loop=replace(_TINY_LOOP, precision="32-true", tf32=False),
    ),
    "minutes": DensityStageSettings(
        sincos=4,
        head=HeadSettings(flow=FlowSettings(blocks=16, hidden=256)),
        tiles=1024,
        per_step=16,
        block=(16, 16, 16),
        voxels=32_768,
        loop=replace(_MINUTES_LOOP, tf32=False, max_minutes=1.0),
    ),
    "small": DensityStageSettings(
        sincos=4,
        head=HeadSettings(flow=FlowSettings(blocks=16, hidden=256)),
        tiles=4096,
        voxels=32_768,
        loop=replace(_SMALL_LOOP, tf32=False),
    ),
    # The paper scores all 32 x 32 x 32 pooled voxels of its 4 tiles.
    "paper": DensityStageSettings(
        head=HeadSettings(flow=FlowSettings(blocks=64, hidden=512)),
        tiles=16_384,
        per_step=4,
        voxels=4 * 32**3,
        loop=replace(_PAPER_LOOP, steps=500_000, tf32=False),
    ),
}

# As wide as two cores can pay for at a screening: other machines have the teacher itself.
DISTIL = {
    "tiny": DistilSettings(
        tiles=900, per_step=2, loop=replace(_TINY_LOOP, steps=600, watch_every=300)
    ),
    "minutes": DistilSettings(tiles=900, per_step=8, loop=_MINUTES_LOOP),
    "small": DistilSettings(tiles=4096, per_step=8, loop=_SMALL_LOOP),
    "paper": DistilSettings(
        student=StudentSettings(
            network=NetworkSettings(channels=(64, 128, 256), blocks=2, inputs=121)
        ),
        tiles=16_384,
        per_step=16,
        loop=replace(_PAPER_LOOP, steps=100_000, warmup=2_000),
    ),
}
