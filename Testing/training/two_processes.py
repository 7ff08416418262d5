"""What each process does in the test of several: run by torchrun, or in this process alone.

torchrun --standalone --nproc-per-node 2 Testing/training/two_processes.py OUT
"""

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ctscreener.density import Density
from ctscreener.density import DensitySettings as HeadSettings
from ctscreener.encoder import Encoder, EncoderSettings
from ctscreener.flow import Flow, FlowSettings
from ctscreener.networks import NetworkSettings
from training.baselines.cflow import Decoders
from training.baselines.parts.encoder_decoder import EncoderDecoder
from training.baselines.two_phase import Restoring
from training.dense_contrast import DenseContrast, draw_weights
from training.descriptor import Contrast, ContrastSettings
from training.likelihood import Likelihood
from training.loop import processes
from training.loop.loop import LoopSettings, Task, seeded, train
from training.loop.shared_norm import share_statistics

NETWORK = NetworkSettings(channels=(8, 16), out=8)
PAIRS, POSITIONS = 4, 24
CASES = {
    "vicreg": ContrastSettings(width=32),
    # Fewer voxels than channels: the other Gram matrix.
    "vicreg_wide": ContrastSettings(width=256),
    "simclr": ContrastSettings(objective="simclr", width=32, projected=8, chunk=30),
}


class Turns(nn.Module):
    """Two layers that are trained in turns: half of the weights idle in every step."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(0):
            self.network = nn.ModuleList(nn.Linear(3, 1) for _ in "ab")

    def forward(self, places: Tensor, turn: Tensor) -> dict[str, Tensor]:
        """Fit the first coordinate by one of the layers."""
        found = self.network[int(turn)](places)[..., 0]
        return {"loss": (found - places[..., 0]).square().mean()}


@dataclass(frozen=True)
class Share:
    """Which pairs of a batch a process takes.

    Arguments:
        number: The process.
        count: All processes.
    """

    number: int
    count: int

    def of(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Its pairs, first views first."""
        each = PAIRS // self.count
        mine = torch.arange(self.number * each, (self.number + 1) * each)
        images, places = (part[torch.cat([mine, mine + PAIRS])] for part in batch)
        return images, places


def batch_of(step: int) -> tuple[Tensor, Tensor]:
    """The whole batch of a step."""
    generator = torch.Generator().manual_seed(step)
    images = torch.rand((2 * PAIRS, 1, 8, 12, 12), generator=generator)
    return images, torch.rand((2 * PAIRS, POSITIONS, 3), generator=generator) * 7


