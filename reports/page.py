"""The leaderboard as one HTML page: no network, light and dark, phone to desk; templates stand beside this file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from solidmark.leaderboard import NO_CLASS, Leaderboard, Row, TestbedFacts

from . import by_query, fair, fair_table, finding_cards, gallery, prose
from .columns import protocol_told, table
from .drawing import Drawing
from .finding_cards import Card, Suite
from .finding_figure import figure
from .forest import forest
from .table import Cell, Column

LOWEST = -0.1
"""Where the small scale of M in the table begins; it ends at 1."""


def render(board: Leaderboard, runs: Sequence[Path]) -> str:
    """`leaderboard.html`, whole in one file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "gray": gray,
        "inline": Markup,
        "linked": linked,
        "looks": looks,
        "place": place,
        "probability": probability,
        "sentence": prose.sentence,
    }
    grid = table(board)
    return environment.get_template("page.html.j2").render(
        board=board,
        prose=prose,
        protocol=protocol_told,
        no_class=NO_CLASS,
        by_query=by_query,
        fair_table=fair_table,
        asked=[by_query.asked(board, facts) for facts in board.testbeds],
        columns=grid.columns,
        rows=_rows(board, grid.columns),
        filters=_filters(board),
        about_findings=finding_cards.ABOUT,
        finding_columns=finding_cards.COLUMNS,
        suites=[_suite(number, suite) for number, suite in enumerate(finding_cards.suites(board))],
        testbeds=[_testbed(number, board, facts, runs) for number, facts in enumerate(board.testbeds)],
        data=embedded(board.to_json()),
    )


def _suite(number: int, suite: Suite) -> tuple[Suite, list[tuple[Card, Drawing | None]]]:
    """A suite with its cards and their figures."""
    return suite, [(card, _figure(f"{number}-{place}", card)) for place, card in enumerate(suite.cards)]


def _figure(name: str, card: Card) -> Drawing | None:
    return figure(name, card.outcome.finding) if card.outcome.finding else None


@dataclass(frozen=True)
class TestbedPage:
    """What the page shows of one testbed."""

    facts: TestbedFacts
    forests: list[Drawing]
    fair: fair.Section
    walls: list[gallery.Wall]


def _testbed(number: int, board: Leaderboard, facts: TestbedFacts, runs: Sequence[Path]) -> TestbedPage:
    rows, baseline = board.of(facts), board.baseline(facts)
    stages = [stage for stage in dict.fromkeys(row.stage for row in rows if row.ok) if stage != "none"]
    forests = [
        forest(f"{number}-{place}", stage, [row for row in rows if row.stage == stage], baseline)
        for place, stage in enumerate(stages)
    ]
    return TestbedPage(facts, forests, fair.section(number, board, facts), gallery.walls(board, facts, runs))


@dataclass(frozen=True)
class Line:
    """One row of the table; `again` where the row above is of the same family."""

    row: Row
    cells: list[tuple[Column[Row], Cell]]
    again: bool


def _rows(board: Leaderboard, columns: Sequence[Column[Row]]) -> list[Line]:
    above: list[Row | None] = [None, *board.rows]
    return [
        Line(row, [(column, column.cell(row)) for column in columns], _same_family(before, row))
        for before, row in zip(above, board.rows)
    ]


def _same_family(one: Row | None, other: Row) -> bool:
    return one is not None and (one.testbed, one.stage, one.family) == (other.testbed, other.stage, other.family)


def _filters(board: Leaderboard) -> list[tuple[str, list[str]]]:
    """What the table can be narrowed to: names of filters with their values, where there are several."""
    values = {
        "testbed": dict.fromkeys(row.testbed for row in board.rows),
        "protocol": dict.fromkeys(str(row.protocol["name"]) for row in board.rows if row.protocol),
        "stage": dict.fromkeys(row.stage for row in board.rows),
        "family": dict.fromkeys(sorted(row.family for row in board.rows)),
    }
    return [(name, list(found)) for name, found in values.items() if len(found) > 1]


SIDE = ("stage", "needs", "seeds")
"""Columns that a phone leaves out until all are asked for."""


def looks(column: Column[Any]) -> str:
    """CSS classes of a column."""
    kinds = {"num": column.kind.name != "text", "long": column.key in ("reason", "setting")}
    classes = {**kinds, "more": not column.main, "side": column.key in SIDE}
    return " ".join(name for name, worn in classes.items() if worn)


def place(value: float) -> str:
    """Where an M lies on the small scale of the table, in percent of its width."""
    return f"{100 * (min(max(value, LOWEST), 1.0) - LOWEST) / (1 - LOWEST):.1f}"


def gray(key: float) -> str:
    """A key as a CSS colour."""
    level = round(255 * min(max(key, 0.0), 1.0))
    return f"rgb({level} {level} {level})"


def probability(p: float) -> str:
    """A p-value in two digits: `0.018`, `4 × 10⁻⁷`."""
    if p >= 1e-3:
        return f"{p:.2g}"
    if p <= 0:
        return "below 10⁻³⁰⁰"
    digits, _, power = f"{p:.0e}".partition("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits} × 10{raised}"


def linked(text: str) -> Markup:
    """Text with its arXiv numbers as links; everything else is escaped."""
    parts = re.split(r"(arXiv \d{4}\.\d{4,5})", text)
    return Markup("").join(_link(part) if place % 2 else escape(part) for place, part in enumerate(parts))


def _link(reference: str) -> Markup:
    return Markup('<a href="https://arxiv.org/abs/{}">{}</a>').format(reference.removeprefix("arXiv "), reference)


def embedded(data: Any) -> Markup:
    """JSON that can stand in a script element: no `<`, `>` or `&` of any name ends it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
