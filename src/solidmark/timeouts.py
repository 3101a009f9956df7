"""Timeouts: a plugin that hangs costs its own case, with a name and a reason, and never stalls a run."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

AFTER = 1.5
"""What cannot be interrupted (a kernel, a blocked signal) ends its process after so many times the limit."""


class TimeUp(BaseException):
    """Raised inside whatever runs longer than its limit; no `except Exception` on the way catches it."""

    def __init__(self, seconds: float, where: str) -> None:
        self.seconds, self.where = seconds, where
        super().__init__(f"no end after {seconds:g} s; it was at {where}")


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeUp in what runs longer than `seconds`, again every second until it ends; 0 is no limit.

    Works by SIGALRM, hence in the main thread of a POSIX process; anywhere else there is no limit.
    """
    if not seconds or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, frame: FrameType | None) -> None:
        raise TimeUp(seconds, _location(frame))

    began, handler = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    outer, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer:  # an outer limit goes on
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - began), 1e-3), interval)


class Interrupts:
    """Whether the user, or anybody by a signal, has interrupted this process."""

    came = False


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Notes whether SIGINT arrives inside, where it raises KeyboardInterrupt as ever.

    A KeyboardInterrupt without a signal was raised by a plugin, and is its fault. Outside of the main thread, or where
    SIGINT is not handled by Python, no signal raises anything.
    """
    noted, handler = Interrupts(), signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        for watch in _WATCHES:
            watch.came = True
        if callable(handler):
            handler(number, frame)

    handled = callable(handler) and threading.current_thread() is threading.main_thread()
    if handled:
        signal.signal(signal.SIGINT, note)
    _WATCHES.append(noted)
    try:
        yield noted
    finally:
        _WATCHES.remove(noted)
        if handled:
            signal.signal(signal.SIGINT, handler)


_WATCHES: list[Interrupts] = []
"""The watches of `interrupts` that are on, the innermost last."""


def is_fault(error: BaseException) -> bool:
    """Whether an exception from a plugin's code is its own fault, SystemExit and a made-up KeyboardInterrupt too.

    TimeUp is the suite's, and a KeyboardInterrupt the user's, unless `interrupts` watches and saw no signal.
    """
    if isinstance(error, KeyboardInterrupt):
        return bool(_WATCHES) and not _WATCHES[-1].came
    return not isinstance(error, TimeUp)


def end_copies(pid: int) -> None:
    """End this process where it is no longer the process `pid`: a plugin has forked, and the copy must not go on."""
    if os.getpid() != pid:
        os._exit(1)


@contextmanager
def exit_after(seconds: float, note: Path, name: str) -> Iterator[None]:
    """End this process where what is inside takes longer than AFTER times `seconds`, leaving `name` and its stack in `note`.

    A thread of C does it, so that nothing in Python can prevent it. Only for a process that is replaced when it ends; for
    any other, and without a limit, `seconds` is 0. The note is there while this lasts, whoever ends the process.
    """
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{name}\n{os.getpid()}\n")
        file.flush()
        if seconds:
            faulthandler.dump_traceback_later(AFTER * seconds, exit=True, file=file)
        try:
            yield
        finally:
            if seconds:
                faulthandler.cancel_dump_traceback_later()
            note.unlink(missing_ok=True)


def forget(folder: Path, name: str) -> None:
    """Remove the note of a name, whose end is known."""
    for note in folder.glob("*.txt"):
        if note.read_text(encoding="utf-8", errors="replace").partition("\n")[0] == name:
            note.unlink(missing_ok=True)


def unended(folder: Path) -> list[str]:
    """The names in notes of `exit_after` whose processes are gone; these notes are removed."""
    names = []
    for note in sorted(folder.glob("*.txt")):
        try:
            name, pid = note.read_text(encoding="utf-8", errors="replace").splitlines()[:2]
            alive = _lives(int(pid))
        except (OSError, ValueError):  # torn: it was begun, and nobody knows what
            name, alive = "", False
        if not alive:
            note.unlink(missing_ok=True)
            names += [name] if name else []
    return names


def _lives(pid: int) -> bool:
    """Whether there is a process of this number. One that ended, and that nobody has waited for, is none."""
    try:
        os.kill(pid, 0)
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2][:4]
    except ProcessLookupError:
        return False
    except OSError:
        return True


def last_location(note: Path, name: str) -> str | None:
    """The line that `name` was at when `exit_after` ended its process; None where that did not happen."""
    try:
        first, _, rest = note.read_text(encoding="utf-8", errors="replace").partition("\n")
    except OSError:
        return None
    main = rest.rpartition("(most recent call first)")[2]  # of all threads, it comes last
    lines = [line.strip() for line in main.splitlines() if line.startswith("  File ")]
    if first != name or not lines:
        return None
    file, _, tail = lines[0].removeprefix('File "').partition('"')
    return f"{Path(file).name}{tail}"


def _location(frame: FrameType | None) -> str:
    """`mine.py, line 12, in predict`."""
    if frame is None:
        return "an unknown line"
    last = traceback.extract_stack(frame, limit=1)[0]
    return f"{Path(last.filename).name}, line {last.lineno}, in {last.name}"
