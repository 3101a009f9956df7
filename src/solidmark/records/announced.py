"""Announced files of records: the controller names each before its worker starts, so that no other file counts.

A plugin can write into the folder of a run. A file that it adds there is no record of the run. `<run>/writers.json` lists
the names; a run without it, as an old one, is read whole.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection
from pathlib import Path

from .files import write_text

FILE = "writers.json"


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
