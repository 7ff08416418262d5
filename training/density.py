"""The density: how likely a descriptor is, given its condition.

The networks are frozen, so descriptors and conditions of many tiles are computed once, pooled, and
held in memory in half precision; a step then costs the density alone.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ctscreener.conditions import ConditionSettings
from ctscreener.density import DensitySettings as HeadSettings
from ctscreener.density import VoxelFlow, rows
from ctscreener.errors import InputError
from ctscreener.model import ModelSettings, Networks
from ctscreener.networks import NetworkSettings
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from ctscreener.settings import from_json, read_json, write_json
from training.data.cache import Cache, describe, draw, tiles_of
from training.data.parcel import Parcel
from training.data.store import Store
from training.flags import FLAT
from training.likelihood import Likelihood, noisy, standardize, watch
from training.loop import processes
from training.loop.loop import FREE, LoopSettings, Task, Trained, seeded, train
from training.loop.memory import Need
from training.loop.settings import claim_run

HELD_OUT = "held_out.json"
"""What a run folder says of the scans that were held out."""


@dataclass(frozen=True)
class DensityStageSettings:
    """Train the density of frozen descriptors, given frozen conditions."""

    store: Path = Path("store")
    """Folder that the stage `prepare` wrote."""
    run: Path = Path("runs/density")
    """Run folder; a training that stopped goes on from here."""
    descriptor: Path = Path("runs/descriptor")
    """Run folder of the descriptor."""
    condition: Path | None = None
    """Run folder of the learned condition; none leaves it out."""
    sincos: int = 0
    """Frequencies of the sin-cos condition along each axis; 0 leaves it out."""
    learned_shell: tuple[int, int] | None = None
    """Shell over which the learned condition is averaged, pooled voxels; none reads the voxel."""
    surround: tuple[tuple[int, int], ...] = ()
    """Shells whose mean descriptors are conditions, pooled voxels."""
    ape: Path | None = None
    """Run folder of the anatomical positions; none leaves them out."""
    ape_frequencies: int = 4
    """Frequencies of the encoding of an anatomical position along each axis."""
    head: HeadSettings = field(default_factory=HeadSettings)
    """Which density, and its sizes."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    held_out: tuple[str, ...] = ()
    """Names of scans that are not trained on but watched; `*` stands for any text."""
    tile: Shape = (64, 96, 96)
    """Voxels that the networks see at a time, along D, H, W."""
    tiles: int = 512
    """Tiles whose descriptors are held in memory, though no more than blocks are drawn; each scan
    gives the same share."""
    often: tuple[str, ...] = ()
    """Names of scans that give `times` that share, such as the real ones beside many phantoms; `*`
    stands for any text."""
    times: int = 4
    """How many shares those scans give."""
    per_step: int = 4
    """Blocks of one step (the paper's m patches)."""
    block: Shape = (32, 32, 32)
    """Pooled voxels of one block; smaller than a tile, more blocks give more variety a step."""
    voxels: int = 8192
    """Body voxels of one step, over all of its blocks."""
    noise: float = 0.1
    """Standard deviation of the noise added to standardized descriptors and conditions."""
    loop: Annotated[LoopSettings, FLAT] = field(
        default_factory=lambda: LoopSettings(steps=500_000, tf32=False)
    )
    """How long, how fast and on what to train."""


def main(settings: DensityStageSettings) -> Trained:
    """Train the density; `density.safetensors` and `model.json` in the run folder are the result.

    Arguments:
        settings: All settings.

    Returns:
        The averaged weights, and whether training is finished.

    Raises:
        InputError: A run folder or the store does not fit.
    """
    store = Store(settings.store, (*settings.exclude, *settings.held_out))
    claim_run(settings.run, settings, FREE, "density", store.provenance())
    preprocess = from_json(PreprocessSettings, store.preprocess)
    try:
        model = plan(settings, preprocess)
    except ValueError as error:
        raise InputError(
            "density.tile",
            f"Expected a --tile whose sides fit networks and pooling, found that {error}.",
            "Use another --tile.",
        ) from error
    with seeded(settings.loop.seed):
        networks = assemble(settings, model)
    if processes.is_first():
        write_json(settings.run / "model.json", networks.settings)
    if (kept := finished(settings)) is not None:
        return kept
    held_out = held_out_cache(networks, settings, store.names) if settings.held_out else None
    rng = np.random.default_rng([settings.loop.seed, 0])
    counts = tiles_of(store.names, described(settings), settings.often, settings.times)
    cache = describe(networks, store, counts, rng)
    standardize(networks, cache)
    blocks = Blocks(settings, networks, cache)
    start(networks, blocks, rng)
    task = Task(Likelihood(networks), blocks.load, blocks.render, blocks.need())
    if held_out:
        task = replace(task, watch=partial(watch, networks, held_out))
    trained = train(task, settings.run, settings.loop, "density")
    trained.save(settings.run, "density")
    if held_out and processes.is_first():
        networks.density.load_state_dict(trained.part("density"))
        watched = watch(networks, held_out)
        write_json(settings.run / HELD_OUT, watched)
        print(f"density: nll of held-out scans {watched['nll']:.3f}")
    processes.wait()
    return trained


