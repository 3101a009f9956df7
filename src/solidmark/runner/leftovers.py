"""Leftovers of a case: threads and child processes that go on after it, and changed data of a testbed."""

from __future__ import annotations

import atexit
import ctypes
import os
import pickle
import re
import signal
import sys
import sysconfig
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import CodeType
from typing import Any

from .. import plugins
from ..data import checksum
from ..measurement import untouched
from ..models import given
from .seal import Breach

ROOTS = tuple({Path(path) for name, path in sysconfig.get_paths().items() if name in ("stdlib", "purelib", "platlib")})
"""Where libraries are installed."""
INSTALLED = frozenset({"site-packages", "dist-packages"})

GRACE = 0.5
"""Seconds in which threads and processes of a case may come to their own end after it."""

PATIENCE = 3.0
"""Seconds in which a thread must end that was told to."""


class Running:
    """The threads and child processes that there are now."""

    def __init__(self) -> None:
        self._threads, self._children = set(threads()), set(children())

    def breaches(self) -> list[Breach]:
        """What has been started since and has not ended, each with its end."""
        wait(GRACE, lambda: set(threads()) <= self._threads and set(children()) <= self._children)
        frames = sys._current_frames()
        started = [ident for ident in threads() if ident not in self._threads and ident in frames]
        found = [Breach(f"a thread goes on at {_place(frames[ident])}", partial(end_thread, ident)) for ident in started]
        left = [pid for pid in children() if pid not in self._children]
        return [*found, *(Breach(f"a process goes on: {_program(pid)}", partial(end_process, pid)) for pid in left)]


def threads() -> list[int]:
    """Idents of all threads that run Python, also of those that `threading` does not know."""
    return list(sys._current_frames())


def children() -> list[int]:
    """The numbers of this process's children that run; none where the system does not tell."""
    found: list[int] = []
    for listed in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError, ValueError):
            found += [int(pid) for pid in listed.read_text(encoding="ascii").split()]
    return [pid for pid in found if _state(pid) not in ("Z", "X", "")]


def wait(seconds: float, over: Callable[[], bool]) -> None:
    """Until something is over, and so long at most."""
    end = time.monotonic() + seconds
    while not over() and time.monotonic() < end:
        time.sleep(0.005)


def end_thread(ident: int) -> None:
    """Raise SystemExit in a thread, at its next line of Python; one that catches it, or runs none, goes on."""
    hook, threading.excepthook = threading.excepthook, _silent
    try:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(SystemExit))
        wait(PATIENCE, lambda: ident not in threads())
    finally:
        threading.excepthook = hook


def _silent(_: object) -> None:
    """What a thread that is ended says."""


def end_process(pid: int) -> None:
    """Kill a child and wait for it."""
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _state(pid: int) -> str:
    """The letter of a process's state, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _program(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "unknown"
    return " ".join(word.decode(errors="replace") for word in words if word)[:80] or "unknown"


def _place(frame: Any) -> str:
    """The outermost line of a thread that is not Python's own: where it was begun."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    inner = [one for one in reversed(frames) if Path(one.f_code.co_filename) != Path(threading.__file__)]
    one = inner[0] if inner else frames[-1]
    return f"{Path(one.f_code.co_filename).name}, line {one.f_lineno}, in {one.f_code.co_name}"


class Exits:
    """The functions that Python will call at its exit: one of a plugin could change the exit code of a run, or hang it."""

    def __init__(self) -> None:
        self._before = {id(one) for one in at_exit()}

    def breaches(self) -> list[Breach]:
        """What has been registered since, but by libraries at their import."""
        new = [one for one in at_exit() if id(one) not in self._before and _is_plugins(one)]
        return [Breach(f"at its exit Python would call {_function(one)}", partial(atexit.unregister, one)) for one in new]


def at_exit() -> list[Any]:
    """All functions that `atexit` holds, which tells them to nobody but whom it compares them with."""
    found: list[Any] = []

    class Curious:
        def __eq__(self, other: object) -> bool:
            found.append(other)
            return False

        __hash__ = object.__hash__

    atexit.unregister(Curious())  # type: ignore[arg-type]
    return found


def _is_plugins(function: Any) -> bool:
    """Whether a function is of a package with plugins, of a file that is not installed, or Python's own, such as `os._exit`.

    Libraries register theirs in a case that imports them first, and many are written in C.
    """
    while isinstance(function, partial):
        function = function.func
    package = (getattr(function, "__module__", None) or "").partition(".")[0]
    if package in _plugged():
        return True
    if package in _distributed():  # from a checkout of its own, it may be
        return False
    module = getattr(sys.modules.get(package), "__file__", None)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    written = code.co_filename if isinstance(code, CodeType) and Path(code.co_filename).is_absolute() else None
    strange = any(not _is_installed(Path(file)) for file in (module, written) if file)
    return strange or package in sys.builtin_module_names


@cache
def _distributed() -> frozenset[str]:
    """The packages of all that is installed."""
    return frozenset(metadata.packages_distributions())


def _is_installed(file: Path) -> bool:
    """Whether a file is of Python or of what was installed for any Python: environments may share their libraries."""
    return not INSTALLED.isdisjoint(file.parts) or any(file.is_relative_to(root) for root in ROOTS)


def _plugged() -> set[str]:
    """The packages of other people that have plugins."""
    every = [plugin for group in plugins.GROUPS.values() for plugin in plugins.discover(group)]
    return {re.split(r"[.:]", plugin.value)[0] for plugin in every if not plugin.own}


def _function(one: Any) -> str:
    return f"{getattr(one, '__module__', '')}.{getattr(one, '__qualname__', type(one).__qualname__)}"


class Data:
    """The images and the judge of a testbed, and what its models share, which are made once for all rows of a process."""

    def __init__(self, testbed: Any) -> None:
        from .. import testbed as module

        self._name = type(testbed).__name__
        self._caches = module._judge, module._distinct
        self._judge, self._labelled = testbed.judge(), module._distinct(testbed)
        network = testbed.recipe.network
        self._network = network if isinstance(network, given.GivenNetwork) else None
        self._before = self._digests()

    def breaches(self) -> list[Breach]:
        """What has changed since; it is made anew where it is put back."""
        pairs = zip(self._digests().items(), self._before.values(), strict=True)
        return [Breach(f"{name} of {self._name}", self._forget) for (name, now), before in pairs if now != before]

    def _digests(self) -> dict[str, int | str]:
        images, labels = self._labelled.images, self._labelled.labels
        return {
            "the images": checksum(images),
            "the classes": zlib.crc32(labels.tobytes()),
            "the judge": _digest(self._judge),
            "what all models share": "" if self._network is None else self._shared(self._network),
        }

    def _shared(self, network: given.GivenNetwork) -> str:
        return repr(untouched.checksum(given.shared_state(network)))

    def _forget(self) -> None:
        for kept in self._caches:
            kept.cache_clear()
        given.forget()


def _digest(judge: object) -> int | str:
    """A checksum of all that an object holds; what cannot be pickled has been tampered with."""
    try:
        return zlib.crc32(pickle.dumps(judge))
    except Exception as error:
        return type(error).__name__
