"""The controller of a run: provenance at the start, progress on the way, retries of killed cases, the report at the end."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tabulate import tabulate

from .. import plugins, provenance, records, timeouts
from ..errors import SolidmarkError
from ..schema.run import SCHEMA, PlanEntry, RunFile
from . import devices
from .progress_report import Ticker, read_states, summary, time_left
from .session import Session


class Controller:
    """A pytest plugin that only the controlling process registers."""

    def __init__(self, session: Session, config: pytest.Config) -> None:
        self.session, self.config, self.run = session, config, session.run
        self._finished: set[str] = set()
        self._crashes: dict[str, int] = {}
        self._given_up: list[str] = []
        self._pointed = False
        self._unmeasured: list[str] = []
        self._began = 0.0
        self._writer = records.Writer(self.run, "controller")
        self._written: list[Path] = []
        self._fault: str | None = None
        terminal = os.isatty(1) if session.progress == "auto" else False
        self._ticker = Ticker(10 if terminal else 30, self._say) if session.progress != "off" else None

    def pytest_sessionstart(self) -> None:
        """Write `run.json`. What an earlier part of the run planned and gave up is forgotten."""
        try:
            gpus = len(devices.visible_gpus())
        except SolidmarkError as error:
            raise pytest.UsageError(str(error)) from error
        try:
            self._write_provenance(gpus)
        except SolidmarkError as error:
            raise pytest.UsageError(f"--run-dir: {error}") from error
        self.session.forget_plan()
        if self._ticker is not None:
            self._ticker.start()

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
            "gpus": gpus,
        }
        path = self.run / "run.json"
        if path.exists():  # a resumed run keeps its first provenance and adds another
            path = self.run / f"run-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
        records.write_text(path, json.dumps(facts, indent=1))

    def _point_latest(self) -> None:
        """Point `runs/latest` here, once there is a record: a run that measured nothing hides no earlier one.

        A link or folder of that name that no run of ours has made is left as it is.
        """
        if self._pointed or not any((self.run / "records").glob("*.jsonl")):
            return
        self._pointed = True
        link = self.run.parent / "latest"
        if os.path.lexists(link) and not _is_ours(link):
            return
        draft = link.with_name(f".latest.{os.getpid()}")
        try:
            draft.symlink_to(self.run.name, target_is_directory=True)
            os.replace(draft, link)
        except OSError:
            return  # a file system without links: the path is printed anyway

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a case has ended; one that is tried again has not."""
        self._point_latest()
        if str(report.outcome) != "rerun" and (report.when in ("call", "???") or report.outcome != "passed"):
            self._finished.add(_slug(report.nodeid))

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
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"solidmark: {text}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any, sched: Any) -> None:
        """Record that a worker was killed, and try its case once more; not where it hung, nor where it is killed again."""
        slug = _slug(crashitem)
        self._crashes[slug] = self._crashes.get(slug, 0) + 1
        unplanned: PlanEntry = {"event": "crash", "case_id": slug, "slug": slug, "order": 0}
        identity = self.session.read_plan().get(slug, unplanned)
        identity.pop("weight", None)
        hang = self._hang(slug)
        retried = self._crashes[slug] == 1 and hang is None and _try_again(sched, crashitem)
        outcome = "tried again" if retried else f"given up after {self._crashes[slug]} of at most 2 attempts"
        if not retried:
            self._given_up.append(slug)
            self.session.write_given_up(self._given_up)
        self._writer.write(
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

    def _hang(self, slug: str) -> str | None:
        """Why a case hung whose worker was ended for that; None where the worker ended otherwise."""
        for note in (self.run / "hangs").glob("*.txt"):
            location = timeouts.last_location(note, slug)
            if location is not None:
                note.unlink()
                seconds = timeouts.AFTER * self.session.case_timeout
                return f"no end after {seconds:g} s, nor a way to interrupt it, at {location}"
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Render the leaderboard from the records of the run. A run that left cases unmeasured never ends with 0."""
        if self._ticker is not None:
            self._ticker.stop()
        self._unmeasured = sorted((set(self.session.read_plan()) | set(self._crashes)) - self._finished)
        if self._unmeasured and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._point_latest()
        if not (self.run / "records").is_dir():
            return
        from ..leaderboard.render import render  # not before there is something to render: it imports scipy and matplotlib

        try:
            self._written = render([self.run])
        except SolidmarkError as error:
            self._fault = str(error)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write what was not measured, a short table, and the path of the page."""
        if not self._written and self._fault is None and not self._unmeasured:
            return
        terminalreporter.section("solidmark")
        if self._unmeasured:
            terminalreporter.write_line(f"not measured, since the run ended before: {', '.join(self._unmeasured)}")
        if not self._written and self._fault is None:
            return
        if self._fault is not None:
            terminalreporter.write_line(self._fault)
            return
        terminalreporter.write_line(self._short_table())
        page = next((path for path in self._written if path.suffix == ".html"), self._written[0])
        terminalreporter.write_line(f"\nleaderboard: {page}")

    def _short_table(self) -> str:
        board = json.loads((self.run / "leaderboard.json").read_text(encoding="utf-8"))
        shown = any(row["content"] for row in board["rows"])
        rows = [_short_row(row, shown=shown) for row in board["rows"]]
        content = ["content (0.5 is chance)"] if shown else []
        headers = ["mitigation", "M (0 is chance)", "certified", *content, "accuracy", "status"]
        told = [f"{row['mitigation']}: {row['disagreement']}" for row in board["rows"] if row["disagreement"]]
        return "\n".join([tabulate(rows, headers=headers, disable_numparse=True), *told])


def _short_row(row: dict[str, Any], *, shown: bool = False) -> list[str]:
    """A line of the short table; `shown` where any row has content."""
    lead = next(iter((row["queries"] or {}).values()), None)
    if lead is None:
        return [row["mitigation"], "", "", *([""] if shown else []), "", row["status"]]
    m, certified, accuracy = lead["memorization"], lead["certified"], row["utility"]["accuracy"]
    return [
        row["mitigation"],
        f"{m['value']:+.3f} [{m['low']:+.3f}, {m['high']:+.3f}]",
        f"{certified['count']} of {certified['of']}",
        *([_content(row["content"])] if shown else []),
        "–" if accuracy is None else f"{accuracy['count'] / accuracy['of']:.2f}",  # its reason is on the page
        row["status"],
    ]


def _content(block: dict[str, Any] | None) -> str:
    """AUROC from the own caption and from any: `own 0.97, any 0.90`."""
    scores = {name: block[name] for name in ("own", "any") if block[name]} if block else {}
    return ", ".join(f"{name} {score['auroc']['value']:.2f}" for name, score in scores.items()) or "–"


def _is_ours(link: Path) -> bool:
    """Whether `latest` is a link to a run: to a folder with our run.json, or to one of the name of a run that is gone."""
    if not link.is_symlink():
        return False
    target = Path(os.readlink(link))
    if not link.exists():
        return re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", str(target)) is not None
    try:
        return "benchmark_version" in json.loads((link / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


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
