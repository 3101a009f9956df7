"""The controller of a run: provenance at the start, progress on the way, retries of killed cases, the report at the end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from .. import plugins, provenance, records, timeouts
from ..errors import SolidmarkError, cleaned
from ..records import announced
from ..schema.run import SCHEMA, PlanEntry, RunFile
from ..store import Store, default_root
from . import devices, timings
from .colours import bar
from .ending import Ending
from .latest import point_latest
from .live import LiveLine
from .progress_report import Ticker, read_states, summary, time_left
from .resume import command
from .session import Session

RECORDS: pytest.StashKey[str] = pytest.StashKey()
"""The name of the file of this process's records."""

IDLE_ENDS = 20
"""So many workers in turn may end without any case having ended; then none will ever start."""

PARTS = ("records", "per_image", "progress", "hangs")
"""Folders of a run that its workers write."""


class Controller:
    """A pytest plugin that only the controlling process registers."""

    def __init__(self, session: Session, config: pytest.Config) -> None:
        self.session, self.config, self.run = session, config, session.run
        self._finished: set[str] = set()
        self._crashes: dict[str, int] = {}
        self._given_up: list[str] = []
        self._pointed, self._before = False, 0
        self._unmeasured: list[str] = []
        self._began, self._idle_ends = 0.0, 0
        self._writer = records.Writer(self.run, "controller")
        self._ending = Ending()
        self._names = frozenset({self._writer.name})
        self._lines: dict[str, Sequence[str]] = {self._writer.name: self._writer.digests}
        self._seconds: dict[str, float] = {}
        self._ticker: Ticker | None = None
        self._line: LiveLine | None = None

    def _tick(self) -> None:
        """Begin to tell how far the run is: at the foot of a terminal with colours, elsewhere by a line now and then."""
        if self.session.progress == "off":
            return
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        terminal = self.session.progress == "auto" and os.isatty(1)
        if terminal and getattr(reporter, "hasmarkup", False):
            self._line = LiveLine(self.config.get_terminal_writer())
        self._ticker = Ticker(1 if self._line is not None else 10 if terminal else 30, self._say)
        self._ticker.start()

    def pytest_sessionstart(self) -> None:
        """Write `run.json`. What an earlier part of the run planned and gave up is forgotten."""
        try:
            gpus = len(devices.visible_gpus())
        except SolidmarkError as error:
            raise pytest.UsageError(str(error)) from error
        try:
            records.check_writable(self.run, PARTS, "--run-dir")
            self._before, self._names = self._size(), self._names | announced.existing(self.run)
            self._lines = {**records.lines_now(self.run), **self._lines}
            self._write_provenance(gpus)
            self.config.stash[RECORDS] = self.announce("main")
            self._note_unended()
            self.session.forget_plan()
            if self._given_up:
                self.session.write_given_up(self._given_up)
        except SolidmarkError as error:
            raise pytest.UsageError(str(error)) from error
        self._tick()

    def _write_provenance(self, gpus: int) -> None:
        entries = [plugin.origin for group in plugins.GROUPS.values() for plugin in plugins.discover(group)]
        arguments = self.config.invocation_params.args
        facts: RunFile = {
            **provenance.run(["pytest", *arguments] if arguments else [], entries),
            "schema": SCHEMA,
            "benchmark_version": records.BENCHMARK_VERSION,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "profile": self.session.options.profile,
            "options": asdict(self.session.options),
            "selection": asdict(self.session.selection),
            "gpus": gpus,
        }
        path = self.run / "run.json"
        if path.exists():  # a resumed run keeps its first provenance and adds another
            path = self.run / f"run-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
        records.write_text(path, json.dumps(facts, indent=1))

    def announce(self, worker: str) -> str:
        """A name for the file of a worker's records, noted before the worker can write: no other file counts."""
        name = announced.fresh_name(worker)
        self._names |= {name}
        self._lines[name] = []
        self._announce()
        return name

    def _announce(self) -> None:
        """Write which files and which of their lines count. A plugin that has changed that has changed it for a moment."""
        with suppress(SolidmarkError):  # a full disk is told where a record would be lost; the end writes it again
            announced.write(self.run, self._names)
        self._announce_lines()

    def _announce_lines(self) -> None:
        with suppress(SolidmarkError):
            announced.write_lines(self.run, self._lines)

    def _write(self, record: Mapping[str, Any]) -> None:
        """Write a record of our own."""
        self._writer.write(record)
        self._announce_lines()

    def _note_unended(self) -> None:
        """Record each case that an earlier part of the run began and did not end, since its process was ended.

        Without workers it would end the next part as well, so that every second time it is left out.
        """
        plan = self.session.read_earlier_plans()
        for slug in timeouts.unended(self.run / "hangs"):
            identity = self._identity(slug, plan)
            if identity["case_id"] in self.session.done:  # it ended, and its process died before the note was removed
                continue
            attempt = records.attempt(self.run, identity["case_id"])
            reason = "the process of the run ended in this case"
            self._write({**identity, "event": "crash", "status": "crashed", "attempt": attempt, "reason": reason})
            if attempt % 2 == 0 and not getattr(self.config.option, "numprocesses", None):
                self._given_up.append(slug)

    def _identity(self, slug: str, plan: Mapping[str, PlanEntry]) -> PlanEntry:
        """What is known of a planned case, but for what only its order needs."""
        entry = plan.get(slug, {"event": "crash", "case_id": slug, "slug": slug, "order": 0})
        return {name: value for name, value in entry.items() if name not in ("weight", "gpu")}  # type: ignore[return-value]

    def _size(self) -> int:
        """Bytes of all records so far."""
        return sum(path.stat().st_size for path in (self.run / "records").glob("*.jsonl"))

    def _point_latest(self) -> None:
        """Point `runs/latest` here at the first new record: a run that measured nothing hides no earlier one."""
        if not self._pointed and self._size() > self._before:
            self._pointed = True
            point_latest(self.run)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a case has ended, and what it took; one that is tried again has not."""
        if self._line is not None:
            self._line.erase()
        self._idle_ends = 0
        slug = _slug(report.nodeid)
        self._seconds[slug] = self._seconds.get(slug, 0.0) + getattr(report, "duration", 0.0)
        self._take(getattr(report, "solidmark_lines", {}))
        self._point_latest()
        if str(report.outcome) != "rerun" and (report.when in ("call", "???") or report.outcome != "passed"):
            self._finished.add(slug)

    def _take(self, lines: Mapping[str, Sequence[str]]) -> None:
        """Note which lines the writer of a worker has made."""
        new = {name: list(made) for name, made in lines.items() if name in self._lines}
        if any(self._lines[name] != made for name, made in new.items()):
            self._lines |= new
            self._announce_lines()

    def _say(self) -> None:
        plan = self.session.read_plan()
        if not plan:
            return
        self._began = self._began or time.monotonic()
        weights = {slug: planned["weight"] for slug, planned in plan.items()}
        done = sum(weights.get(slug, 0.0) for slug in self._finished)
        left = time_left(time.monotonic() - self._began, done, sum(weights.values()))
        finished = len(self._finished & set(weights))
        text = summary(read_states(self.run), finished, len(weights), left, time.time())
        if self._line is not None:
            total = sum(weights.values())
            self._line.draw(f"[{bar(done / total if total else 0.0, 20)}] {text}")
            return
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"solidmark: {text}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any, sched: Any) -> None:
        """Record that a worker was killed, and try its case once more; not where it hung, nor where it is killed again."""
        slug = _slug(crashitem)
        if self._is_handed_on(report, sched, crashitem):
            return
        self._crashes[slug] = self._crashes.get(slug, 0) + 1
        identity = self._identity(slug, self.session.read_earlier_plans())
        hang = self._hang(slug)
        retried = self._crashes[slug] == 1 and hang is None and _try_again(sched, crashitem)
        outcome = "tried again" if retried else f"given up after {self._crashes[slug]} of at most 2 attempts"
        if not retried:
            self._given_up.append(slug)
            self.session.write_given_up(self._given_up)
        self._write(
            {
                **identity,
                "event": "crash",
                "status": "crashed" if hang is None else "timeout",
                "attempt": self._crashes[slug],
                "reason": hang or f"{report.longrepr}; {outcome}{_memory_kills()}",
            }
        )
        if retried:
            report.outcome = "rerun"

    def _is_handed_on(self, report: Any, sched: Any, crashitem: str) -> bool:
        """Whether a worker ended by itself before it began this case, which another one then takes."""
        gateway: Any = getattr(getattr(report, "node", None), "gateway", None)
        reason = None if gateway is None else self.session.was_replaced(gateway.id)
        if reason is None or not _try_again(sched, crashitem):
            return False
        report.outcome = "rerun"
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"\nsolidmark: {gateway.id} is replaced: {cleaned(reason)[:400]}")
        return True

    def _hang(self, slug: str) -> str | None:
        """Why a case hung whose worker was ended for that; None where the worker ended otherwise."""
        for note in (self.run / "hangs").glob("*.txt"):
            location = timeouts.last_location(note, slug)
            if location is not None:
                note.unlink()
                seconds = timeouts.AFTER * self.session.case_timeout
                return f"no end after {seconds:g} s, nor a way to interrupt it, at {location}"
        timeouts.forget(self.run / "hangs", slug)
        return None

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker that has ended has no progress. Where worker after worker ends before any case has, so does the run."""
        with suppress(OSError):
            (self.run / "progress" / f"{node.gateway.id}.json").unlink()
        self._idle_ends += error is not None
        if self._idle_ends > IDLE_ENDS:
            manager: Any = self.config.pluginmanager.get_plugin("dsession")
            manager.shouldstop = f"{self._idle_ends} workers in turn ended before any case: {error}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Render the leaderboard from the records of the run.

        A run that left cases unmeasured, or could not write a page, never ends with 0; one that goes on, and finds
        all done, does.
        """
        if self._ticker is not None:
            self._ticker.stop()
        if self._line is not None:
            self._line.erase()
        plan = self.session.read_plan()
        self._unmeasured = sorted((set(plan) | set(self._crashes)) - self._finished)
        self._point_latest()
        if any((self.run / "records").glob("*.jsonl*")):
            self._writer.put_back()
            self._announce()
            reporter = self.config.pluginmanager.get_plugin("terminalreporter")
            self._ending = Ending.of(self.run, colours=getattr(reporter, "hasmarkup", False))
            lost = self._ending.lost(self._finished, plan)
            self._ending.faults += [f"measured, and its record cannot be read: {slug}" for slug in lost]
            self._learn()
        if self.session.found_all_done() and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
        if (self._unmeasured or self._ending.faults) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if session.exitstatus == pytest.ExitCode.INTERNAL_ERROR and reporter is not None:  # pytest then has no summary
            self._summarize(reporter, session.exitstatus)

    def _learn(self) -> None:
        """Note what the cases took, for the next plan; a store that cannot be written only leaves that unknown."""
        if self._seconds:
            with suppress(SolidmarkError):
                timings.learn(Store(default_root()), self._ending.records or [], self._seconds)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Write what was not measured, how to go on, a short table, and the path of the page."""
        self._summarize(terminalreporter, exitstatus)

    def _summarize(self, reporter: pytest.TerminalReporter, exitstatus: int) -> None:
        stopped = bool(self._unmeasured) or exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        lines = self._ending.lines()
        if not lines and not stopped:
            return
        reporter.section("solidmark")
        if self._unmeasured:
            reporter.write_line(f"not measured, since the run ended before: {', '.join(self._unmeasured)}")
        for line in lines:
            reporter.write_line(line)
        if stopped and (self.run / "run.json").exists():
            where = self.config.invocation_params
            reporter.write_line(f"\ngo on with: {command(where.args, self.run, Path(where.dir))}")


def _try_again(sched: Any, nodeid: str) -> bool:
    """Whether the scheduler takes a case once more. Those with a queue of work (`--dist loadfile`, `loadscope`,
    `loadgroup`) have put it back themselves; `each` cannot.
    """
    try:
        sched.mark_test_pending(nodeid)
    except NotImplementedError:
        return hasattr(sched, "workqueue")
    return True


def _slug(nodeid: str) -> str:
    """The text in the brackets of a node id."""
    return nodeid.partition("[")[2].removesuffix("]")


def _memory_kills() -> str:
    """A hint where this machine has counted processes killed for want of memory."""
    try:
        events = dict(
            entry.split() for entry in Path("/sys/fs/cgroup/memory.events").read_text(encoding="utf-8").splitlines()
        )
    except (OSError, ValueError):
        return ""
    count = int(events.get("oom_kill", "0"))
    return f" (this machine has killed {count} processes for want of memory)" if count else ""
