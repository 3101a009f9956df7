"""Records: one line of JSON a case, written once by the process that measured it, and their reader.

    <run>/run.json              provenance of the run
    <run>/records/*.jsonl       the record of truth: one file a process, one `os.write` a record
    <run>/items/<case>.parquet  keys, predictions, distances and p-values of each image, for each query
    <run>/leaderboard.*         rendered from the above, at any time again

Unknown is null with a reason, never 0 and never NaN.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import DamagedFile, InvalidValue

SCHEMA = "solidmark.record/1"
BENCHMARK_VERSION = 1
"""Raised by hand when the meaning of a number changes; runs of different versions are not mixed."""

MEASURED = ("ok", "failed_check")
"""Statuses of records that have numbers; those of a failed check are not to be believed."""

Record = dict[str, Any]


class Writer:
    """Appends records to a file of this process alone, one write each, flushed to disk."""

    def __init__(self, run: Path, worker: str = "main") -> None:
        self.run, self.worker = run, worker
        self._path = self._fresh_path()

    def _fresh_path(self) -> Path:
        return self.run / "records" / f"{self.worker}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"

    def write(self, record: Mapping[str, Any]) -> None:
        """Add schema, time, worker and process, and write the line. Raises InvalidValue where the disk refuses."""
        stamped = {
            "schema": SCHEMA,
            "t": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "worker": self.worker,
            "pid": os.getpid(),
            **record,
        }
        text = json.dumps(stamped, allow_nan=False, ensure_ascii=True, separators=(",", ":"), default=_plain)
        try:
            self._append(text.encode() + b"\n")
        except OSError as cause:
            self._path = self._fresh_path()  # a torn last line must never become a torn middle
            cure = "Free some space, or choose another folder with --run-dir."
            raise InvalidValue(f"run folder {self.run}", f"{cause}", "room and permission to write", cure) from cause

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if os.write(handle, line) != len(line):
                raise OSError("the disk took only a part of a record")
            os.fsync(handle)
        finally:
            os.close(handle)


def _plain(value: Any) -> Any:
    """NumPy scalars and paths as JSON; anything else is our bug."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be written to a record")


def read(run: Path) -> tuple[list[Record], list[str]]:
    """All records of a run folder, in order of file and line, and notes on torn last lines, which are left out.

    Raises DamagedFile for a bad line elsewhere, naming file and line, and for a newer schema.
    """
    if not (run / "records").is_dir():
        raise InvalidValue(str(run), "no folder `records`", "the folder of a run", "Give a folder that a run has written.")
    found: list[Record] = []
    notes: list[str] = []
    for path in sorted((run / "records").glob("*.jsonl")):
        lines = path.read_bytes().split(b"\n")
        if lines[-1]:
            notes.append(f"{path.name}: its last line is incomplete (a process died while writing) and was left out")
        found.extend(_parsed(line, f"{path}, line {number}") for number, line in enumerate(lines[:-1], start=1) if line)
    return found, notes


def _parsed(line: bytes, place: str) -> Record:
    try:
        record = json.loads(line, parse_constant=_refused)
        schema = record["schema"]
    except (ValueError, KeyError, TypeError) as cause:
        cure = "Remove the line, or run those cases again with --resume."
        raise DamagedFile(place, line[:60].decode(errors="replace"), "a record", cure) from cause
    if schema != SCHEMA:
        newer = "Install a newer solidmark to read it."
        raise DamagedFile(place, f"schema {schema}", SCHEMA, newer)
    return dict(record)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def latest(records: Iterable[Record]) -> list[Record]:
    """One record a case: its last measured attempt, else its last attempt; in order of first appearance."""
    chosen: dict[str, Record] = {}
    for record in records:
        before = chosen.get(record["case_id"])
        if before is None or record["status"] in MEASURED or before["status"] not in MEASURED:
            chosen[record["case_id"]] = record
    return list(chosen.values())


def attempt(run: Path, case_id: str) -> int:
    """Which attempt at a case begins now: one more than the controller has noted kills of it in whole lines."""
    files = sorted((run / "records").glob("controller-*.jsonl"))
    notes = [json.loads(line) for path in files for line in path.read_bytes().split(b"\n")[:-1]]
    return 1 + sum(bool(note["case_id"] == case_id) for note in notes)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that no reader ever sees half of it."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that no reader ever sees half of it. Raises InvalidValue where the disk refuses."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as cause:
        with suppress(OSError):
            draft.unlink()
        cure = "Free some space, or choose another folder."
        raise InvalidValue(str(path), f"{cause}", "room and permission to write", cure) from cause
