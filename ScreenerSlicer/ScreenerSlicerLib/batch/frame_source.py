"""A frame of a sequence as a scan of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ScreenerSlicerLib.batch.sources import Handed, voxels_of
from ScreenerSlicerLib.scene.frames import Frames
from ScreenerSlicerLib.scene.volume import shared_scan_of
from ScreenerSlicerLib.translation import tr as _


@final
@dataclass(frozen=True)
class FrameSource:
    """One frame; its map is put beside it.

    Arguments:
        name: What it is called.
        frames: All frames.
        number: Which one, from 0.
    """

    name: str
    frames: Frames
    number: int
    instances: Sequence[str] = ()

    def hand_over(self) -> Handed:
        """The frame as it is now.

        Raises:
            InputError: `scan.removed`, or one of `shared_scan_of`.
        """
        return voxels_of(self.read())

    def read(self) -> Scan:
        """The frame as it is now, not to be written.

        Raises:
            InputError: As `hand_over`.
        """
        node = self.frames.scan_node(self.number)
        if node is None:
            removed = _("Expected {name} in the scene, found it removed.")
            raise InputError(
                "scan.removed",
                removed.format(name=self.name),
                _("Load the sequence and add its frames again."),
            )
        return shared_scan_of(node)

    def show(self) -> bool:
        """Go to the frame; its map goes along."""
        return self.frames.go_to(self.number)

    def take(self, rarity: np.ndarray | None) -> None:
        """Put the map beside the frame."""
        if rarity is not None:
            self.frames.put_map(self.number, rarity)


def frame_sources(frames: Frames) -> list[FrameSource]:
    """Return all frames of a sequence."""
    return [FrameSource(name, frames, n) for n, name in enumerate(frames.names)]
