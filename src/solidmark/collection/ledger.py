"""The ledger: which image carries which keys, in which split, and where it is. Secret: who has it can forge answers.

    ledger.parquet     one row an image, and the head (secret, salt, layout); `ledger.parquet.sealed` with a passphrase
    manifest.json      what the ledger is, without secrets: counts, sha256 of the file beside it, commitment
    commitment.json    to be published before anybody trains

The commitment is the sha256 of the salted head and of every row, as canonical JSON, a line each. It reveals nothing, and
no key, split or caption can be changed afterwards.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DamagedFile, InvalidValue
from ..keys import Keys
from ..store import canonical
from . import sealing
from .layouts import Layout

SCHEMA = "solidmark.ledger/1"
PLAIN, SEALED, MANIFEST, COMMITMENT = "ledger.parquet", "ledger.parquet.sealed", "manifest.json", "commitment.json"

HELD_OUT = "held_out"
"""The folder of the held-out images, within that of the ledger."""

SPARE = 200

Part = Literal["trained", "held-out"]


@dataclass(frozen=True)
class Head:
    """What all rows share. `secret` drew keys and split, `salt` hides what the commitment commits to; both in hex."""

    secret: str
    salt: str
    hold_out: float
    segments: int
    inside: bool
    size: int | None
    created: str
    version: str
    schema: str = SCHEMA


@dataclass(frozen=True)
class Row:
    """An image: its file within the source folder, its marked file within its split's folder, its keys and layout.

    `copy_of` is the number of an earlier row with the same source; a copy shares its keys and split, and is not asked.
    `done` says what was done to the picture besides marking.
    """

    number: int
    source: str
    source_sha256: str
    marked: str
    marked_sha256: str
    split: Part
    caption: str
    keys: tuple[float, ...]
    height: int
    width: int
    thickness: int
    colour: bool
    copy_of: int | None
    done: str


@dataclass(frozen=True)
class Ledger:
    """The head and the rows, in the order of their numbers, which are their places."""

    head: Head
    rows: tuple[Row, ...]

    @cached_property
    def commitment(self) -> str:
        """sha256 in hex of head and rows."""
        digest = hashlib.sha256(canonical(asdict(self.head)).encode() + b"\n")
        for row in self.rows:
            digest.update(canonical(asdict(row)).encode() + b"\n")
        return digest.hexdigest()

    def asked(self, part: Part) -> list[Row]:
        """The rows of a split that are asked: each picture once."""
        return [row for row in self.rows if row.split == part and row.copy_of is None]

    def layout(self, row: Row) -> Layout:
        """Where the keys of a row stand."""
        return Layout(row.height, row.width, row.thickness, self.head.segments, self.head.inside)


def keys_of(rows: Sequence[Row]) -> Keys:
    """(N, S)."""
    return np.array([row.keys for row in rows], dtype=np.float64)


def rows_to_ask(ledger: Ledger, limit: int | None = None) -> list[Row]:
    """The rows of both splits that are asked, at most `limit` of each, in an order that tells nothing of split or name."""
    chosen: list[Row] = []
    for part in get_args(Part):
        chosen += sorted(ledger.asked(part), key=lambda row: row.source_sha256)[:limit]
    return sorted(chosen, key=lambda row: (row.height, row.width, row.thickness, row.source_sha256))


def spare_rows(ledger: Ledger) -> list[Row]:
    """The held-out rows that calibrate distances between pictures, a quarter of them and at most SPARE; not scored."""
    rows = sorted(ledger.asked("held-out"), key=lambda row: row.source_sha256)
    return rows[: min(len(rows) // 4, SPARE)]


def save(folder: Path, ledger: Ledger, passphrase: str | None = None, left_out: Mapping[str, str] | None = None) -> None:
    """Write ledger, manifest and commitment, the manifest last, so that it is whole. Only the commitment is for others.

    `left_out` has the files that were not marked, with the reason.
    """
    content = _as_parquet(ledger)
    content = content if passphrase is None else sealing.seal(content, passphrase)
    counts = {part: sum(row.split == part for row in ledger.rows) for part in ("trained", "held-out")}
    public = {
        "schema": SCHEMA,
        "images": counts,
        "copies": sum(row.copy_of is not None for row in ledger.rows),
        "commitment": ledger.commitment,
        "created": ledger.head.created,
        "version": ledger.head.version,
    }
    file = PLAIN if passphrase is None else SEALED
    manifest = {**public, "file": file, "sha256": hashlib.sha256(content).hexdigest(), "left_out": dict(left_out or {})}
    write_private(folder / file, content)
    write_private(folder / COMMITMENT, (json.dumps(public, indent=1) + "\n").encode(), mode=0o644)
    write_private(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest. Raises InvalidValue where there is none, DamagedFile for one of another schema."""
    path = folder / MANIFEST
    if not path.is_file():
        cure = "Give the folder that `solidmark mark` wrote beside OUT; if it was interrupted, run it again first."
        raise InvalidValue(f"ledger {folder}", f"no {MANIFEST}", "the folder of a ledger", cure)
    try:
        found = json.loads(path.read_bytes())
        schema, lacking = str(found["schema"]), {"file", "sha256", "commitment"} - set(found)
    except (ValueError, KeyError, TypeError) as cause:
        raise DamagedFile(str(path), "no manifest", SCHEMA, "Take a backup.") from cause
    if schema != SCHEMA:
        raise DamagedFile(str(path), f"schema {schema[:60]}", SCHEMA, "Install a newer solidmark to read it.")
    if lacking or found["file"] not in (PLAIN, SEALED):
        raise DamagedFile(str(path), f"no {', '.join(sorted(lacking)) or 'known file'}", "a manifest", "Take a backup.")
    return dict(found)


