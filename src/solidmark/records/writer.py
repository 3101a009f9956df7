"""The writer: one line of JSON a case, written once by the process that measured it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import InvalidValue, cleaned
from ..schema.record import SCHEMA, Record
from ..timeouts import end_copies
from . import announced
from .files import write_bytes
from .validity import checked


class Writer:
    """Appends records to a file of this process alone, one write each, flushed to disk.

    Its `name` is that of its file, as the controller announced it; one of its own where none is given. `digests` are those
    of all lines that it has written.
    """

    def __init__(self, run: Path, worker: str = "main", name: str | None = None) -> None:
        self.run, self.worker, self._pid = run, worker, os.getpid()
        self.name, self._torn = name or announced.fresh_name(worker), 0
        self.digests: list[str] = []
        self._made = b""

    @property
    def _path(self) -> Path:
        """The file: another one after each line that the disk did not take, since a torn line must stay the last."""
        return self.run / "records" / f"{self.name}{f'-{self._torn}' if self._torn else ''}.jsonl"

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
        plain = _cleaned(json.loads(json.dumps(stamped, allow_nan=False, default=_plain)))
        written = checked(plain, f"record of {record.get('slug')}", "This is a fault of solidmark: report it.")
        text = json.dumps(plain, separators=(",", ":"))
        try:
            self._append(text.encode() + b"\n")
        except OSError as cause:
            self._torn, self._made = self._torn + 1, b""
            cure = "Free some space, or choose another folder with --run-dir."
            raise InvalidValue(f"run folder {self.run}", f"{cause}", "room and permission to write", cure) from cause
        self._made += text.encode() + b"\n"
        self.digests.append(announced.digest(text.encode()))
        return written

    def is_whole(self) -> bool:
        """Whether the file holds what this writer has written, and nothing else."""
        try:
            return self._found() == self._made
        except OSError:
            return False

    def put_back(self) -> None:
        """Write the file anew where another hand has changed it; what was there is kept beside it, as a file of nobody."""
        if self.is_whole():
            return
        with suppress(OSError):
            os.replace(self._path, self._path.with_suffix(".changed.jsonl"))
        if self._made:
            write_bytes(self._path, self._made)

    def _found(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""

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
