"""Rendering: from the records of one or more runs to leaderboard files, through the report plugins."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from .. import plugins
from ..errors import DamagedFile, PluginFault, SolidmarkError
from ..records import read, write_text
from ..schema.record import Record
from ..schema.run import LEFT_OUT, RunFile
from ..store import NOTE as STORE
from .build import Leaderboard, build_leaderboard

ALIKE = re.compile(r"(\d+) images? (?:was|were) left out, (?:each )?nearly equal to another")
"""What records note of a testbed, in the words of any version."""

APART = "NOT COMPARED"
"""How a note begins on a run that nothing compares with the first."""

EMPTY = "NO RECORDS"
"""How a note begins on one of several runs that was set aside because it left none."""


class Runs(NamedTuple):
    """What folders of runs hold: as a `Reading` of one, and `remarks`, which are worth knowing while nothing is wrong.

    `homes` are the folders with the testbeds of their cases, empty where one has no case.
    """

    records: list[Record]
    notes: list[str]
    damaged: list[str]
    remarks: list[str]
    homes: list[tuple[Path, set[str]]]


@dataclass(frozen=True)
class Rendered:
    """A leaderboard and the pages that show it.

    `faults` says which pages could not be written, `damaged` which lines of records were set aside, `apart` which runs
    nothing compares with the first one, or left no records; `records` are all that could be read.
    """

    board: Leaderboard
    written: list[Path]
    faults: list[str]
    damaged: list[str]
    records: list[Record]
    apart: list[str]


def render(runs: Sequence[Path], into: Path | None = None) -> Rendered:
    """Write `leaderboard.<name>` for every report plugin into `into`, by default the first run's folder.

    Reports are pure functions of records: the same records give the same bytes. A page that fails keeps no other from
    being written.
    """
    reading, folder = read_runs(runs), into or runs[0]
    board = _board(reading, runs)
    written: list[Path] = []
    faults: list[str] = []
    for plugin in plugins.discover(plugins.REPORTS):
        path = folder / f"leaderboard.{plugin.name}"
        try:
            write_text(path, _run_renderer(plugin, board, runs))
            written.append(path)
        except SolidmarkError as fault:
            faults.append(f"page not written: {fault}")
    apart = [note for note in board.remarks if note.startswith((APART, EMPTY))]
    return Rendered(board, written, faults, reading.damaged, reading.records, apart)


def _run_renderer(plugin: plugins.Plugin, board: Leaderboard, runs: Sequence[Path]) -> str:
    renderer = plugins.load(plugin)
    try:
        if isinstance(renderer, plugins.Broken):
            raise TypeError(renderer.reason)
        return str(renderer(board, runs))
    except Exception as cause:
        found = f"{type(cause).__name__}: {cause}"
        raise PluginFault(f"report {plugin.name}", found, "a page", f"See {plugin.origin}.") from cause


def load_leaderboard(runs: Sequence[Path]) -> Leaderboard:
    """The leaderboard of all records of all runs."""
    return _board(read_runs(runs), runs)


def read_runs(runs: Sequence[Path]) -> Runs:
    """All records of all runs, with what was noted of them and while they were measured.

    Of several runs one without a folder of records is set aside, unless all are: a part of a run that measured nothing
    comes from another machine without its empty folders.
    """
    found = Runs([], [], [], [], [])
    empty = [run for run in runs if (run / "run.json").is_file() and not (run / "records").is_dir()]
    if len(empty) < len(runs):
        found.remarks.extend(f"{EMPTY}: {run.name} holds none, and was set aside" for run in empty)
        runs = [run for run in runs if run not in empty]
    for run in runs:
        reading = read(run)
        found.homes.append((run, {record["testbed"] for record in reading.records if record["event"] == "case"}))
        found.records.extend(reading.records)
        noted = [note for record in reading.records for note in _notes(record)]
        found.notes.extend([*reading.notes, *(note for note in noted if note.startswith(STORE))])
        found.remarks.extend(note for note in noted if not note.startswith(STORE))
        found.damaged.extend(f"set aside in {run}: {damage}" for damage in reading.damaged)
    return found


def _apart(testbeds: Sequence[tuple[str, set[str]]], compared: Collection[tuple[str, str]] = ()) -> list[str]:
    """A note on each run that was measured on none of the testbeds of the first, and on none `compared` with one of them.

    `testbeds` are those of each run.
    """
    (start, first), *others = testbeds
    return [
        f"{APART}: {name} was measured on {', '.join(sorted(mine))}, {start} on {', '.join(sorted(first))}. Measure one of "
        "them with the --testbed of the other"
        for name, mine in others
        if first and mine and not mine & first and not any((a, b) in compared for a in first for b in mine)
    ]


def _board(reading: Runs, runs: Sequence[Path]) -> Leaderboard:
    """The leaderboard with notes on all that was left out; whole folders of a machine are on no page."""
    notes, facts = [*reading.notes], dict[Path, RunFile]()
    notes += [re.sub(r"^set aside in .*?: (?=records/)", "set aside: ", damage) for damage in reading.damaged]
    for run in dict.fromkeys(runs):
        try:
            facts[run] = provenance(run)
        except DamagedFile as damage:
            facts[run] = RunFile()
            notes.append(f"{damage}")
    told = [(run.name, facts[run]) for run, testbeds in dict(reading.homes).items() if facts[run] or testbeds]
    board = build_leaderboard(reading.records, list(dict.fromkeys(notes)), facts[runs[0]], reading.remarks, told)
    apart = _apart([(run.name, mine) for run, mine in reading.homes], _compared(board))
    return replace(board, notes=(*board.notes, *apart), remarks=(*board.remarks, *apart)) if apart else board


def _compared(board: Leaderboard) -> set[tuple[str, str]]:
    """Each two testbeds, in either order, of which the board tells how well their rankings agree."""
    names = {facts.title: facts.name for facts in board.testbeds}
    pairs = [(names[one.one], names[one.other]) for one in board.agreements if one.correlation is not None]
    return {*pairs, *((other, one) for one, other in pairs)}


def _notes(record: Record) -> list[str]:
    """What was noted while a case was measured, in today's words."""
    noted = [] if record["event"] == "crash" else (record.get("provenance") or {}).get("notes", [])
    return [ALIKE.sub(_alike, note) for note in noted]


def _alike(found: re.Match[str]) -> str:
    return f"{found[1]} image{' was' if found[1] == '1' else 's were'} left out, nearly equal to another"


def provenance(run: Path) -> RunFile:
    """`run.json` as it is, empty where the run has none, and what its profile left out."""
    facts, path = RunFile(), run / "run.json"
    try:
        if path.exists():
            facts = RunFile(**json.loads(path.read_text()))
        if (path := run / LEFT_OUT).exists():
            facts["left_out"] = json.loads(path.read_text())
    except (ValueError, TypeError) as cause:
        raise DamagedFile(path.name, f"{cause}", "a run's provenance", "Remove the file.") from cause
    return facts
