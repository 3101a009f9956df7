"""Progress report of a run: workers write how far they are; the controller reads it and says when the run will end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SolidmarkError
from ..records import write_text
from ..schema.run import WorkerState


@dataclass
class Reporter:
    """A `Progress` that writes `<run>/progress/<worker>.json`, at most twice a second."""

    run: Path
    worker: str
    case: str = ""
    _written: float = field(default=0.0, repr=False)

    def __call__(self, action: str, done: int, of: int, /) -> None:
        """Write that `done` of `of` steps of an action are done."""
        now = time.monotonic()
        if now - self._written < 0.5 and done != of:
            return
        self._written = now
        state = {"worker": self.worker, "case": self.case, "action": action, "done": done, "of": of, "t": time.time()}
        try:
            write_text(self.run / "progress" / f"{self.worker}.json", json.dumps(state))
        except SolidmarkError:
            self._written = float("inf")  # a full disk is reported where a record would be lost


def read_states(run: Path) -> list[WorkerState]:
    """The last state of every worker; a half-written file is left out."""
    states = []
    for path in sorted((run / "progress").glob("*.json")):
        try:
            states.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    return states


def summary(states: list[WorkerState], finished: int, planned: int, left: float | None, now: float) -> str:
    """`5 of 24 cases, about 2:10 left | gw0: digits-agc-0.5-s0 train 310/600 | …`"""
    head = f"{finished} of {planned} cases" if planned else f"{finished} cases"
    if left is not None:
        head += f", about {int(left // 60)}:{int(left % 60):02d} left"
    return " | ".join([head, *(_describe(state, now) for state in states)])


def _describe(state: WorkerState, now: float) -> str:
    count = f" {state['done']}/{state['of']}" if state["of"] else f" {state['done']} s"
    silence = f" (no sign of life for {int(now - state['t'])} s)" if now - state["t"] > 60 else ""
    return f"{state['worker']}: {state['case']} {state['action']}{count}{silence}"


def time_left(elapsed: float, done_weight: float, total_weight: float) -> float | None:
    """Seconds that the rest takes at the pace so far; None before any case has ended."""
    return elapsed * (total_weight - done_weight) / done_weight if done_weight > 0 else None


class Ticker:
    """A daemon thread that calls `say` every `seconds`; xdist's own loop leaves no room for it."""

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
