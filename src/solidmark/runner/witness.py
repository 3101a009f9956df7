"""The witness: which case writes into the records of a run, which only the suite may, between two cases."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from .seal import Breach

if TYPE_CHECKING:
    from ..records import Writer

WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC

MOVING = frozenset("os.rename os.remove os.truncate os.link os.symlink".split())
"""What else changes a file, as Python's audit events call it; `os.replace` is a rename."""


class Witness:
    """What a case does to the files of records. Python itself tells (PEP 578), in each process of its own cases.

    What C or a child process does is seen in this process's own file. Of several workers, none is then blamed, since any
    may have done it; the file is put back all the same.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._folder = os.path.realpath(writer.run / "records") + os.sep
        self._index = [os.path.realpath(writer.run / name) for name in ("writers.json", "lines.json", "run.json")]
        self._seen: list[str] = []
        self._looks = False

    def begin(self) -> None:
        """Before a case."""
        self._writer.put_back()  # what came from another worker meanwhile
        self._seen.clear()
        _hook()
        _WATCHING[:] = [self]
        self._looks = True

    def breaches(self) -> list[Breach]:
        """What the case has done since."""
        self._looks = False
        if not self._seen and not self._is_alone():
            self._writer.put_back()
        seen = [Breach(what, self._seen.clear) for what in dict.fromkeys(self._seen)]
        if self._writer.is_whole():
            return seen
        return [*seen, Breach(f"records/{self._writer.name}.jsonl was changed", self._writer.put_back)]

    def note(self, event: str, path: str) -> None:
        """Keep an event, if it is about records."""
        real = os.path.realpath(path) if self._looks else ""
        if real.startswith(self._folder) or real in self._index:
            self._seen.append(f"{event} of {os.path.relpath(real, self._writer.run)}, which only the suite writes")

    def _is_alone(self) -> bool:
        return os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") == "1"


_WATCHING: list[Witness] = []
"""The witness of this process, which is told."""


@cache
def _hook() -> None:
    """Let Python tell from now on: a hook stays for the life of a process."""
    sys.addaudithook(_told)


def _told(event: str, given: tuple[Any, ...]) -> None:
    """What Python tells of: whoever writes is noted, whatever becomes of it."""
    if not _WATCHING:
        return
    if event == "open" and isinstance(given[2], int) and given[2] & WRITING:
        paths, event = given[:1], "writing"
    elif event in MOVING:
        paths = given[:2]
    else:
        return
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike):
            _WATCHING[0].note(event.removeprefix("os."), os.fsdecode(path))
