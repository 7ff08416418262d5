"""The distillation: a small network learns to predict the scores of a whole model.

As in the paper's later version, a UNet of one output is fitted to the -log p that a trained model
gives. It begins where the teacher's descriptor, which stays as it is, ends (`ctscreener.student`);
the loss is another one, too, see `training.imitation`. No view is turned or mirrored, and no grey
value changed: the scores depend on the place, and on what a scan looks like.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.model import Distilled, Model, ModelSettings, Networks, load_model
from ctscreener.networks import UNet
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from ctscreener.settings import from_json, read_json, write_json
from ctscreener.student import StudentSettings
from ctscreener.tiled import autocast
from training.data.cache import tiles_of
from training.data.parcel import Parcel, pack
from training.data.store import Store
from training.data.teacher_scores import Lessons, draw, learn, some_scores
from training.data.views import check_precision
from training.flags import FLAT
from training.imitation import Imitation, set_scale, watch, weights_of
from training.loop import processes
from training.loop.checkpoint import saved_whole
from training.loop.loop import FREE, LoopSettings, Task, Trained, seeded, train
from training.loop.memory import Need
from training.loop.settings import claim_run

SCALE_VOXELS = 1_000_000
"""Scores that the scale of the loss is measured on."""
HELD_OUT_TILES = 2
"""Tiles of each held-out scan."""
DESCRIPTOR = "descriptor.safetensors"
"""The teacher's descriptor, in a run folder."""


@dataclass(frozen=True)
class DistilSettings:
    """Train a small network to predict the scores of a model."""

    store: Path = Path("store")
    """Folder that the stage `prepare` wrote, with the preprocessing of the model."""
    run: Path = Path("runs/distil")
    """Run folder; a training that stopped goes on from here."""
    model: str = "preview"
    """The teacher: name or folder of a model."""
    student: StudentSettings = field(default_factory=StudentSettings)
    """Sizes of the network."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    held_out: tuple[str, ...] = ()
    """Names of scans on which teacher and student are compared; `*` stands for any text."""
    tiles: int = 900
    """Tiles that the teacher is asked about; each scan gives the same share."""
    often: tuple[str, ...] = ()
    """Names of scans that give `times` that share, such as the real ones beside many phantoms; `*`
    stands for any text."""
    times: int = 4
    """How many shares those scans give."""
    per_step: int = 2
    """Blocks of one step."""
    block: Shape = (32, 32, 32)
    """Pooled voxels of one block. A whole tile shows all that the teacher saw."""
    tail: float = 0.5
    """A voxel as rare as one in n weighs n to this power; 0 counts all alike, 1 gives 1 to 10 in
    1,000 as much as 1 to 10 in 100."""
    huber: float = 1.0
    """Error from which on it counts linearly, in spreads of the scores."""
    loop: Annotated[LoopSettings, FLAT] = field(default_factory=LoopSettings)
    """How long, how fast and on what to train."""


def main(settings: DistilSettings) -> Trained:
    """Train the student; `student.safetensors` and `model.json` in the run folder are the result.

    Arguments:
        settings: All settings.

    Returns:
        The averaged weights, and whether training is finished.

    Raises:
        InputError: The model cannot teach, or the store, the run folder or a size does not fit.
    """
    processes.meet()
    store = Store(settings.store, (*settings.exclude, *settings.held_out))
    teacher = load_teacher(settings.model, store)
    networks = teacher.networks
    assert isinstance(networks, Networks), "a teacher has three networks"
    model = plan(settings, teacher)
    check_precision(settings.student.network, settings.block, settings.loop, "--block")
    claim_run(settings.run, settings, FREE, "distil", store.provenance())
    claim_teacher(settings.run, teacher, model)
    counts = tiles_of(store.names, settings.tiles, settings.often, settings.times)
    seed = settings.loop.seed
    lessons = learn(networks, store, counts, seed, settings.run / "teacher")
    held_out = held_out_lessons(settings, teacher, store.names) if settings.held_out else None
    scores = some_scores(lessons, SCALE_VOXELS)
    scale = Calibration.fit(scores)
    with seeded(seed):
        scorer = untaught(model, networks)
    objective = Imitation(scorer.student, settings.huber)
    set_scale(scorer.student, networks.density, scores)

    boxes = Boxes(settings, lessons, scale, scorer.descriptor)
    task = Task(objective, boxes.load, boxes.render, boxes.need())
    if held_out:
        task = replace(task, watch=partial(watch, scorer, held_out))
    trained = train(task, settings.run, settings.loop, "distil")
    trained.save(settings.run, "student")
    if held_out and processes.is_first():
        scorer.student.load_state_dict(trained.part("student"))
        write_json(settings.run / "held_out.json", told := watch(scorer, held_out))
        print("distil: held out, " + ", ".join(f"{k} {v:.3f}" for k, v in told.items()))
    processes.wait()
    return trained


@dataclass(frozen=True)
class Boxes:
    """The batches of a distillation: boxes of the tiles that the teacher was asked about.

    Arguments:
        settings: All settings.
        lessons: What is drawn from.
        scale: How rare scores are, which decides how much each voxel weighs.
        descriptor: The teacher's, which stays as it is.
    """

    settings: DistilSettings
    lessons: Lessons
    scale: Calibration
    descriptor: UNet

    def load(self, index: int) -> Parcel:
        """Draw the boxes of one step, with the weights of their voxels."""
        return self._drawn(index, self.settings.per_step)

    def render(self, drawn: Parcel, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Describe boxes on a device: descriptors, positions, the teacher's scores, weights."""
        there = drawn.opened(device)
        y = described(self.descriptor.to(device), there["image"], self.lessons.pool)
        return y, there["positions"], there["nll"], there["weight"]

    def need(self) -> Need:
        """How the memory of a step grows: with its boxes."""
        return Need(
            self.settings.per_step,
            lambda units, device: self.render(self._drawn(0, units), device),
            lambda units: f"--per-step {units}",
        )

    def _drawn(self, index: int, count: int) -> Parcel:
        s = self.settings
        lesson = draw(self.lessons, index, count, s.block, s.loop.seed)
        weight = weights_of(lesson.nll, self.scale, s.tail)
        arrays = {"image": lesson.image, "positions": lesson.positions, "nll": lesson.nll}
        return pack({name: t.numpy() for name, t in {**arrays, "weight": weight}.items()})


