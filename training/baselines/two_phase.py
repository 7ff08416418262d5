"""The two-phase pseudo-anomaly network: DRAEM with other anomalies, a UNet, and a short second phase.

Zhang, Deng and Li, "Unsupervised Liver Tumor Segmentation with Pseudo Anomaly Synthesis", SASHIMI
2023, brought to 3D, written from the paper and from facts of its code, which has no licence. Three
switches are those of its Table 2: `two_phases` (first the restoration by L1, then, with it frozen,
the marking for few steps; without it both together by DRAEM's losses), `pseudo` (shapes of blurred,
stretched and thresholded noise, in which grey values are shifted; without it DRAEM's textures in
Perlin noise), and `unet` (skips in the restoring network; without it DRAEM's).

Equation (1) of the paper has the two sides of the mask swapped; the code, followed here, shifts
what lies within. The text draws shifts of up to 100 of 255 grey values, the code none below 60:
`shift` has both. Sizes of noise and of the opening are in mm: theirs are pixels of a liver that was
brought to 256.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from training.baselines import draem
from training.baselines.draem import Discriminative, Draem, DraemSettings, focal_loss
from training.baselines.method import Method, Phase
from training.baselines.parts.encoder_decoder import EncoderDecoder
from training.baselines.parts.ssim import blurred
from training.baselines.parts.synthetic import blended
from training.data.chance import Chances
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop.loop import LoopSettings, Task


@dataclass(frozen=True)
class TwoPhaseSettings(DraemSettings):
    """Train the two-phase network on a store."""

    two_phases: bool = True
    """Restore first, then mark with the restoration frozen."""
    pseudo: bool = True
    """The paper's anomalies in place of DRAEM's."""
    unet: bool = True
    """Skips in the network that restores."""
    marking_share: float = 0.005
    """Steps of the second phase, as a share of those of the first: theirs are 1 epoch and 200."""
    shift: tuple[float, float] = (60 / 255, 100 / 255)
    """Least and largest change of the grey values within an anomaly."""
    blur: float = 9.0
    """Standard deviation in mm of the blur that makes shapes of noise."""
    stretched: float = 200 / 255
    """Of the stretched noise, above which there is an anomaly."""
    opening: float = 5.0
    """Diameter in mm of the ball that shapes are opened and closed by."""


class Restoring(nn.Module):
    """The restoring network with its loss: the first phase.

    Arguments:
        network: What is trained.
    """

    def __init__(self, network: EncoderDecoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, changed: Tensor, clean: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The mean absolute error of images `(m, 1, D, H, W)`."""
        return {"loss": (self.network(changed) - clean).abs().mean()}


