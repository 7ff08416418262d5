"""The parts of a body as a text, and back. No MRML here."""

import base64
import json
import zlib
from functools import lru_cache

import numpy as np

from ctscreener.parts import TORSO, Parts


def packed(parts: Parts | None) -> str:
    """Write parts as a text; empty where they are not known. Takes long enough for a thread.

    Where all is torso, one voxel says so.
    """
    if parts is None:
        return ""
    labels = parts.labels if parts.labels.max() > TORSO else np.full((1, 1, 1), TORSO, np.uint8)
    voxels = zlib.compress(np.ascontiguousarray(labels, np.uint8).data, 9)
    return json.dumps(
        {
            "shape": labels.shape,
            "affine": parts.affine.tolist(),
            "labels": base64.b64encode(voxels).decode("ascii"),
        }
    )


@lru_cache(maxsize=2)
def unpacked(text: str) -> Parts:
    """Take what `packed` wrote; the last two are remembered."""
    kept = json.loads(text)
    voxels = zlib.decompress(base64.b64decode(kept["labels"]))
    labels = np.frombuffer(voxels, np.uint8).reshape(kept["shape"])
    return Parts(labels, np.array(kept["affine"]))