def described(settings: DensityStageSettings) -> int:
    """Tiles that are described: no more than the blocks that a training draws."""
    return min(settings.tiles, settings.loop.steps * settings.per_step)


def finished(settings: DensityStageSettings) -> Trained | None:
    """What a run has trained to its end; to describe all scans again would take minutes."""
    if settings.held_out and not (settings.run / HELD_OUT).exists():
        return None
    return Trained.kept(settings.run, "density", settings.loop)


@dataclass(frozen=True)
class Blocks:
    """The batches of a density: blocks of the cached tiles.

    Arguments:
        settings: All settings.
        networks: What standardizes descriptors and conditions.
        cache: What is drawn from.
    """

    settings: DensityStageSettings
    networks: Networks
    cache: Cache

    def load(self, index: int) -> Parcel:
        """Draw the blocks of one step."""
        return self.draw(np.random.default_rng([self.settings.loop.seed, index, 1]))

    def render(self, parcel: Parcel, device: torch.device) -> tuple[Tensor, ...]:
        """Standardize descriptors and conditions on a device, and add noise."""
        return noisy(self.networks, parcel, self.cache, self.settings.noise, device)

    def need(self) -> Need:
        """How the memory of a step grows: with its blocks."""
        return Need(self.settings.per_step, self._some, self._flags)

    def draw(self, rng: np.random.Generator) -> Parcel:
        """Draw what one step looks at, and pack it."""
        s = self.settings
        return draw(rng, self.cache, s.per_step, s.block, s.voxels).parcel(self.cache)

    def _some(self, units: int, device: torch.device) -> tuple[Tensor, ...]:
        """A batch of so many blocks."""
        fewer = replace(self, settings=_with_blocks(self.settings, units))
        return fewer.render(fewer.draw(np.random.default_rng(0)), device)

    def _flags(self, units: int) -> str:
        """The flags that ask for so many blocks."""
        return f"--per-step {units} --voxels {_with_blocks(self.settings, units).voxels}"


def _with_blocks(settings: DensityStageSettings, units: int) -> DensityStageSettings:
    """The same settings with another number of blocks of the same size in a step."""
    each = max(1, settings.voxels // settings.per_step)
    return replace(settings, per_step=units, voxels=each * units)


def plan(settings: DensityStageSettings, preprocess: PreprocessSettings) -> ModelSettings:
    """Say what the model around the networks of finished runs looks like."""
    learned = network_of(settings.condition) if settings.condition else None
    ape = network_of(settings.ape) if settings.ape else None
    return ModelSettings(
        preprocess=preprocess,
        descriptor=network_of(settings.descriptor),
        condition=ConditionSettings(
            settings.sincos,
            learned,
            settings.learned_shell,
            settings.surround,
            ape,
            settings.ape_frequencies,
        ),
        density=settings.head,
        tile=settings.tile,
    )


def network_of(run: Path) -> NetworkSettings:
    """The sizes of the network that a run trained."""
    return from_json(NetworkSettings, read_json(run / "settings.json")["network"])


def assemble(settings: DensityStageSettings, model: ModelSettings) -> Networks:
    """Build a model around the networks of finished runs; its density is untrained."""
    networks = Networks(model)
    condition = networks.condition
    for network, run in (
        (networks.descriptor, settings.descriptor),
        (condition.learned, settings.condition),
        (condition.ape, settings.ape),
    ):
        if network is not None and run is not None:
            network.load_state_dict(weights_of(run))
    return networks.eval()


def weights_of(run: Path) -> dict[str, Tensor]:
    """The weights that a run has trained.

    Raises:
        InputError: It has none yet, or they cannot be read.
    """
    path = run / "network.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            "run.unfinished",
            f"Expected the weights of a finished run in {path}: {error}.",
            "Run that stage to its end first, or check the path of the run folder.",
        ) from error


def start(networks: Networks, blocks: Blocks, rng: np.random.Generator) -> None:
    """Initialize the act-norms of a flow on real descriptors, so that it starts as a Gaussian."""
    head = networks.density.head
    if isinstance(head, VoxelFlow):
        y, c, where = blocks.render(blocks.draw(rng), blocks.cache.y.device)
        head.flow.initialize(rows(y, where), rows(c, where))
        networks.density.cpu()


def held_out_cache(
    networks: Networks, settings: DensityStageSettings, trained_on: tuple[str, ...]
) -> Cache:
    """Descriptors and conditions of the scans that are watched, the same tiles at every call.

    Raises:
        InputError: No scan has such a name.
    """
    store = Store(settings.store, (*trained_on, *settings.exclude))
    return describe(networks, store, [2] * len(store.names), np.random.default_rng(0))
