"""One scan, read, prepared and written into a store, in as many copies as are asked for."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ctscreener.duplicates import fingerprint
from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings, prepare
from ctscreener.reading import Reader
from ctscreener.scan import Scan
from ctscreener.settings import write_json
from ctscreener.whole_file import NotWrittenError
from training.data.arrays import write_array
from training.data.brain import BrainSettings, prepare_brain
from training.data.sources import Source, hash_source
from training.data.store import StoredScan

How = PreprocessSettings | BrainSettings
"""How a scan is prepared, by its kind."""
Copy = tuple[Path, How]
"""The folder of one copy of all scans, and how it is prepared."""


def prepare_one(source: Source, copies: Sequence[Copy]) -> list[StoredScan] | str:
    """Prepare one scan and write every copy of it.

    Arguments:
        source: The scan.
        copies: Folder of each copy, and how to prepare it.

    Returns:
        What was stored, one for each copy, or why the scan cannot be used.

    Raises:
        NotWrittenError: A copy cannot be written, as where the disk is full.
    """
    import SimpleITK as sitk

    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        scan = source.read(_reader().read)
        digest = hash_source(source.path, source.series)
        return [_stored_copy(source, scan, digest, *copy) for copy in copies]
    except NotWrittenError:
        raise
    except InputError as error:
        return error.message
    except MemoryError:
        return "Expected a scan that fits the memory, found a larger one."
    except OSError as error:
        return f"Expected a file that can be read, found: {error}."


@lru_cache(maxsize=1)
def _reader() -> Reader:
    """The process beside this one that reads scans: a file that crashes it is skipped."""
    return Reader()


def _stored_copy(
    source: Source, scan: Scan, digest: str, store: Path, settings: How
) -> StoredScan:
    """Prepare a scan in one way and write it."""
    brain = isinstance(settings, BrainSettings)
    prepared = prepare_brain(scan, settings) if brain else prepare(scan, settings)
    depth, height, width = prepared.image.shape
    write_array(store / f"{source.name}.image.b2nd", prepared.image)
    write_array(store / f"{source.name}.body.b2nd", prepared.body.astype(np.uint8))
    stored = StoredScan(
        name=source.name,
        shape=(depth, height, width),
        affine=prepared.affine,
        source=str(source.path),
        sha256=digest,
        fingerprint=fingerprint(prepared.image),
        dataset=source.dataset,
        patient=source.example.patient if source.example else "",
        split=source.example.split if source.example else "",
        licence=source.licence,
        given=source.given,
    )
    # Written last: its presence says that both arrays are whole.
    write_json(store / f"{source.name}.json", stored.to_json())
    return stored
