"""Lines: a file that says what is done so far, so that work goes on after an interruption. One write a line."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ..errors import DamagedFile, InvalidValue, SolidmarkError
from .ledger import write_private


def is_empty(path: Path) -> bool:
    """Whether there is such a file, without an entry that was written whole."""
    return path.is_file() and path.read_bytes().count(b"\n") < 2


class Lines:
    """A private file of JSON objects: a `head`, made once, and the `entries` that earlier runs have added.

    A torn last line, of a process that died while writing, is removed. With `anew` a file without an entry is begun anew,
    and removed where nothing came to it: work that has no results yet stands in nobody's way. Raises DamagedFile for any
    other bad line.
    """

    def __init__(self, path: Path, head: dict[str, Any], *, anew: bool = False) -> None:
        self.path, self.anew = path, anew
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or (anew and is_empty(path)):
                write_private(path, json.dumps(head).encode() + b"\n")
            lines = path.read_bytes().split(b"\n")
            self.head, *self.entries = (dict(json.loads(line)) for line in lines[:-1])
            with path.open("r+b") as file:
                file.truncate(sum(len(line) + 1 for line in lines[:-1]))
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as cause:
            cure = "Choose another folder."
            raise InvalidValue(str(path.parent), f"{cause}", "a folder that can be written", cure) from cause
        except SolidmarkError:
            raise
        except (ValueError, TypeError) as cause:
            cure = f"Remove {path.parent}, and begin anew."
            raise DamagedFile(str(path), f"{cause}", "a JSON object a line", cure) from cause

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry. Raises InvalidValue where the disk refuses."""
        line = json.dumps(entry, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            if os.write(self._handle, line) != len(line):
                raise OSError("the disk took only a part of a line")
        except OSError as cause:
            cure = "Free some space, then run the same command again."
            raise InvalidValue(str(self.path), f"{cause}", "room to write", cure) from cause

    def check_same(self, stated: dict[str, Any]) -> None:
        """Raises InvalidValue where the work that was begun is not this one."""
        changed = [name for name in stated if self.head.get(name) != json.loads(json.dumps(stated[name]))]
        if changed:
            found = f"work that was interrupted, with other {', '.join(changed)}"
            cure = f"Give the same as before, or give another folder, or remove {self.path.parent} to begin anew."
            raise InvalidValue(str(self.path), found, "the same again", cure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        os.close(self._handle)
        if self.anew and not self.entries:
            with suppress(OSError):
                self.path.unlink()
                self.path.parent.rmdir()  # where it holds nothing else
