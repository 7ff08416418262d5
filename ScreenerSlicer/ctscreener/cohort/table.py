"""The table: one Parquet file with a row for each scan of each run, findings and failures within."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ctscreener.cohort.place import Place
from ctscreener.cohort.rows import ROW
from ctscreener.errors import InputError
from ctscreener.whole_file import whole_file

BATCH = 500
"""Rows that are held in memory at a time."""
NOTICE = "Research use only, not for diagnosis. Absence of colour is not absence of disease."
_F64, _I32, _I64, _TEXT = pa.float64(), pa.int32(), pa.int64(), pa.string()

FINDING = pa.struct(
    [
        ("rank", _I32),
        ("peak_rarity", _F64),
        ("mean_rarity", _F64),
        ("volume_ml", _F64),
        ("diameter_mm", _F64),
        ("mean_hu", _F64),
        ("peak_ras", pa.list_(_F64, 3)),
        ("peak_index", pa.list_(_I32, 3)),
        ("box_min", pa.list_(_I32, 3)),
        ("box_max", pa.list_(_I32, 3)),
        ("voxels", _I64),
        ("part", _TEXT),
        ("left", _F64),
        ("posterior", _F64),
        ("superior", _F64),
    ]
)
"""A finding: as `findings.json` has it, and where it lies in what was scored, from 0 to 1."""

SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("run", _TEXT),
        ("status", _TEXT),
        ("code", _TEXT),
        ("error", _TEXT),
        ("action", _TEXT),
        ("path", _TEXT),
        ("series", _TEXT),
        ("bytes", _I64),
        ("sha256", _TEXT),
        ("shape", pa.list_(_I32, 3)),
        ("spacing_mm", pa.list_(_F64, 3)),
        ("voxels", _I64),
        ("above", pa.list_(_I64, 5)),
        ("found", _I32),
        ("findings", pa.list_(FINDING)),
        ("notices", pa.list_(_TEXT)),
        ("fingerprint", pa.binary()),
        ("model", _TEXT),
        ("weights_sha256", _TEXT),
        ("settings_sha256", _TEXT),
        ("rarity_counted_up_to", _F64),
        ("version", _TEXT),
        ("torch", _TEXT),
        ("device", _TEXT),
        ("seconds", _F64),
    ],
    metadata={"notice": NOTICE, "format": "ctscreener.cohort", "format_version": "1"},
)
"""Of a failed scan all that is not known is null; `code`, `error` and `action` say why."""


def write_table(place: Place) -> int:
    """Write the table of all runs anew, from what stands in their folders.

    Arguments:
        place: The cohort.

    Returns:
        How many rows it has.

    Raises:
        InputError: One of `whole_file`.
    """
    count = 0
    with (
        whole_file(place.table) as part,
        pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer,
    ):
        batch: list[dict[str, Any]] = []
        for row in rows(place):
            batch.append({**row, "fingerprint": bytes.fromhex(row.get("fingerprint", ""))})
            count += 1
            if len(batch) == BATCH:
                writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
                batch.clear()
        writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
    return count


def rows(place: Place) -> Iterator[Mapping[str, Any]]:
    """Read what is known of each scan of each run, in a fixed order, one at a time.

    Raises:
        InputError: `cohort.row` for a file that is damaged.
    """
    for run in place.runs():
        done = {
            folder.name: folder / ROW for folder in place.scans(run).glob("*") if _done(folder)
        }
        failed = {file.stem: file for file in place.failed(run).glob("*.json")}
        for name in sorted(done.keys() | failed.keys()):
            yield _read(done.get(name, failed.get(name, place.folder)))


def read_batches(place: Place, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Read some columns of the table, some rows at a time.

    Raises:
        InputError: `cohort.missing` where there is none.
    """
    if not place.table.is_file():
        raise InputError(
            "cohort.missing",
            f"Expected a cohort in {place.folder}, found no {place.table.name}.",
            "Check the folder, or screen a cohort into it first.",
        )
    with pq.ParquetFile(place.table) as table:
        for batch in table.iter_batches(BATCH, columns=columns):
            yield batch.to_pylist()


def _done(folder: Path) -> bool:
    return not folder.name.startswith(".") and (folder / ROW).is_file()


def _read(file: Path) -> dict[str, Any]:
    try:
        row = json.loads(file.read_text(encoding="utf-8"))
        return {name: value for name, value in row.items() if name not in ("stamp", "full")}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            "cohort.row",
            f"Expected what is known of a scan in {file}, found a damaged file.",
            "Remove its folder; the next run screens the scan anew.",
        ) from error
