"""The table of the page: few columns in view, the rest in groups that a script adds, rows by verdict and what is left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from solidmark.leaderboard import Leaderboard, Row
from solidmark.leaderboard.answer import Answer
from solidmark.leaderboard.measures import CONTENT, content_of
from solidmark.leaderboard.placing import STANDING, Place, Role, order

from . import (
    content_columns,
    cost_columns,
    matched_columns,
    pipeline_columns,
    remembered,
    score_columns,
    source_columns,
    utility_columns,
)
from .columns import origin, table, who
from .table import COUNT, NUMBER, PLAIN, TEXT, Cell, Column

NAMED = ("mitigation", "testbed")
"""What names a row; the first stays in sight when the table is moved."""

ARROWS = {"lower": "↓", "higher": "↑"}

USEFUL = {"0.95": "at least 95 %", "0.75": "at least 75 %"}
"""What the table can be narrowed to by the utility that is kept."""


@dataclass(frozen=True)
class Line:
    """One row of the table: its place, its cells in view, and what filters ask of it."""

    row: Row
    place: Place
    cells: list[tuple[Column[Row], Cell]]
    data: dict[str, str]

    @property
    def word(self) -> str:
        """The verdict that it wears, or what it is instead."""
        if self.place.role is not Role.FAMILY:
            return str(self.place.role.value)
        return str(self.place.verdict.value) if self.place.verdict is not None else ""


@dataclass(frozen=True)
class Sheet:
    """The whole table; `groups` are the names of the groups of further columns, `more` their cells as JSON."""

    columns: list[Column[Row]]
    lines: list[Line]
    filters: list[tuple[str, dict[str, str]]]
    groups: list[str]
    more: Markup


def sheet(board: Leaderboard, answers: Sequence[Answer]) -> Sheet:
    """The table of all testbeds, one after the other; `answers` are theirs, in their order."""
    found = {
        id(row): placed.places[row.mitigation]
        for facts, placed in zip(board.testbeds, answers, strict=True)
        for row in board.of(facts)
    }
    lacking = {name for name, told in _told(board, answers).items() if not told}
    columns = [column for column in _in_view(board, found) if column.key not in lacking]
    ordered = sorted(board.rows, key=lambda row: (_ground(board, row), *order(found[id(row)])))
    lines = [Line(row, found[id(row)], [(c, c.cell(row)) for c in columns], _data(row, found[id(row)])) for row in ordered]
    grouped = groups(board)
    return Sheet(columns, lines, _filters(lines), list(grouped), _more(grouped, ordered))


def _told(board: Leaderboard, answers: Sequence[Answer]) -> dict[str, bool]:
    """Whether a column that not every board needs says anything; verdicts need more seeds than one."""
    return {
        "testbed": len({row.testbed for row in board.rows}) > 1,
        "verdict": any(answer.decides for answer in answers),
        "content": any(row.content is not None for row in board.rows),
    }


def _ground(board: Leaderboard, row: Row) -> int:
    return next(index for index, facts in enumerate(board.testbeds) if any(row is each for each in board.of(facts)))


def _in_view(board: Leaderboard, found: Mapping[int, Place]) -> list[Column[Row]]:
    """Name, verdict, what is left by keys and by content, utility, certified images, what a pipeline changes, cost."""
    return [
        *sorted((column for column in who(board) if column.key in NAMED), key=lambda column: NAMED.index(column.key)),
        Column(
            "verdict",
            "verdict",
            "What the family is, compared with the reference curve of its stage, by the worse of keys and content. A row "
            "wears it only where it loses at most 25 % of the utility and lies on the side that the verdict says.",
            TEXT,
            lambda r: found[id(r)].verdict and STANDING.index(found[id(r)].verdict),
        ),
        Column(
            "keys",
            "memory, keys",
            "M*: what the worst query finds of the keys, a lower bound; M of that query lies in the interval. Of methods "
            "that act at sampling: the worst query that a user of the service can put, as their weights are the baseline's; "
            "all queries are in the group “memory”.",
            NUMBER,
            remembered.keys,
            note="M*, chance 0",
            better="lower",
        ),
        Column(
            "content",
            "memory, content",
            f"{CONTENT.title} of trained against held-out images, from their own caption or from any, whichever shows more. "
            "Its scale is not that of M*.",
            NUMBER,
            content_of,
            note=f"{CONTENT.title}, chance 0",
            better="lower",
        ),
        Column(
            "kept",
            "utility kept",
            "Accuracy (or Fréchet distance, where no class is asked for) as a share of the baseline's, mean over seeds.",
            PLAIN,
            lambda r: None if (kept := found[id(r)].kept) is None else 100 * kept,
            note="of the baseline",
            better="higher",
            form="{:.0f} %",
        ),
        Column(
            "certified",
            "certified",
            "Images whose memory is proven by the same queries as M*, at 5 % false discoveries.",
            COUNT,
            remembered.certified,
            note="images, chance 0",
            better="lower",
        ),
        *pipeline_columns.main(board),
        *cost_columns.main(),
    ]


def groups(board: Leaderboard) -> dict[str, list[Column[Row]]]:
    """Every other column, by group; a group without columns is left out."""
    everything = {column.key for column in table(board).columns}
    grouped = {
        "about": [column for column in who(board) if column.key not in NAMED],
        "comparison": [*matched_columns.main(board)[1:], *matched_columns.more(board)],
        "memory": [*score_columns.main(board), *score_columns.more(board)],
        "content": [*content_columns.main(board), *content_columns.more(board)],
        "utility": [*utility_columns.main(board), *utility_columns.more(), *utility_columns.by_way(board)],
        "controls": [*score_columns.soundness(board), *source_columns.main(board)],
        "costs": cost_columns.more(board),
        "origin": [*pipeline_columns.more(board), *origin()],
    }
    return {name: kept for name, columns in grouped.items() if (kept := [c for c in columns if c.key in everything])}


def _more(grouped: Mapping[str, Sequence[Column[Row]]], rows: Sequence[Row]) -> Markup:
    """Heads and cells of every group as JSON for the script: [value, interval, comparison, order] a cell."""
    data = {
        name: {
            "heads": [[c.title, ARROWS.get(c.better, ""), c.note, c.kind.name != "text"] for c in columns],
            "cells": [[_short(column.cell(row)) for column in columns] for row in rows],
        }
        for name, columns in grouped.items()
    }
    return embed(data)


def _short(cell: Cell) -> list[Any] | str:
    """A cell without what it lacks at its end; one of text alone is its text."""
    place = round(cell.order, 6) if isinstance(cell.order, float) else cell.order
    if not (cell.interval or cell.comparison) and (place is None or place == cell.value):
        return cell.value
    return [cell.value, cell.interval, cell.comparison, place]


def embed(data: Any) -> Markup:
    """JSON for a script element: no `<`, `>` or `&` of any name ends it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _data(row: Row, place: Place) -> dict[str, str]:
    """What filters and the search ask of a row."""
    verdict = place.verdict.value if place.verdict is not None else ""
    return {
        "testbed": row.testbed,
        "solver": str(row.solver.get("name", "")),
        "stage": row.stage,
        "needs": ", ".join(row.needs) or "nothing",
        "fidelity": row.fidelity or "",
        "verdict": verdict if place.role is Role.FAMILY else place.role.value,
        "kept": "" if place.kept is None else f"{place.kept:.4f}",
        "family": row.family,
    }


def _filters(lines: Sequence[Line]) -> list[tuple[str, dict[str, str]]]:
    """What the table can be narrowed to: names of filters with their values and words, where there are several."""
    found: dict[str, list[str]] = {}
    for name in ("testbed", "solver", "stage", "verdict", "fidelity"):
        found[name] = list(dict.fromkeys(line.data[name] for line in lines if not line.row.baseline))
    found["needs"] = sorted({need for line in lines for need in (line.row.needs or ("nothing",))})
    options = [(name, {value: value for value in values if value}) for name, values in found.items()]
    kept = [("kept", USEFUL)] if any(line.data["kept"] for line in lines) else []
    return [*((name, values) for name, values in options if len(values) > 1), *kept]
