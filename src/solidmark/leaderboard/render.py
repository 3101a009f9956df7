"""Rendering: from the records of one or more runs to leaderboard files, through the report plugins. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import plugins, records
from ..errors import DamagedFile, PluginFault
from . import build


def render(runs: Sequence[Path], into: Path | None = None) -> list[Path]:
    """Write `leaderboard.<name>` for every report plugin into `into`, by default the first run's folder.

    Reports are pure functions of records: the same records give the same bytes. Raises PluginFault where
    a renderer fails, after all others have written.
    """
    board, folder = leaderboard(runs), into or runs[0]
    written: list[Path] = []
    faults: list[PluginFault] = []
    for plugin in plugins.discover(plugins.REPORTS):
        try:
            text = _rendered(plugin, board, runs)
        except PluginFault as fault:
            faults.append(fault)
            continue
        written.append(folder / f"leaderboard.{plugin.name}")
        records.write_text(written[-1], text)
    if faults:
        raise faults[0]
    return written


def _rendered(plugin: plugins.Plugin, board: build.Leaderboard, runs: Sequence[Path]) -> str:
    renderer = plugins.load(plugin)
    try:
        if isinstance(renderer, plugins.Broken):
            raise TypeError(renderer.reason)
        return str(renderer(board, runs))
    except Exception as cause:
        found = f"{type(cause).__name__}: {cause}"
        raise PluginFault(f"report {plugin.name}", found, "a page", f"See {plugin.origin}.") from cause


def leaderboard(runs: Sequence[Path]) -> build.Leaderboard:
    """All records of all runs, aggregated."""
    found: list[records.Record] = []
    notes: list[str] = []
    for run in runs:
        more, remarks = records.read(run)
        found += more
        notes += [*remarks, *(note for record in more for note in (record.get("provenance") or {}).get("notes", []))]
    return build.leaderboard(found, list(dict.fromkeys(notes)), provenance(runs[0]))


def provenance(run: Path) -> dict[str, Any]:
    """`run.json`, empty where the run has none."""
    path = run / "run.json"
    try:
        return dict(json.loads(path.read_text())) if path.exists() else {}
    except ValueError as cause:
        raise DamagedFile(str(path), f"{cause}", "a run's provenance", "Remove the file.") from cause