def work(out: Path, share: Share) -> None:
    """Train a few steps with each objective; leaves metrics.jsonl and weights in `out`."""
    for name, contrast in CASES.items():
        with seeded(0):
            objective = Contrast(NETWORK, contrast)
        loop = LoopSettings(
            steps=4, lr=1e-3, warmup=1, precision="32-true", device="cpu", log_every=1
        )

        def load(index: int) -> tuple[Tensor, Tensor]:
            return share.of(batch_of(index // share.count))

        def render(raw: tuple[Tensor, Tensor], device: torch.device) -> tuple[Tensor, ...]:
            return raw

        trained = train(Task(objective, load, render), out / name, loop, name)
        assert processes.count() == share.count
        trained.save(out / name, "network")
        gradients(objective, share, out / f"{name}.safetensors")


class Rows(nn.Module):
    """The density of blocks, all of whose voxels count.

    Arguments:
        network: What is trained.
    """

    def __init__(self, network: Likelihood) -> None:
        super().__init__()
        self.network = network

    def forward(self, y: Tensor, c: Tensor) -> dict[str, Tensor]:
        """Score maps, `(m, C, D, H, W)`."""
        return {"loss": self.network(y, c, torch.arange(y[:, 0].numel()))["loss"]}


def others() -> dict[str, tuple[nn.Module, Callable[[Tensor, Tensor], tuple[Tensor, ...]]]]:
    """Other stages: what is trained, and what of the images and places it is given."""
    with seeded(0):
        holder = nn.Module()
        flow = HeadSettings(flow=FlowSettings(blocks=2, hidden=8))
        holder.density = Density(4, 3, flow, torch.Generator().manual_seed(0))
        encoder = Encoder(EncoderSettings((2, 3), (1, 1)))
        draw_weights(encoder)
        # CFLOW, without BatchNorm; the first phase of the two-phase network has it.
        chance = torch.Generator().manual_seed(0)
        rival = Decoders(nn.ModuleList([Flow(4, 3, flow.flow, chance)]))
        normed = Restoring(EncoderDecoder(1, 1, (4, 8)))
        share_statistics(normed)
        tuned = DenseContrast(encoder, 0, CASES["simclr"])
    return {
        "density": (
            Rows(Likelihood(holder)),  # pyright: ignore[reportArgumentType]
            lambda images, places: (
                images.reshape(len(images), 8, 4, 6, 6)[:, :4],
                images.reshape(len(images), 8, 4, 6, 6)[:, 4:7],
            ),
        ),
        "rival": (
            rival,
            lambda images, places: (
                images.reshape(-1, 4),
                places.repeat(1, 12, 1).reshape(-1, 3),
            ),
        ),
        "rival with BatchNorm": (
            normed,
            lambda images, places: (images.square(), images, images > 0),
        ),
        "tuned": (tuned, lambda images, places: (images, places, torch.zeros(()))),
    }


OTHERS = ("density", "rival", "rival with BatchNorm", "tuned")


def work_others(out: Path, share: Share) -> None:
    """Train other stages a few steps; leaves what `work` leaves, less the gradients."""
    for name, (objective, given) in others().items():

        def load(index: int) -> tuple[Tensor, Tensor]:
            return share.of(batch_of(index // share.count))

        def render(
            raw: tuple[Tensor, Tensor],
            device: torch.device,
            given: Callable[[Tensor, Tensor], tuple[Tensor, ...]] = given,
        ) -> tuple[Tensor, ...]:
            return given(*raw)

        loop = LoopSettings(
            steps=4, lr=1e-3, warmup=1, precision="32-true", device="cpu", log_every=1
        )
        train(Task(objective, load, render), out / name, loop, name)


def work_in_turns(out: Path, share: Share) -> None:
    """Train the two layers a few steps; leaves what `work` leaves, less the gradients."""

    def load(index: int) -> tuple[Tensor, Tensor]:
        step = index // share.count
        return share.of(batch_of(step))[1], torch.tensor(step % 2)

    def render(raw: tuple[Tensor, Tensor], device: torch.device) -> tuple[Tensor, ...]:
        return raw

    loop = LoopSettings(steps=4, lr=0.1, warmup=1, precision="32-true", device="cpu", log_every=1)
    task = Task(Turns(), load, render, idle_weights=True)
    train(task, out / "turns", loop, "turns").save(out / "turns", "network")


def gradients(objective: Contrast, share: Share, path: Path) -> None:
    """Save the gradients of one batch as distributed training would average them."""
    objective.zero_grad()
    objective(*share.of(batch_of(99)))["loss"].backward()
    found = {
        name: processes.total(weight.grad) / share.count
        for name, weight in objective.named_parameters()
        if weight.grad is not None
    }
    if processes.is_first():
        save_file(found, path)


def gloo_threads() -> list[str]:
    """Names of this process's threads that belong to a group; none where there is no /proc."""
    names = []
    for path in Path("/proc/self/task").glob("*/comm"):
        # A thread may end while it is read.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.append(path.read_text().strip())
    return [name for name in names if "gloo" in name]


def are_gone(seconds: float) -> bool:
    """Whether no such thread is left; one that has ended may be listed for a moment longer."""
    until = time.monotonic() + seconds
    while gloo_threads() and time.monotonic() < until:
        time.sleep(0.01)
    return not gloo_threads()


if __name__ == "__main__":
    from os import environ

    with processes.together():
        mine = Share(int(environ["RANK"]), int(environ["WORLD_SIZE"]))
        work(Path(sys.argv[1]), mine)
        work_in_turns(Path(sys.argv[1]), mine)
        work_others(Path(sys.argv[1]), mine)
    # A thread that still ran when the interpreter ends could abort a process that has done its work.
    assert are_gone(30)
