"""Announced files of records: the controller names each before its worker starts, so that no other file counts.

A plugin can write into the folder of a run. A file that it adds there is no record of the run, nor is a line that it adds
to a file of another. `<run>/writers.json` lists the names, and `<run>/lines.json` the digests of the lines that each writer
made, as it told the controller. A run without them, as an old one, is read whole.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path

from .files import write_text

FILE = "writers.json"
LINES = "lines.json"


def fresh_name(worker: str) -> str:
    """A name for the file of a worker, without its ending, that no other file has."""
    return f"{worker}-{uuid.uuid4().hex[:12]}"


def write(run: Path, names: Collection[str]) -> None:
    """Write the names of all announced files. Raises InvalidValue where the disk refuses."""
    write_text(run / FILE, json.dumps(sorted(names), indent=1))


def read(run: Path) -> frozenset[str] | None:
    """The announced names; None for a run that has announced none, or whose list is damaged."""
    try:
        names = json.loads((run / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return frozenset(map(str, names)) if isinstance(names, list) else None


def existing(run: Path) -> frozenset[str]:
    """The names of a run that goes on: those that it announced, or all files of one that announced none."""
    names = read(run)
    if names is not None or not (run / "records").is_dir():
        return names or frozenset()
    return frozenset(path.name.partition(".jsonl")[0] for path in (run / "records").iterdir())


def covers(names: Collection[str], file: str) -> bool:
    """Whether a file has an announced name, or one that follows it after a line was torn."""
    stem = re.sub(r"\.jsonl(\.gz)?$", "", file)
    return stem in names or re.sub(r"-\d+$", "", stem) in names


def digest(line: bytes) -> str:
    """By which a line of records is known again, without its end."""
    return hashlib.sha256(line).hexdigest()[:24]


def write_lines(run: Path, lines: Mapping[str, Collection[str]]) -> None:
    """Write the digests of all lines of each announced name. Raises InvalidValue where the disk refuses."""
    write_text(run / LINES, json.dumps({name: list(made) for name, made in sorted(lines.items())}, indent=1))


def lines(run: Path) -> dict[str, list[str]]:
    """The digests that `write_lines` wrote; empty for a run that has none, or whose list is damaged."""
    try:
        found = json.loads((run / LINES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: list(map(str, made)) for name, made in found.items()} if isinstance(found, dict) else {}


def known(lines: Mapping[str, Collection[str]], file: str) -> Collection[str] | None:
    """The digests of the lines that may be in a file; None where its lines were not announced."""
    stem = re.sub(r"\.jsonl(\.gz)?$", "", file)
    return lines.get(stem, lines.get(re.sub(r"-\d+$", "", stem)))
