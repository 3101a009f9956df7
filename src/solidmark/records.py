"""Records: one line of JSON a case, written once by the process that measured it, and their reader.

    <run>/run.json              provenance of the run
    <run>/records/*.jsonl       the record of truth: one file a process, one `os.write` a record; also read as `.jsonl.gz`
    <run>/per_image/*.parquet   keys, predictions, distances and p-values of each image, for each query
    <run>/leaderboard.*         rendered from the above, at any time again

Unknown is null with a reason, never 0 and never NaN.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import time
import uuid
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import DamagedFile, InvalidValue, cleaned
from .schema.publish import record_type
from .schema.record import SCHEMA, Record
from .schema.upgrade import READABLE, upgraded
from .timeouts import end_copies

BENCHMARK_VERSION = 1
"""Raised by hand when the meaning of a number changes; runs of different versions are not mixed."""

CURE = "Remove the line, then run its case again with --resume."

RECORDS = re.compile(r"\.jsonl(\.gz)?$")
"""What files of records are called."""

MEASURED = ("ok", "failed_check")
"""Statuses of records that have numbers; those of a failed check are not to be believed."""

MEASURED_BLOCKS = ("seed", "solver", "queries", "controls", "utility", "cost")
"""What a case of such a status has."""


class Writer:
    """Appends records to a file of this process alone, one write each, flushed to disk."""

    def __init__(self, run: Path, worker: str = "main") -> None:
        self.run, self.worker, self._pid = run, worker, os.getpid()
        self._path = self._fresh_path()

    def _fresh_path(self) -> Path:
        return self.run / "records" / f"{self.worker}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"

    def write(self, record: Mapping[str, Any]) -> Record:
        """Add schema, time, worker and process, write the line, and return what was written.

        A copy of the process, which a plugin forked, ends here and writes nothing.
        Raises DamagedFile for what is no record, and InvalidValue where the disk refuses.
        """
        end_copies(self._pid)
        stamped = {
            "schema": SCHEMA,
            "t": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "worker": self.worker,
            "pid": os.getpid(),
            **record,
        }
        text = json.dumps(stamped, allow_nan=False, ensure_ascii=True, separators=(",", ":"), default=_plain)
        plain = _cleaned(json.loads(text))
        written = checked(plain, f"record of {record.get('slug')}", "This is a fault of solidmark: report it.")
        text = json.dumps(plain, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
        try:
            self._append(text.encode() + b"\n")
        except OSError as cause:
            self._path = self._fresh_path()  # a torn last line must never become a torn middle
            cure = "Free some space, or choose another folder with --run-dir."
            raise InvalidValue(f"run folder {self.run}", f"{cause}", "room and permission to write", cure) from cause
        return written

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if os.write(handle, line) != len(line):
                raise OSError("the disk took only a part of a record")
            os.fsync(handle)
        finally:
            os.close(handle)


def _cleaned(value: Any) -> Any:
    """Plain JSON whose texts, names too, steer no terminal and have UTF-8, whoever wrote them (see `errors.cleaned`)."""
    if isinstance(value, dict):
        return {cleaned(name): _cleaned(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    return cleaned(value) if isinstance(value, str) else value


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
    for path in sorted(path for path in (run / "records").iterdir() if path.is_file() and RECORDS.search(path.name)):
        lines = _unpacked(path).split(b"\n")
        if lines[-1]:
            notes.append(f"{path.name}: its last line is incomplete (a process died while writing) and was left out")
        found.extend(_parsed(line, f"{path}, line {number}") for number, line in enumerate(lines[:-1], start=1) if line)
    return found, notes


def _unpacked(path: Path) -> bytes:
    """The bytes of a file of records, unpacked where it is compressed. Raises DamagedFile where it cannot be."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            if not path.stat().st_size:
                raise EOFError("an empty file")
            return file.read()
    except (EOFError, OSError, zlib.error) as cause:
        raise DamagedFile(str(path), f"{cause}", "a gzip file of records", "Fetch these records again.") from cause


def _parsed(line: bytes, where: str) -> Record:
    """A record, upgraded to the present schema and checked against it."""
    try:
        record = json.loads(line, parse_constant=_refused, parse_float=_finite)
        schema = str(record["schema"])
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise DamagedFile(where, line[:60].decode(errors="replace"), "a record", CURE) from cause
    if schema not in READABLE:
        newer = re.fullmatch(r"solidmark\.record/\d+", schema)
        raise DamagedFile(where, f"schema {schema[:60]}", SCHEMA, "Install a newer solidmark to read it." if newer else CURE)
    return checked(upgraded(record), where)


def checked(record: Mapping[str, Any], where: str, cure: str = CURE) -> Record:
    """The record itself. Raises DamagedFile, naming the first block that is not what `schema.record` says."""
    from pydantic import ValidationError  # not before there is a record

    try:
        typed = record_type().validate_python(record, strict=True)
    except ValidationError as cause:
        first = cause.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"][1:]) or "event"
        if first["type"] in ("missing", "union_tag_not_found"):
            raise DamagedFile(where, f"no {path}", "a value for it", cure) from cause
        raise DamagedFile(where, f"{path} = {first['input']!r:.60}", first["msg"], cure) from cause
    lacking = [name for name in MEASURED_BLOCKS if record.get(name) is None]
    if typed["event"] == "case" and typed["status"] in MEASURED and lacking:
        raise DamagedFile(
            where, f"status {typed['status']}, and no {', '.join(lacking)}", "numbers of a measured case", cure
        )
    return record  # type: ignore[return-value]  # it was checked above


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text)


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
    """Write a text file so that no reader ever sees half of it. What has no UTF-8 is written with a backslash."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_first(path: Path, text: str) -> str:
    """Write a text file unless it is there, and return what is there: the text of whichever process came first."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.draft")
    if not path.exists():
        write_text(draft, text)
        try:
            os.link(draft, path)  # which fails where another was faster
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            write_text(path, text)
        draft.unlink(missing_ok=True)
    return path.read_text()


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
