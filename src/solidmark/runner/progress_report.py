"""Watching a run: workers write how far they are, the controller reads it and says when it will be done."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SolidmarkError
from ..records import write_text


@dataclass
class Reporter:
    """A `Progress` that writes `<run>/progress/<worker>.json`, at most twice a second."""

    run: Path
    worker: str
    case: str = ""
    _written: float = field(default=0.0, repr=False)

    def __call__(self, what: str, done: int, of: int) -> None:
        """What is done now, and how much of it."""
        now = time.monotonic()
        if now - self._written < 0.5 and done != of:
            return
        self._written = now
        state = {"worker": self.worker, "case": self.case, "what": what, "done": done, "of": of, "t": time.time()}
        try:
            write_text(self.run / "progress" / f"{self.worker}.json", json.dumps(state))
        except SolidmarkError:
            self._written = float("inf")  # progress is a courtesy: a full disk is told where a record is lost


def states(run: Path) -> list[dict[str, Any]]:
    """What every worker said last; a file caught half-written is left out."""
    found = []
    for path in sorted((run / "progress").glob("*.json")):
        try:
            found.append(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return found


def line(found: list[dict[str, Any]], finished: int, planned: int, left: float | None, now: float) -> str:
    """`5 of 24 cases, about 2:10 left | gw0: digits-agc-0.5-s0 train 310/600 | …`"""
    head = f"{finished} of {planned} cases" if planned else f"{finished} cases"
    if left is not None:
        head += f", about {int(left // 60)}:{int(left % 60):02d} left"
    return " | ".join([head, *(_state(one, now) for one in found)])


def _state(one: dict[str, Any], now: float) -> str:
    count = f" {one['done']}/{one['of']}" if one["of"] else f" {one['done']} s"
    silence = f" (no sign of life for {int(now - one['t'])} s)" if now - one["t"] > 60 else ""
    return f"{one['worker']}: {one['case']} {one['what']}{count}{silence}"


def time_left(elapsed: float, done_weight: float, total_weight: float) -> float | None:
    """Seconds that the rest takes at the pace so far; None before anything is done."""
    return elapsed * (total_weight - done_weight) / done_weight if done_weight > 0 else None


class Ticker:
    """A daemon thread that says `text()` every `seconds`; xdist's own loop leaves no room for it."""

    def __init__(self, seconds: float, say: Callable[[], None]) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(seconds, say), daemon=True, name="solidmark progress")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, at once."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self, seconds: float, say: Callable[[], None]) -> None:
        while not self._stop.wait(seconds):
            say()
