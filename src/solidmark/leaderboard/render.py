"""Rendering: from the records of one or more runs to leaderboard files, through the report plugins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .. import plugins
from ..errors import DamagedFile, PluginFault
from ..records import read, write_text
from ..schema.record import Record
from ..schema.run import RunFile
from .build import Leaderboard, build_leaderboard


def render(runs: Sequence[Path], into: Path | None = None) -> list[Path]:
    """Write `leaderboard.<name>` for every report plugin into `into`, by default the first run's folder.

    Reports are pure functions of records: the same records give the same bytes. Raises PluginFault where
    a renderer fails, after all others have written.
    """
    board, folder = load_leaderboard(runs), into or runs[0]
    written: list[Path] = []
    faults: list[PluginFault] = []
    for plugin in plugins.discover(plugins.REPORTS):
        try:
            text = _run_renderer(plugin, board, runs)
        except PluginFault as fault:
            faults.append(fault)
            continue
        written.append(folder / f"leaderboard.{plugin.name}")
        write_text(written[-1], text)
    if faults:
        raise faults[0]
    return written


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
    records: list[Record] = []
    notes: list[str] = []
    for run in runs:
        more, remarks = read(run)
        records += more
        notes += [*remarks, *(note for record in more for note in _notes(record))]
    return build_leaderboard(records, list(dict.fromkeys(notes)), provenance(runs[0]))


def _notes(record: Record) -> list[str]:
    """What was noted while a case was measured."""
    return [] if record["event"] == "crash" else (record.get("provenance") or {}).get("notes", [])


def provenance(run: Path) -> RunFile:
    """`run.json` as it is, empty where the run has none."""
    path = run / "run.json"
    try:
        return RunFile(**json.loads(path.read_text())) if path.exists() else RunFile()
    except (ValueError, TypeError) as cause:
        raise DamagedFile(str(path), f"{cause}", "a run's provenance", "Remove the file.") from cause
