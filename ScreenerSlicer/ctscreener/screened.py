"""What a screening gives back: the map and the findings of one scan, and how they came about."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ctscreener.findings import Finding
from ctscreener.parts import Parts
from ctscreener.rarity_text import rarity_text
from ctscreener.scan import Scan

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, repr=False)
class Screened:
    """The result for one scan. A notebook shows it as a picture with its findings.

    Arguments:
        scan: The scan that was screened.
        model: What the model is called.
        rarity: -log10 of the share of reference voxels that are at least as rare, float32, on
            the scan's grid, `(D, H, W)`, NaN where not scored.
        findings: Regions above the threshold, rarest first.
        seconds: Time of each stage.
        device: Where the networks ran.
        tiles: Tiles that went through the networks.
        notices: What was not done as asked for, such as smaller tiles for want of memory.
        found: Regions above the threshold, those beyond the limit of findings included.
        counted_up_to: The highest rarity that was counted on the reference scans.
        elsewhere: How many more there are in each part of the body that was not asked for.
        parts: The parts of the body; None where they are not known.
        below: No rarity of this model reaches this one; None where that is not known.
    """

    scan: Scan
    model: str
    rarity: np.ndarray
    findings: list[Finding]
    seconds: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"
    tiles: int = 0
    notices: tuple[str, ...] = ()
    found: int = 0
    counted_up_to: float = math.inf
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    parts: Parts | None = None
    below: float | None = None

    def picture(self, title: str = "") -> "Image":
        """Draw three planes through each of the first findings, with and without the map.

        Arguments:
            title: What to write above it; the model's name by default.

        Returns:
            An RGB picture, 1800 pixels wide, that carries the notice.
        """
        from ctscreener.overview import draw_overview

        return draw_overview(
            self.scan,
            self.rarity,
            self.findings,
            title or f"Model {self.model}",
            found=self.found,
            counted=self.counted_up_to,
        )

    def __repr__(self) -> str:
        """Say in one line what was found, without the voxels."""
        count = max(self.found, len(self.findings))
        what = f"{count} finding{'s' * (count != 1)}"
        if self.findings:
            highest = rarity_text(self.findings[0].peak_rarity, self.counted_up_to)
            what += f", highest rarity {highest}"
        d, h, w = self.scan.shape
        return f"<Screened: {what}; {d} x {h} x {w} voxels, model {self.model}>"

    def _repr_html_(self) -> str:
        """Show picture, findings and notice in a notebook."""
        from ctscreener.notebook import as_html

        return as_html(self)
