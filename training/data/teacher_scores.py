"""What a teacher says of many tiles: asked once, kept on disk, and drawn from by its student.

A tile is scored by itself, as a screening scores it before it joins the tiles by their average. A
student that learns from tiles at random places therefore learns an average of that kind.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ctscreener import tiles
from ctscreener.conditions import tile_positions
from ctscreener.errors import InputError
from ctscreener.model import ModelSettings, Networks
from ctscreener.preprocess import Prepared
from ctscreener.scan import Shape
from ctscreener.tiled import autocast, batch_of, padded, pooled_mask, smoothed
from ctscreener.whole_file import make_folder
from training.data.cache import BLOCK, draw_box, random_tiles
from training.data.store import Store
from training.loop import processes
from training.loop.checkpoint import saved_whole


@dataclass(frozen=True)
class Lessons:
    """Many tiles and what the teacher says of them.

    Arguments:
        image: Grey values, uint8, `(T, D, H, W)`.
        start: First voxel of each tile in its scan, int32, `(T, 3)`.
        shape: Voxels of its scan, int32, `(T, 3)`.
        nll: The teacher's scores in nats, float32, `(T, d, h, w)`, NaN outside of the body.
        pool: Voxels of a block along (D, H, W), D = d * pool and so on.
    """

    image: Tensor
    start: Tensor
    shape: Tensor
    nll: Tensor
    pool: Shape

    def cut(self, tile: int, box: tiles.Box) -> "Lesson":
        """A box of one tile.

        Arguments:
            tile: Its number.
            box: Pooled voxels of it.
        """
        first = [side.start * unit for side, unit in zip(box, self.pool, strict=True)]
        last = [side.stop * unit for side, unit in zip(box, self.pool, strict=True)]
        inside = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        positions = tile_positions(
            start=triple(a + b for a, b in zip(self.start[tile].tolist(), first, strict=True)),
            size=triple(b - a for a, b in zip(first, last, strict=True)),
            shape=triple(self.shape[tile].tolist()),
            stride=self.pool,
        )
        return Lesson(self.image[tile][inside][None], positions, self.nll[tile][box])


@dataclass(frozen=True)
class Lesson:
    """What one step looks at, or one tile of it.

    Arguments:
        image: Grey values, uint8, `(..., 1, D, H, W)`.
        positions: Share of the body's box, float32, `(..., 3, d, h, w)`.
        nll: What the teacher says, float32, `(..., d, h, w)`, NaN outside of the body.
    """

    image: Tensor
    positions: Tensor
    nll: Tensor


def learn(
    teacher: Networks, store: Store, counts: Sequence[int], seed: int, folder: Path
) -> Lessons:
    """Ask the teacher about random tiles of each scan, unless that has been done.

    Of several processes each asks about its share of the scans.

    Arguments:
        teacher: The model that is asked.
        store: Where the scans are.
        counts: Tiles of each scan, in the order of the store; less where it has no more.
        seed: Decides which tiles.
        folder: Where the answers are kept, a file for each scan, whole or not there.

    Raises:
        InputError: A file is there but cannot be used.
    """
    model = teacher.settings
    make_folder(folder)
    ask(teacher, store, counts, seed, folder)
    processes.wait()
    parts = [told(store.prepared(name), model, folder / file_of(name)) for name in store.names]
    image, start, shape, nll = (torch.cat(part) for part in zip(*parts, strict=True))
    return Lessons(image, start, shape, nll, model.pool)


def file_of(name: str) -> str:
    """The file with what the teacher says of a scan."""
    return f"{name}.safetensors"


@torch.inference_mode()
def ask(teacher: Networks, store: Store, counts: Sequence[int], seed: int, folder: Path) -> None:
    """Write what the teacher says of those scans of this process that have no file yet."""
    device = processes.device()
    teacher.to(device).eval()
    share = range(processes.rank(), len(store.names), processes.count())
    missing = [n for n in share if not (folder / file_of(store.names[n])).exists()]
    for done, number in enumerate(missing, start=1):
        name = store.names[number]
        # The same tiles, whichever scans were done before.
        rng = np.random.default_rng([seed, number])
        start, nll = answers(teacher, store.prepared(name), counts[number], rng, device)
        with saved_whole(folder / file_of(name)) as beside:
            save_file({"start": start, "nll": nll}, beside)
        if done % 10 == 0 or done == len(missing):
            print(f"distil: asked about {done} of {len(missing)} scans", flush=True)
    teacher.cpu()


def answers(
    teacher: Networks,
    prepared: Prepared,
    count: int,
    rng: np.random.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """First voxels of random tiles, int32, `(n, 3)`, and their scores, `(n, d, h, w)`.

    The scores are blurred as a screening blurs them.
    """
    model = teacher.settings
    image, body = padded(prepared, model)
    where = pooled_mask(body, model.pool)
    boxes = random_tiles(body, model, count, rng)
    scores = []
    for first in range(0, len(boxes), BLOCK):
        batch = batch_of(boxes[first : first + BLOCK], image, where, prepared.shape, model, device)
        with autocast(device, reduced=True):
            nll = teacher.scores(*batch)
        scores += [smoothed(one, model.smooth / model.voxel) for one in nll.cpu().numpy()]
    start = [[side.start for side in box] for box in boxes]
    return torch.tensor(start, dtype=torch.int32), torch.from_numpy(np.stack(scores))


def told(
    prepared: Prepared, model: ModelSettings, path: Path
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The lessons of one scan, whose answers stand in a file: see `Lessons`."""
    pooled = tuple(side // unit for side, unit in zip(model.tile, model.pool, strict=True))
    image, _ = padded(prepared, model)
    try:
        kept = load_file(path)
        start, nll = kept["start"], kept["nll"]
        if nll.shape[1:] != pooled or start.shape != (len(nll), 3):
            raise ValueError(f"scores of shape {tuple(nll.shape)}, starts {tuple(start.shape)}")
        if (start + torch.tensor(model.tile) > torch.tensor(image.shape)).any():
            raise ValueError(f"tiles beyond the {image.shape} voxels of the scan")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise InputError(
            "distil.answers",
            f"Expected the teacher's scores of tiles {model.tile} in {path}: {error}.",
            "Remove the file: it is made again.",
        ) from error
    boxes = [
        tuple(slice(a, a + n) for a, n in zip(first, model.tile, strict=True))
        for first in start.tolist()
    ]
    images = torch.stack([torch.from_numpy(image[box].copy()) for box in boxes])
    shape = torch.tensor([prepared.shape] * len(boxes), dtype=torch.int32)
    return images, start, shape, nll


def draw(lessons: Lessons, index: int, count: int, block: Shape, seed: int) -> Lesson:
    """Draw the boxes of one step: every tile comes once before any comes again.

    Arguments:
        lessons: What is drawn from.
        index: Number of the step.
        count: Boxes of a step.
        block: Largest extent of a box, pooled voxels.
        seed: Decides order and places.
    """
    rng = np.random.default_rng([seed, index, 1])
    parts = []
    for number in range(index * count, (index + 1) * count):
        turn, place = divmod(number, len(lessons.nll))
        tile = int(np.random.default_rng([seed, turn, 2]).permutation(len(lessons.nll))[place])
        parts.append(lessons.cut(tile, with_body(rng, lessons.nll[tile], block)))
    return stacked(parts)


def with_body(rng: np.random.Generator, nll: Tensor, block: Shape) -> tiles.Box:
    """Draw a box of a tile that holds some body."""
    while True:
        box = draw_box(rng, nll.shape, block)
        if nll[box].isfinite().any():
            return box


def stacked(parts: Sequence[Lesson]) -> Lesson:
    """Boxes of the same extent as one batch."""
    image, positions, nll = (
        torch.stack(part)
        for part in zip(*((p.image, p.positions, p.nll) for p in parts), strict=True)
    )
    return Lesson(image, positions, nll)


def whole(shape: Sequence[int]) -> tiles.Box:
    """All of a tile, as a box of it."""
    d, h, w = (slice(0, side) for side in shape)
    return d, h, w


def some_scores(lessons: Lessons, count: int) -> np.ndarray:
    """Scores of the teacher at so many random body voxels of all tiles, nats, `(count,)`."""
    scores = lessons.nll[lessons.nll.isfinite()].numpy()
    return scores[np.random.default_rng(0).integers(len(scores), size=count)]


def triple(values: Iterable[int]) -> Shape:
    """Three numbers as a tuple that is known to have three."""
    d, h, w = values
    return d, h, w