class Marking(nn.Module):
    """The marking network with its loss: the second phase.

    Arguments:
        network: What is trained.
    """

    def __init__(self, network: EncoderDecoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, both: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The focal loss of restored and changed images side by side, `(m, 2, D, H, W)`."""
        return {"loss": focal_loss(self.network(both), mask[:, 0].long())}


def noise_mask(
    shape: torch.Size,
    spacing: tuple[float, ...],
    settings: TwoPhaseSettings,
    chances: Chances,
) -> Tensor:
    """Draw shapes: noise that is blurred, stretched to 0..1, thresholded, opened and closed.

    Arguments:
        shape: `(D, H, W)`.
        spacing: Voxel size in mm.
        settings: Blur, threshold and ball.
        chances: The sources of chance.

    Returns:
        bool, `shape`; empty at times.
    """
    coarse = [max(1.0, settings.blur / (2 * step)) for step in spacing]
    # The same blur on a coarser grid costs a hundredth: a blurred noise has nothing finer.
    sides = [max(4, round(n / c)) + 8 for n, c in zip(shape, coarse, strict=True)]
    drawn = chances.even([1, 1, *sides])
    smooth = blurred(drawn, 9, 2.0)
    fine = F.interpolate(smooth, list(shape), mode="trilinear")[0, 0]
    low, high = fine.amin(), fine.amax()
    mask = (fine - low) / (high - low).clamp(min=1e-6) > settings.stretched
    reach = [max(0, round(settings.opening / (2 * step))) for step in spacing]
    return dilated(eroded(eroded(dilated(mask, reach), reach), reach), reach)


def dilated(mask: Tensor, reach: list[int]) -> Tensor:
    """A mask grown by an ellipsoid of so many voxels along each axis."""
    d, h, w = (torch.arange(-r, r + 1, device=mask.device) / max(r, 1) for r in reach)
    ball = (d[:, None, None] ** 2 + h[:, None] ** 2 + w**2 <= 1 + 1e-6).float()
    grown = F.conv3d(mask.float()[None, None], ball[None, None], padding=reach)
    return grown[0, 0] > 0.5


def eroded(mask: Tensor, reach: list[int]) -> Tensor:
    """A mask shrunk by such an ellipsoid; beyond the crop it goes on."""
    return ~dilated(~mask, reach)


def with_shifts(
    clean: Tensor,
    body: Tensor,
    spacing: tuple[float, ...],
    settings: TwoPhaseSettings,
    chances: Chances,
) -> tuple[Tensor, Tensor]:
    """Shift the grey values of shapes within crops.

    Arguments:
        clean: Values 0 to 1, `(m, 1, D, H, W)`.
        body: Where there may be anomalies, bool, the same shape.
        spacing: Voxel size in mm.
        settings: How many and how strong.
        chances: The sources of chance.

    Returns:
        The changed crops, and where they are changed, bool.
    """
    changed, masks = [], []
    for image, inside in zip(clean, body, strict=True):
        mask = noise_mask(image.shape[1:], spacing, settings, chances)[None] & inside
        if chances.number() < settings.clean:
            mask = torch.zeros_like(mask)
        sign = 1 if chances.number() < 0.5 else -1
        shifted = (image + sign * chances.number(*settings.shift)).clamp(0, 1)
        changed.append(blended(image, shifted, 1.0, mask))
        masks.append(mask)
    return torch.stack(changed), torch.stack(masks)


def build(settings: TwoPhaseSettings, preprocess: PreprocessSettings) -> Draem:
    """Make untrained networks: those of DRAEM, the restoring one with skips where asked for."""
    rival = draem.build(settings, preprocess)
    if settings.unet:
        rival.restoring = EncoderDecoder(1, 1, settings.restoring)
    return rival


def phases(settings: TwoPhaseSettings, rival: Draem, store: Store) -> Iterator[Phase]:
    """Train one network after the other, or both together."""
    for channels in (settings.restoring, settings.marking):
        check_patches(settings.patches, channels, settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)
    spacing, size = rival.settings.preprocess.spacing, settings.patches.size

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        clean, body = drawn.images(size, device), drawn.bodies(size, device)
        chances = drawn.chances(device)
        if settings.pseudo:
            changed, mask = with_shifts(clean, body, spacing, settings, chances)
        else:
            changed, mask = draem.with_anomalies(clean, body, settings, chances)
        return changed, clean, mask

    need = source.need(render)
    if not settings.two_phases:
        both = Discriminative(rival, settings.window)
        yield Phase("together", Task(both, source.load, render, need), settings.loop)
        return
    first = Task(Restoring(rival.restoring), source.load, render, need)
    share = settings.marking_share / (1 + settings.marking_share)
    yield Phase("restoring", first, settings.loop, 1 - share)
    rival.restoring.eval().requires_grad_(False)

    def restored(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        changed, _, mask = render(drawn, device)
        with torch.no_grad():
            return torch.cat([rival.restoring.to(device)(changed), changed], dim=1), mask

    steps = max(1, round(settings.marking_share * settings.loop.steps))
    loop = replace(settings.loop, steps=steps, warmup=min(settings.loop.warmup, steps // 10))
    second = Task(Marking(rival.marking), source.load, restored, source.need(restored))
    yield Phase("marking", second, loop, share)


PRESETS = {
    "tiny": TwoPhaseSettings(
        patches=PatchSettings(size=(32, 48, 48), count=4),
        restoring=(8, 16, 32),
        marking=(8, 16, 32),
        marking_share=0.25,
        loop=LoopSettings(steps=600, lr=1e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": TwoPhaseSettings(
        patches=PatchSettings(count=8),
        marking_share=0.02,
        loop=LoopSettings(steps=20_000, lr=5e-4, warmup=500, workers=8),
    ),
    # Zhang et al.: batches of 8, Adam at 1e-4, 200 epochs and 1; UNets of first width 64.
    "paper": TwoPhaseSettings(
        patches=PatchSettings(count=8),
        restoring=(64, 128, 256, 512),
        marking=(64, 128, 256, 512),
        loop=LoopSettings(steps=100_000, lr=1e-4, warmup=0, weight_decay=0.0, workers=12),
    ),
}
METHOD = Method(
    "two-phase network, Zhang et al. 2023 in 3D: restores shifted shapes first, then marks a little",
    TwoPhaseSettings,
    PRESETS,
    build,
    phases,
)
