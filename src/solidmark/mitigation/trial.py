"""A trial: plugins of other distributions are imported in a child process first, which may hang, exit or crash.

Nothing in Python can interrupt an import that blocks signals, or survive `os._exit`. So the first process that meets
such a module lets a child import it and make its mitigations. What came back is noted in the cache folder, under the
distribution, its version, and the times of the module's files, so that later starts ask no child.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

DONE = 93
"""Exit code of a child that came to its end."""
FRESH = 600.0
"""Seconds for which a failure is believed without another try: by the other workers of a run, not by the next one."""
ENDS = "ends the process"
KILLED = f"{ENDS}, SIGKILL"
PROGRAM = "from solidmark.mitigation.trial import child; child()"


def faults(origin: Sequence[str], values: Sequence[str], patience: float, cache: Path) -> dict[str, str]:
    """Why entry points (`module:Class`, all of one module) of a distribution cannot be loaded at all, by entry point.

    `origin` is the distribution and its version. Empty where all came back, even with an exception.
    """
    files = _files(values[0].partition(":")[0])
    if not files:  # there is no such module, which an import says at once
        return {}
    stamps = [[str(path), status.st_mtime_ns, status.st_size] for path in files for status in [path.stat()]]
    key = json.dumps([list(origin), list(values), sys.executable, patience, stamps])
    note = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    known = _noted(note)
    if known is not None:
        return known
    try:
        found = _tried(values, patience)
    except OSError:  # no process or file to be had, which is no fault of the plugin: it is imported without a trial
        return {}
    if not any(fate.endswith(KILLED) for fate in found.values()):  # by whom is not known: the next process tries again
        _write(note, found)
    return found


def _files(module: str) -> list[Path] | None:
    """The files of a module's topmost package, found without importing anything; None where there is no such package."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    single = [Path(spec.origin)] if spec.origin is not None else []
    every = [*single, *(path for folder in folders for path in folder.rglob("*.py"))]
    return sorted({path for path in every if path.is_file()})


def _noted(note: Path) -> dict[str, str] | None:
    """What an earlier child found; None where there was none, or where its failure is old."""
    try:
        found: dict[str, str] = json.loads(note.read_text())
        fresh = time.time() - note.stat().st_mtime < FRESH
    except (OSError, ValueError):
        return None
    return found if not found or fresh else None


def _write(note: Path, found: dict[str, str]) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        draft = note.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(found))
        os.replace(draft, note)
    except OSError:
        return  # without a cache the next process asks a child again


def _tried(values: Sequence[str], patience: float) -> dict[str, str]:
    """Let children load the entry points in turn. One that ends a child is named, and the next child goes on after it."""
    found: dict[str, str] = {}
    left = list(values)
    while left:
        done, fate = _one_child(left, patience)
        if fate == KILLED:  # perhaps by somebody else, as for want of memory
            done, fate = _one_child(left, patience)
        if fate is None:
            return found
        if done == 0:  # the module itself
            return dict.fromkeys(values, f"its import {fate}")
        found[left[done - 1]] = f"its class {fate}"
        left = left[done:]
    return found


def _one_child(values: Sequence[str], patience: float) -> tuple[int, str | None]:
    """How many entry points a child began with, and what ended it before its end, or None."""
    path = os.pathsep.join(folder for folder in sys.path if folder)
    with tempfile.TemporaryFile() as progress:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps([sys.path, list(values)])],
            stdin=subprocess.DEVNULL,
            stdout=progress,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"},
        )
        try:
            code = process.wait(patience)
            fate = None if code == DONE else f"{ENDS}, {_ending(code)}"
        except subprocess.TimeoutExpired:
            fate = f"has no end after {patience:g} s, nor a way to interrupt it"
        finally:
            _end(process)
        progress.seek(0)
        return len(progress.read()), fate


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child's whole group: what it started, too."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (OSError, AttributeError):
        process.kill()
    process.wait()


def child() -> None:
    """What the child does: import, then make each class and list its settings. What they raise is no matter here."""
    sys.path[:], values = json.loads(sys.argv[1])
    progress = os.dup(1)
    os.dup2(2, 1)  # what a plugin prints is no progress
    with suppress(BaseException):  # the parent has it again, and names it
        loaded = importlib.import_module(values[0].partition(":")[0])
        for value in values:
            os.write(progress, b".")
            with suppress(BaseException):
                _make(attrgetter(value.partition(":")[2].partition("[")[0].strip())(loaded))
    os._exit(DONE)


def _make(kind: object) -> None:
    """An object of a class, and its settings."""
    made: Any = kind() if isinstance(kind, type) else None
    if hasattr(made, "settings"):
        list(islice(made.settings(), 1000))
