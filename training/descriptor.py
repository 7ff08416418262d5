"""The descriptor: a network that says what a voxel looks like, whatever scan it is seen in."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch import nn

from ctscreener.errors import InputError
from ctscreener.networks import NetworkSettings, UNet
from ctscreener.settings import write_json
from training.augment import Jitter, JitterSettings, apply_jitter, draw_jitter
from training.crops import CropSettings, Pair, cut_pairs, draw_pair
from training.loop import FREE, LoopSettings, Trained, seeded, train
from training.losses import Expander, Projector, VicregSettings, info_nce, vicreg
from training.settings import claim_run
from training.store import Store


@dataclass(frozen=True)
class ContrastSettings:
    """How two views of a voxel are compared."""

    objective: Literal["vicreg", "simclr"] = "vicreg"
    """VICReg, or SimCLR's InfoNCE."""
    vicreg: VicregSettings = field(default_factory=VicregSettings)
    """Weights of VICReg."""
    width: int = 8192
    """Channels of the expander; SimCLR's projector has a quarter of them in its hidden layers."""
    projected: int = 128
    """Channels of the projector's output (SimCLR)."""
    temperature: float = 0.1
    """Temperature of SimCLR."""
    chunk: int = 2048
    """Rows of SimCLR's similarity matrix at a time: memory against time."""


@dataclass(frozen=True)
class DescriptorSettings:
    """Train the descriptor network on a store."""

    store: Path = Path("store")
    """Folder that the stage `prepare` wrote."""
    run: Path = Path("runs/descriptor")
    """Run folder; a training that stopped goes on from here."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    in_memory: bool = False
    """Hold the whole store unpacked in memory."""
    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(channels=(16, 32, 64, 128, 256, 512), blocks=2)
    )
    """Sizes of the network."""
    crops: CropSettings = field(default_factory=CropSettings)
    """How crops are drawn."""
    jitter: JitterSettings = field(default_factory=JitterSettings)
    """How grey values are changed."""
    contrast: ContrastSettings = field(default_factory=ContrastSettings)
    """How two views of a voxel are compared."""
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = field(default_factory=LoopSettings)
    """How long, how fast and on what to train."""


@dataclass
class Views:
    """The batch of one step as the host loads it.

    Arguments:
        pairs: Pairs of crops.
        jitter: Changes of grey values, first views first.
        masks: 1 visible, 0 hidden, uint8, `(2m, 1, D, H, W)`; None where nothing is hidden.
    """

    pairs: list[Pair]
    jitter: Jitter
    masks: np.ndarray | None = None


class Contrast(nn.Module):
    """A network with a head and a loss that compares two views of the same voxels.

    Arguments:
        network: Sizes of the network.
        settings: Head and loss.
    """

    def __init__(self, network: NetworkSettings, settings: ContrastSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = UNet(network)
        if settings.objective == "vicreg":
            self.head: nn.Module = Expander(network.out, settings.width)
        else:
            self.head = Projector(network.out, settings.width // 4, settings.projected)

    def forward(self, images: torch.Tensor, places: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compare two views.

        Arguments:
            images: First views, then second ones, `(2m, C, D, H, W)`.
            places: The same voxels in both, voxel coordinates, `(2m, n, 3)`.

        Returns:
            `loss`, its parts, and `spread`, the mean standard deviation of the descriptors.
        """
        described = self.network.at(images, places)
        first, second = self.head(described).flatten(0, 1).chunk(2)
        settings = self.settings
        if settings.objective == "vicreg":
            metrics = vicreg(first, second, settings.vicreg)
        else:
            metrics = info_nce(first, second, settings.temperature, settings.chunk)
        spread = described.detach().float().flatten(0, 1).std(dim=0).mean()
        return metrics | {"spread": spread}


def draw_views(
    rng: np.random.Generator, store: Store, crops: CropSettings, jitter: JitterSettings
) -> Views:
    """Draw the batch of one step.

    Arguments:
        rng: The source of chance.
        store: Where the scans are.
        crops: How crops are drawn.
        jitter: How grey values are changed.

    Returns:
        The batch, on the host.
    """
    pairs = [draw_pair(rng, store, crops) for _ in range(crops.pairs)]
    pixel_mm = [
        float(np.linalg.norm(store.scans[pair.scan].affine[:3, 2])) * pair.crops[view].scale
        for view in (0, 1)
        for pair in pairs
    ]
    return Views(pairs, draw_jitter(rng, np.asarray(pixel_mm), jitter))


def check_precision(
    network: NetworkSettings, size: tuple[int, int, int], loop: LoopSettings
) -> None:
    """Refuse what oneDNN computes wrongly, as torch 2.13 does on a processor.

    The gradient of the weights of a 3x3x3 convolution in bfloat16 reads memory that nobody wrote
    where the map is two voxels deep, and only there.

    Arguments:
        network: Sizes of the network.
        size: Voxels of a crop.
        loop: Device and precision.

    Raises:
        InputError: A level of the network is two voxels deep.
    """
    if loop.precision == "32-true" or loop.device == "cuda":
        return
    if loop.device == "auto" and torch.cuda.is_available():
        return
    depths = [size[0] // (network.stem[0] * 2**level) for level in range(len(network.channels))]
    if 2 in depths:
        raise InputError(
            "training.two_deep",
            f"Expected no level of 2 voxels in depth, in bfloat16 on a processor; crops {size[0]} "
            f"deep have levels {depths} deep.",
            "Use --precision 32-true, deeper crops or fewer levels.",
        )


def main(settings: DescriptorSettings) -> Trained:
    """Train the descriptor; `network.safetensors` in the run folder is the result.

    Arguments:
        settings: All settings.

    Returns:
        The averaged weights, and whether training is finished.
    """
    check_precision(settings.network, settings.crops.size, settings.loop)
    store = Store(settings.store, settings.exclude, settings.in_memory)
    claim_run(settings.run, settings, FREE)
    write_json(settings.run / "data.json", store.provenance())
    with seeded(settings.loop.seed):
        objective = Contrast(settings.network, settings.contrast)

    def load(index: int) -> Views:
        rng = np.random.default_rng([settings.loop.seed, index])
        return draw_views(rng, store, settings.crops, settings.jitter)

    def render(views: Views, device: torch.device) -> tuple[torch.Tensor, ...]:
        images, places = cut_pairs(views.pairs, settings.crops.size, device)
        return apply_jitter(images, views.jitter), places

    trained = train(objective, load, render, settings.run, settings.loop, "descriptor")
    trained.save(settings.run, "network")
    return trained
