"""A parcel: all arrays of a step in one pinned piece of memory, which goes to a card at once.

A copy of pageable memory is waited for, and each of a hundred small ones costs as much as a large
one. The loader's threads pack; the card unpacks by looking at parts of what it received.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

ALIGNED = 64
"""Bytes that every array begins at a multiple of."""
TYPES = {
    np.dtype(np.uint8): torch.uint8,
    np.dtype(np.int16): torch.int16,
    np.dtype(np.int32): torch.int32,
    np.dtype(np.int64): torch.int64,
    np.dtype(np.float16): torch.float16,
    np.dtype(np.float32): torch.float32,
}


@dataclass(frozen=True)
class Place:
    """Where an array lies in a parcel.

    Arguments:
        start: Its first byte.
        kind: Its type.
        shape: Its shape.
    """

    start: int
    kind: torch.dtype
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """How many bytes it takes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.kind.itemsize


@dataclass(frozen=True)
class Parcel:
    """Arrays of a step, packed.

    Arguments:
        places: Where each array lies, by its name.
        buffer: All of them, uint8, on the host.
        facts: What stays on the host, such as seeds.
    """

    places: Mapping[str, Place]
    buffer: Tensor
    facts: Mapping[str, Any] = field(default_factory=dict)

    def opened(self, device: torch.device) -> dict[str, Tensor]:
        """The arrays on a device, by name; one transfer, which nothing waits for.

        Arguments:
            device: Where to.
        """
        there = self.buffer.to(device, non_blocking=True)
        return {
            name: there[place.start : place.start + place.bytes]
            .view(place.kind)
            .reshape(place.shape)
            for name, place in self.places.items()
        }


def pack(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any] | None = None) -> Parcel:
    """Pack arrays.

    Arguments:
        arrays: Of one of the `TYPES`, or bool, which becomes uint8; by name.
        facts: What stays on the host.
    """
    whole = {
        name: np.ascontiguousarray(values.view(np.uint8) if values.dtype == bool else values)
        for name, values in arrays.items()
    }
    places, end = {}, 0
    for name, values in whole.items():
        # A scalar becomes a row of one when it is laid out.
        places[name] = Place(end, TYPES[values.dtype], arrays[name].shape)
        end += -(-values.nbytes // ALIGNED) * ALIGNED
    buffer = torch.empty(end, dtype=torch.uint8, pin_memory=torch.cuda.is_available())
    bytes_of = buffer.numpy()
    for name, values in whole.items():
        start = places[name].start
        bytes_of[start : start + values.nbytes] = values.reshape(-1).view(np.uint8)
    return Parcel(places, buffer, facts or {})
