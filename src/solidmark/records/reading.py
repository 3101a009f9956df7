"""The reader: all records of a run folder that can be read, and what was left out."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import DamagedFile, InvalidValue
from ..schema.record import SCHEMA, Record
from ..schema.upgrade import READABLE, upgraded
from . import announced
from .validity import CURE, MEASURED, checked

Kind = TypeVar("Kind", bound=Record)

FOREIGN = "Look who wrote it. Where the run itself died at that moment, --resume measures the case again."

RECORDS = re.compile(r"\.jsonl(\.gz)?$")
"""What files of records are called."""


class Reading(NamedTuple):
    """What a run folder holds: its records; notes on what was left out; what was set aside because it is damaged."""

    records: list[Record]
    notes: list[str]
    damaged: list[str]


def read(run: Path) -> Reading:
    """All records of a run folder, in order of file and line.

    Left out with a note: a torn last line, and a file that no worker of the run has announced. Set aside as damaged, by
    file, line and reason: any other line that is no record, one of a newer schema, or one that no worker of the run has
    made (`announced.lines`). Raises InvalidValue where no run is.
    """
    if not (run / "records").is_dir():
        raise InvalidValue(str(run), "no folder `records`", "the folder of a run", "Give a folder that a run has written.")
    found, names, lines = Reading([], [], []), announced.read(run), announced.lines(run)
    for path in sorted(path for path in (run / "records").iterdir() if path.is_file() and RECORDS.search(path.name)):
        if names is None or announced.covers(names, path.name):
            _read_file(path, found, announced.known(lines, path.name))
        else:
            found.notes.append(f"records/{path.name}: no worker of this run has announced this file; it was left out")
    return found


def _read_file(path: Path, found: Reading, known: Collection[str] | None) -> None:
    """Add what a file holds: all its lines, or those alone whose digests are known."""
    try:
        lines = unpacked(path).split(b"\n")
    except DamagedFile as damage:
        found.damaged.append(str(damage))
        return
    if lines[-1]:
        found.notes.append(f"{path.name}: its last line is incomplete (a process died while writing) and was left out")
    for number, line in enumerate(lines[:-1], start=1):
        where = f"records/{path.name}, line {number}"
        try:
            if line and known is not None and announced.digest(line) not in known:
                raise DamagedFile(where, line[:60].decode(errors="replace"), "a line that this run has made", FOREIGN)
            found.records.extend([_parsed(line, where)] if line else [])
        except DamagedFile as damage:
            found.damaged.append(str(damage))


def lines_now(run: Path) -> dict[str, list[str]]:
    """The digests of all lines of a run that goes on: those that it announced, else of what its files hold now."""
    found, folder = announced.lines(run), run / "records"
    for path in folder.iterdir() if folder.is_dir() else ():
        if RECORDS.search(path.name) and announced.known(found, path.name) is None:
            with suppress(DamagedFile):
                found[RECORDS.sub("", path.name)] = [*map(announced.digest, unpacked(path).split(b"\n")[:-1])]
    return found


def unpacked(path: Path) -> bytes:
    """The bytes of a file of records, unpacked where it is compressed. Raises DamagedFile where they cannot be had."""
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as file:
            if not path.stat().st_size:
                raise EOFError("an empty file")
            return file.read()
    except (EOFError, OSError, zlib.error) as cause:
        raise DamagedFile(f"records/{path.name}", f"{cause}", "a file of records", "Fetch these records again.") from cause


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


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text)


def latest(records: Iterable[Kind]) -> list[Kind]:
    """One record a case: its last measured attempt, else its last attempt; in order of first appearance."""
    chosen: dict[str, Kind] = {}
    for record in records:
        before = chosen.get(record["case_id"])
        if before is None or _standing(record) >= _standing(before):
            chosen[record["case_id"]] = record
    return list(chosen.values())


def _standing(record: Record) -> tuple[bool, str]:
    """What stands for a case is measured, and the last of its kind, in whichever file it is."""
    return record["status"] in MEASURED, str(record.get("t", ""))


def attempt(run: Path, case_id: str) -> int:
    """Which attempt at a case begins now: one more than the controller has noted kills of it in whole lines."""
    files = (run / "records").glob("controller-*.jsonl")
    made = announced.lines(run)
    lines = [line for path in files for line in _lines(path, announced.known(made, path.name))]
    return 1 + sum(case_id == _case_id(line) for line in lines)


def _lines(path: Path, known: Collection[str] | None) -> list[bytes]:
    """The whole lines of a file that count."""
    found = path.read_bytes().split(b"\n")[:-1]
    return [line for line in found if known is None or announced.digest(line) in known]


def _case_id(line: bytes) -> str | None:
    """The case of a line; None where it is damaged."""
    try:
        return str(json.loads(line)["case_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
