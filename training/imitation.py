"""How a student is compared with its teacher: the loss, and how well their scores agree.

The paper's later version takes the squared error. Here it is Huber's, which a few absurd voxels do
not rule, of voxels that weigh the more the rarer they are: a screening shows one voxel in a
thousand, and a loss that counts all voxels alike would hardly notice these.
"""

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from ctscreener.calibration import Calibration
from ctscreener.density import Density
from ctscreener.scorers import Distilled
from ctscreener.student import Student
from ctscreener.tiled import autocast
from training.data.teacher_scores import Lessons, whole
from training.loop import processes

RAREST = 4.0
"""Rarity from which on voxels weigh no more."""


class Imitation(nn.Module):
    """A student with the loss that compares it with its teacher.

    Arguments:
        student: What is trained.
        huber: Error from which on it counts linearly, in spreads.
    """

    def __init__(self, student: Student, huber: float) -> None:
        super().__init__()
        self.student = student
        self.huber = huber

    def forward(
        self, y: Tensor, positions: Tensor, nll: Tensor, weight: Tensor
    ) -> dict[str, Tensor]:
        """Compare the scores of boxes.

        Arguments:
            y: Pooled descriptors, `(m, d, D, H, W)`.
            positions: Share of the body's box, `(m, 3, D, H, W)`.
            nll: What the teacher says in nats, `(m, D, H, W)`, NaN outside of the body.
            weight: How much each voxel counts, `(m, D, H, W)`.

        Returns:
            `loss`, and `error`, the mean absolute difference in spreads.
        """
        where = nll.isfinite()
        # To pick the body's voxels would be to wait for how many there are: others get the error 0.
        z = self.student(y, positions, where).masked_fill(~where, 0.0)
        wanted = ((nll - self.student.middle) / self.student.spread).masked_fill(~where, 0.0)
        error = functional.smooth_l1_loss(z, wanted, reduction="none", beta=self.huber)
        weight = weight.masked_fill(~where, 0.0)
        # The mean over the voxels of all processes, whose gradients are averaged.
        total = processes.total(weight.sum()) / processes.count()
        return {
            "loss": (weight * error).sum() / total,
            "error": (z.detach() - wanted).abs().sum() / where.sum(),
        }


def set_scale(student: Student, teacher: Density, scores: np.ndarray) -> None:
    """Let a student see and speak in the teacher's units.

    Arguments:
        student: What is trained.
        teacher: Standardizes descriptors.
        scores: Of the teacher, nats, `(P,)`: their median, and half the width of the middle 68%,
            are what the student counts from and in.
    """
    student.y_mean.copy_(teacher.y_mean)
    student.y_std.copy_(teacher.y_std)
    low, middle, high = np.quantile(scores, (0.16, 0.5, 0.84))
    student.middle.fill_(float(middle))
    student.spread.fill_(max(float(high - low) / 2, 1e-6))


def weights_of(nll: Tensor, scale: Calibration, tail: float) -> Tensor:
    """How much each voxel counts: as many as it is rare, to a power.

    Arguments:
        nll: The teacher's scores in nats, any shape, NaN outside of the body.
        scale: How rare they are.
        tail: The power.

    Returns:
        From 1 to 10^(tail * RAREST), NaN outside of the body.

    Example:
        >>> scale = Calibration((0.0, 2.0), (1.0, 3.0), tail_nll=0.5, voxels=100_000)
        >>> weights_of(torch.tensor([1.0, 2.0, 9.0]), scale, 1.0)
        tensor([  100.,  1000., 10000.])
    """
    rarity = scale.rarity(nll.numpy()).clip(max=RAREST)
    return torch.from_numpy((10 ** (tail * rarity)).astype(np.float32))


@torch.inference_mode()
def watch(scorer: Distilled, lessons: Lessons) -> dict[str, float]:
    """How well a student agrees with its teacher on tiles that it has not seen."""
    device = scorer.student.middle.device
    said, wanted = [], []
    for tile in range(len(lessons.nll)):
        lesson = lessons.cut(tile, whole(lessons.nll.shape[1:]))
        where = lesson.nll.isfinite()
        x, positions, inside = (
            part[None].to(device) for part in (lesson.image.float() / 255, lesson.positions, where)
        )
        with autocast(device, reduced=True):
            nll = scorer.scores(x, positions, inside)[0].cpu()
        said.append(nll[where])
        wanted.append(lesson.nll[where])
    return agreement(torch.cat(wanted).numpy(), torch.cat(said).numpy())


def agreement(teacher: np.ndarray, student: np.ndarray) -> dict[str, float]:
    """How well scores agree with those that they imitate.

    Arguments:
        teacher: Scores of voxels, nats, `(P,)`.
        student: Those of the same voxels, `(P,)`.

    Returns:
        `pearson`; `spearman`; `top`, the share of the teacher's rarest voxel in a thousand that
        is among the student's, which is .001 by chance; and `voxels`.
    """
    count = max(1, len(teacher) // 1000)
    top = [set(np.argpartition(-scores, count - 1)[:count]) for scores in (teacher, student)]
    return {
        "pearson": float(np.corrcoef(teacher, student)[0, 1]),
        "spearman": float(np.corrcoef(rankdata(teacher), rankdata(student))[0, 1]),
        "top": len(top[0] & top[1]) / count,
        "voxels": len(teacher),
    }
