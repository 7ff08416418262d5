"""EDC: an encoder for photographs and a decoder of its features, trained together.

Guo et al., "Encoder-Decoder Contrast for Unsupervised Anomaly Detection in Medical Images", IEEE
TMI 2023, slice by slice, written from the paper and from facts of its code, which has no licence.
The decoder restores the maps of three stages from the coarsest one. The loss is the cosine distance
of whole maps, and no gradient flows into the maps that are restored: the encoder learns through the
decoder alone, at a tenth of its learning rate, which keeps it from giving the same for all slices.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.efficientnet import GROUPS, EfficientNetLite0, features_file
from training.baselines.parts.reverse import FeatureDecoder, cosine_maps, whole_cosine
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures, inside_of
from training.baselines.parts.slice_scorer import SliceScorer
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.flags import FLAT
from training.loop.loop import LoopSettings, Task

COARSEST = len(GROUPS) - 1
"""The group of blocks that the decoder starts from."""
MOMENTUM = 0.01
"""Of the encoder's batch norms, while it is trained."""


@dataclass(frozen=True)
class EdcSettings(TrainedSettings):
    """Train an encoder and a decoder on a store."""

    features: Annotated[FeatureSettings, FLAT] = field(
        default_factory=lambda: FeatureSettings(groups=(1, 2, 4))
    )
    """Which features of slices, and the weights that the encoder begins with."""
    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(4, 192, 192), count=4)
    )
    """How crops are drawn; a screening sees tiles of their size."""
    width: int = 256
    """Channels of the coarsest level of the decoder."""
    encoder_share: float = 0.1
    """Learning rate of the encoder, as a share of the decoder's; 0 leaves the encoder as it is."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Edc(SliceScorer):
    """Scores by the cosine distance of the encoder's features and the decoder's.

    Arguments:
        settings: Sizes of the networks.
        tiling: How it sees scans.
    """

    def __init__(self, settings: EdcSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.describe = SliceFeatures(settings.features)
        self.decoder = decoder_of(self.describe, settings.width)

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """The mean over stages, on the grid of the finest."""
        describe = self.describe
        parts = zip(
            *(
                both_sides(describe.network, self.decoder, describe.groups, some)
                for some in describe.pictures(x).split(8)
            ),
            strict=True,
        )
        encoded, decoded = ([torch.cat(level) for level in zip(*p, strict=True)] for p in parts)
        inside = inside_of(where, (x.shape[2], *encoded[0].shape[2:]))
        return cosine_maps(encoded, decoded, len(x), inside)


def decoder_of(describe: SliceFeatures, width: int) -> FeatureDecoder:
    """A decoder of the stages that are read, from the network's coarsest map."""
    if max(describe.groups) >= COARSEST:
        raise ValueError(f"the decoder restores groups below {COARSEST}, not {describe.groups}")
    return FeatureDecoder(GROUPS[COARSEST].out, describe.channels, width)


def both_sides(
    encoder: EfficientNetLite0, decoder: FeatureDecoder, groups: tuple[int, ...], pictures: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Features of slices and what the decoder makes of the coarsest, finest first."""
    *maps, coarse = encoder.maps(pictures, (*groups, COARSEST))
    return [level.float() for level in maps], decoder(coarse, [m.shape[2:] for m in maps])


class Contrast(nn.Module):
    """Encoder and decoder with their loss.

    Arguments:
        encoder: The network for photographs; trained where its weights need a gradient.
        decoder: What restores its maps.
        groups: Which maps.
    """

    def __init__(
        self, encoder: EfficientNetLite0, decoder: FeatureDecoder, groups: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.groups = encoder, decoder, groups
        self.tuned = False
        """Whether the encoder is trained; a frozen one's statistics do not move."""

    def train(self, mode: bool = True) -> "Contrast":
        """Go into training, all but a frozen encoder."""
        super().train(mode)
        self.encoder.train(mode and self.tuned)
        return self

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Restore the maps of slices `(N, 3, H, W)`.

        Returns:
            `loss`, and `spread`, the mean standard deviation of the encoder's features, which
            falls to 0 where it gives the same for everything.
        """
        maps, restored = both_sides(self.encoder, self.decoder, self.groups, pictures)
        still = [level.detach() for level in maps]
        units = [
            nn.functional.normalize(level, dim=1).transpose(0, 1).flatten(1) for level in still
        ]
        spread = torch.stack([level.std(dim=1).mean() for level in units]).mean()
        return {"loss": whole_cosine(restored, still), "spread": spread}


def contrast_of(describe: SliceFeatures, decoder: FeatureDecoder, tuned: bool) -> Contrast:
    """The objective, with an encoder that is trained or frozen; `settled` ends it."""
    objective = Contrast(describe.network, decoder, describe.groups)
    objective.tuned = tuned
    describe.network.requires_grad_(tuned)
    # What comes after the last map that is read gets no gradient.
    for part in (describe.network.conv_head, describe.network.bn1, describe.network.fc):
        part.requires_grad_(False)
    for module in describe.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = MOMENTUM
    return objective


def settled(describe: SliceFeatures) -> None:
    """Freeze an encoder again."""
    describe.network.eval().requires_grad_(False)


def build(settings: EdcSettings, preprocess: PreprocessSettings) -> Edc:
    """Make an encoder and a decoder without weights of any worth."""
    return Edc(settings, Tiling(preprocess, settings.patches.size, smooth=settings.smooth))


def phases(settings: EdcSettings, rival: Edc, store: Store) -> Iterator[Phase]:
    """Train encoder and decoder together."""
    check_patches(settings.patches, (1,), settings.loop)
    rival.describe.load(settings.features)
    source = PatchSource(store, settings.patches, settings.seed)
    objective = contrast_of(rival.describe, rival.decoder, settings.encoder_share > 0)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        rival.describe.to(device)
        return (rival.describe.pictures(drawn.images(settings.patches.size, device)),)

    shares = {"encoder.": settings.encoder_share}
    task = Task(objective, source.load, render, source.need(render), shares=shares)
    yield Phase("edc", task, settings.loop)
    settled(rival.describe)


PRESETS = {
    "tiny": EdcSettings(
        patches=PatchSettings(size=(2, 96, 96), count=4),
        width=64,
        loop=LoopSettings(steps=200, lr=2e-3, warmup=20, average=0.99, precision="32-true"),
    ),
    "small": EdcSettings(
        loop=LoopSettings(steps=4_000, lr=5e-4, warmup=100, weight_decay=1e-4, workers=8),
    ),
    # Guo et al. on Br35H: AdamW at 5e-4, the encoder at 5e-5, decay 1e-4, batches of 32 pictures of
    # 256 pixels, 4,000 steps.
    "paper": EdcSettings(
        patches=PatchSettings(size=(4, 192, 192), count=8),
        width=512,
        loop=LoopSettings(steps=4_000, lr=5e-4, warmup=0, weight_decay=1e-4, workers=12),
    ),
}
METHOD = Method(
    "EDC, Guo et al. 2023 by slices: features that a decoder trained with its encoder cannot restore",
    EdcSettings,
    PRESETS,
    build,
    phases,
    files=lambda settings: {"features": features_file(settings.features.features)},
)