def load(folder: Path, passphrase: str | None = None) -> Ledger:
    """The ledger of a folder, whole and as it was committed to.

    Raises DamagedFile for one that was truncated, altered or written by a newer version, InvalidValue for a wrong or
    missing passphrase.
    """
    stated = manifest(folder)
    path = folder / stated["file"]
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise DamagedFile(str(path), f"{cause.strerror}", "the ledger", "Take a backup.") from cause
    if hashlib.sha256(content).hexdigest() != stated["sha256"]:
        raise DamagedFile(str(path), "other bytes than its manifest states", "the ledger as written", "Take a backup.")
    if stated["file"] == SEALED:
        if passphrase is None:
            cure = "Set SOLIDMARK_PASSPHRASE, or give --passphrase-file."
            raise InvalidValue(str(path), "a sealed ledger, and no passphrase", "its passphrase", cure)
        content = sealing.unseal(content, passphrase, str(path))
    ledger = _from_parquet(content, str(path))
    if ledger.commitment != stated["commitment"]:
        raise DamagedFile(
            str(path), "rows other than those that were committed to", "the ledger as written", "Take a backup."
        )
    return ledger


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that only its owner can read, whole or not at all. Raises InvalidValue where the disk refuses."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as cause:
        with suppress(OSError):
            draft.unlink()
        cure = "Free some space, or choose another folder."
        raise InvalidValue(str(path), f"{cause}", "room and permission to write", cure) from cause


def _as_parquet(ledger: Ledger) -> bytes:
    columns = {f.name: [getattr(row, f.name) for row in ledger.rows] for f in fields(Row)}
    table = pa.table({name: pa.array(values, type=_TYPES[name]) for name, values in columns.items()})
    table = table.replace_schema_metadata({"solidmark": json.dumps(asdict(ledger.head))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _from_parquet(content: bytes, where: str) -> Ledger:
    try:
        table = pq.read_table(io.BytesIO(content))
        head = Head(**json.loads(table.schema.metadata[b"solidmark"]))
        rows = tuple(Row(**{**row, "keys": tuple(row["keys"])}) for row in table.to_pylist())
    except (ValueError, KeyError, TypeError, OSError, pa.ArrowException) as cause:
        raise DamagedFile(
            where, f"{type(cause).__name__}: {cause}"[:200], f"a ledger, {SCHEMA}", "Take a backup."
        ) from cause
    return Ledger(head, rows)


_TYPES = {
    "number": pa.int64(),
    "source": pa.string(),
    "source_sha256": pa.string(),
    "marked": pa.string(),
    "marked_sha256": pa.string(),
    "split": pa.string(),
    "caption": pa.string(),
    "keys": pa.list_(pa.float64()),
    "height": pa.int32(),
    "width": pa.int32(),
    "thickness": pa.int32(),
    "colour": pa.bool_(),
    "copy_of": pa.int64(),
    "done": pa.string(),
}
