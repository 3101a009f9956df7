"""`solidmark watch RUN`: how far a run is, from the files that its workers write, on whichever machine they are."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import DamagedFile, InvalidValue, cleaned
from ..records.reading import RECORDS, unpacked
from ..runner.colours import are_wanted, bar, paint
from ..runner.progress_report import read_states, summary, time_left
from ..schema.run import PlanEntry
from .paths import given_path
from .show import LATEST

SHOWN = 5
"""How many of the last cases are told by name."""


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Tell how far a run is, until it ends: at once where the output is no terminal, else again and again."
    )
    parser.add_argument(
        "run", nargs="?", type=given_path, default=LATEST, metavar="RUN", help="its folder (default: runs/latest)"
    )
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="how often (default: 2)")
    parser.add_argument("--once", action="store_true", help="tell it once, also on a terminal")
    parser.set_defaults(command=_watch)


@dataclass(frozen=True)
class Ended:
    """A case that has a record: its name, what became of it, when it was written, and M of its leading query."""

    slug: str
    status: str
    t: str
    m: float | None = None


@dataclass(frozen=True)
class View:
    """How far a run is: what is planned with its weight, what has ended, and since when this part of the run goes on."""

    run: Path
    plan: dict[str, PlanEntry]
    ended: tuple[Ended, ...]
    began: float

    @classmethod
    def of(cls, run: Path) -> View:
        """Read a run's files, of which half-written ones count as missing. Raises InvalidValue where no run is."""
        if not (run / "run.json").is_file():
            raise InvalidValue("solidmark watch", str(run), "the folder of a run, with run.json", "Name such a folder.")
        path = run / "plan.json"
        try:
            plan, began = json.loads(path.read_text(encoding="utf-8")), path.stat().st_mtime
        except (OSError, ValueError):
            plan, began = {}, time.time()
        return cls(run, plan, tuple(_ended(run)), began)

    @property
    def finished(self) -> set[str]:
        """The planned cases that have ended."""
        return {one.slug for one in self.ended} & set(self.plan)

    @property
    def is_over(self) -> bool:
        """Whether nothing that was planned is left to do."""
        return bool(self.plan) and self.finished == set(self.plan)

    def lines(self, now: float, *, colours: bool = False) -> list[str]:
        """What is told of it."""
        weights = {slug: entry.get("weight", 1.0) for slug, entry in self.plan.items()}
        done, total = sum(weights[slug] for slug in self.finished), sum(weights.values())
        left = time_left(now - self.began, done, total) if not self.is_over else None
        head, *workers = summary(read_states(self.run), len(self.finished), len(self.plan), left, now).split(" | ")
        if not self.plan:
            head = f"no plan.json, so that what is left is unknown: {len(self.ended)} records"
        drawn = f"[{bar(done / total if total else 0.0, 30)}] " if colours and self.plan else ""
        statuses = Counter(one.status for one in self.ended)
        order = sorted(statuses, key=lambda status: (status != "ok", -statuses[status], status))
        counts = ", ".join(f"{statuses[status]} {status}" for status in order)
        last = sorted(self.ended, key=lambda one: (one.t, one.slug))[-SHOWN:]
        return [
            f"{drawn}{head}" + (f" ({counts})" if counts else ""),
            *([] if self.is_over else workers),  # they are gone, and would seem to hang
            *(_told(one, colours=colours) for one in last),
        ]


def _ended(run: Path) -> list[Ended]:
    """The last record of each case, read plainly: a file may be growing."""
    found: dict[str, Ended] = {}
    for path in sorted(path for path in (run / "records").glob("*") if RECORDS.search(path.name)):
        for line in _lines(path):
            with suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                if record["event"] != "crash":
                    one = Ended(record["slug"], record["status"], str(record.get("t", "")), _m(record))
                    found[one.slug] = max(found.get(one.slug, one), one, key=lambda each: each.t)
    return list(found.values())


def _lines(path: Path) -> list[bytes]:
    """The whole lines of a file of records, none of one that is damaged."""
    try:
        return unpacked(path).split(b"\n")[:-1]
    except DamagedFile:
        return []


def _m(record: dict[str, dict[str, dict[str, dict[str, float]]]]) -> float | None:
    lead = next(iter((record.get("queries") or {}).values()), None)
    return lead["memorization"]["value"] if lead else None


def _told(one: Ended, *, colours: bool) -> str:
    word = one.status if one.m is None else f"M {one.m:+.3f}"
    return f"  {cleaned(one.slug)}  {paint(word, 'red' if one.status != 'ok' else 'green', on=colours)}"


def _watch(options: argparse.Namespace) -> int:
    if not 0 < options.every < float("inf"):
        raise InvalidValue("--every", f"{options.every}", "seconds, more than 0", "Choose such a time.")
    colours, live, drawn = are_wanted(sys.stdout), sys.stdout.isatty() and not options.once, 0
    while True:
        view = View.of(options.run)
        drawn = _draw(view.lines(time.time(), colours=colours), drawn)
        if view.is_over or not live:
            return 0
        time.sleep(options.every)


def _draw(lines: Sequence[str], above: int) -> int:
    """Write lines over the `above` ones that were written before; how many they are."""
    if above:
        sys.stdout.write(f"\x1b[{above}F\x1b[J")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return len(lines)
