"""The summary of a step of GitHub Actions: verdicts as a short table in the file that `GITHUB_STEP_SUMMARY` names.

A step may write a megabyte; the whole leaderboard in Markdown is larger, and nobody reads it there. The families stand in
the order of the page, each by its best row, the first `MOST` of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from .board_table import cells

if TYPE_CHECKING:
    from ..leaderboard import Leaderboard
    from ..leaderboard.standing import Standing

VARIABLE = "GITHUB_STEP_SUMMARY"
MOST = 30
"""Rows of a testbed that are shown."""


def append(board: Leaderboard) -> None:
    """Write the summary where the variable says; nothing where it is not set. A file that cannot be written is no fault."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary(board))
    except OSError:
        return  # the run is as good without


def summary(board: Leaderboard) -> str:
    """The tables of all testbeds."""
    from ..leaderboard.standing import standings, tally

    parts = []
    for facts in board.testbeds:
        found = standings(board, facts)
        counts = ", ".join(f"{len(names)} {word}" for word, names in tally(found).items()) or "no family has a verdict"
        parts.append(f"### {_plain(facts.title)}: {counts}\n\n{_table(_one_a_family(found))}\n")
    return "\n".join(parts) + "\n"


def _one_a_family(found: Sequence[Standing]) -> list[Standing]:
    """The first row of each family, in the order of the page."""
    first: dict[str, Standing] = {}
    for standing in found:
        first.setdefault(standing.row.family, standing)
    return list(first.values())


def _table(found: Sequence[Standing]) -> str:
    shown = any(standing.row.content for standing in found)
    headers = ["mitigation", "verdict", "M★", "certified", *(["content"] if shown else []), "accuracy"]
    lines = [[_plain(cell) for cell in cells(standing, shown=shown)] for standing in found[:MOST]]
    left = [] if len(found) <= MOST else [f"\n{len(found) - MOST} more families are on the page."]
    return "\n".join([tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True), *left])


def _plain(text: str) -> str:
    """Text of a plugin that is no markup: in a table, `|` and `<` are; a line break would end the row."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