def load_teacher(name: str, store: Store) -> Model:
    """Load the model that teaches.

    Raises:
        InputError: It is distilled itself, or the store was prepared otherwise.
    """
    teacher = load_model(name)
    if not isinstance(teacher.networks, Networks):
        raise InputError(
            "distil.teacher",
            f"Expected a model of three networks as the teacher, found that {name} is distilled.",
            "Use --model with the model that it was distilled from; its card names it.",
        )
    if teacher.settings.preprocess != from_json(PreprocessSettings, store.preprocess):
        raise InputError(
            "distil.preprocess",
            f"Expected scans in {store.folder} that were prepared as {name} prepares them, found "
            "other settings of preprocessing.",
            "Run the stage `prepare` with the settings in the model's model.json.",
        )
    return teacher


def plan(settings: DistilSettings, teacher: Model) -> ModelSettings:
    """Say what the model around the student looks like.

    Its scores are blurred already: those that it learns from are.

    Raises:
        InputError: A size does not fit the teacher's tiles.
    """
    known = teacher.settings
    pooled = [side // unit for side, unit in zip(known.tile, known.pool, strict=True)]
    if any(not 0 < side <= extent for side, extent in zip(settings.block, pooled, strict=True)):
        raise InputError(
            "distil.block",
            f"Expected a --block within the {tuple(pooled)} pooled voxels of the teacher's tile, "
            f"found {settings.block}.",
            "Use a smaller --block.",
        )
    try:
        model = replace(known, student=settings.student, smooth=0.0)
        Distilled(model)
    except ValueError as error:
        raise InputError(
            "distil.student",
            f"Expected a student that fits the tiles of {teacher.name}, found that {error}",
            "Change --student.network.inputs or --student.network.channels.",
        ) from error
    return model


def untaught(model: ModelSettings, teacher: Networks) -> Distilled:
    """The teacher's descriptor, which stays as it is, and an untrained student."""
    scorer = Distilled(model)
    scorer.descriptor.load_state_dict(teacher.descriptor.state_dict())
    scorer.descriptor.requires_grad_(False)
    return scorer


def described(descriptor: UNet, image: Tensor, pool: Shape) -> Tensor:
    """Descriptors of boxes as a screening has them.

    Arguments:
        descriptor: The network.
        image: Grey values, uint8, `(m, 1, D, H, W)`.
        pool: Voxels of a block along (D, H, W).

    Returns:
        `(m, d, D / pool, H / pool, W / pool)`.
    """
    with torch.no_grad(), autocast(image.device, reduced=True):
        return descriptor.pooled(image.float() / 255, pool)


def claim_teacher(run: Path, teacher: Model, model: ModelSettings) -> None:
    """Write down whose student a run trains; a run has one teacher.

    Raises:
        InputError: `run.other_teacher`.
    """
    if not processes.is_first():
        return
    path = run / "teacher.json"
    facts = {"sha256": teacher.sha256, "smooth": teacher.settings.smooth}
    if path.exists() and (known := read_json(path)) | facts != known:
        raise InputError(
            "run.other_teacher",
            f"{run} holds a run with a teacher of SHA-256 {known['sha256'][:12]}... and a blur of "
            f"{known.get('smooth')} mm, found {teacher.sha256[:12]}... and {facts['smooth']} mm in "
            f"{teacher.name}.",
            "Use the same model to go on with it, or another --run folder.",
        )
    with saved_whole(run / DESCRIPTOR) as beside:
        save_file(teacher.networks.get_submodule("descriptor").state_dict(), beside)
    write_json(path, {"name": teacher.name, **facts, "provenance": teacher.provenance})
    write_json(run / "model.json", model)


def held_out_lessons(
    settings: DistilSettings, teacher: Model, trained_on: tuple[str, ...]
) -> Lessons:
    """What the teacher says of the scans that are watched, the same tiles at every call.

    Raises:
        InputError: No scan has such a name.
    """
    assert isinstance(teacher.networks, Networks), "`load_teacher` has refused others"
    store = Store(settings.store, (*trained_on, *settings.exclude))
    counts = [HELD_OUT_TILES] * len(store.names)
    return learn(teacher.networks, store, counts, 0, settings.run / "teacher" / "held_out")


def scorer_of(run: Path) -> Distilled:
    """What a finished run has trained, with the descriptor that it was trained for."""
    scorer = Distilled(from_json(ModelSettings, read_json(run / "model.json")))
    scorer.descriptor.load_state_dict(load_file(run / DESCRIPTOR))
    scorer.student.load_state_dict(load_file(run / "student.safetensors"))
    return scorer


def teacher_of(run: Path) -> dict[str, Any]:
    """What a run folder says of its teacher: `name`, `sha256` and `provenance`."""
    return read_json(run / "teacher.json")
