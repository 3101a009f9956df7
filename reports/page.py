"""The leaderboard as one HTML page: no network, light and dark, phone to desktop. The templates are in this folder."""

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

from . import by_query, finding_cards, gallery, matched, matched_prose, matched_table, prose, ranking_table
from .columns import solver_text, table
from .drawing import Drawing
from .finding_cards import Card, Suite
from .finding_figure import figure
from .forest import forest
from .table import Cell, Column, with_interval

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
        "link_arxiv": link_arxiv,
        "looks": looks,
        "position": position,
        "probability": probability,
        "sentence": prose.sentence,
        "with_interval": with_interval,
    }
    grid = table(board)
    return environment.get_template("page.html.j2").render(
        board=board,
        prose=prose,
        solver=solver_text,
        no_class=NO_CLASS,
        by_query=by_query,
        matched_table=matched_table,
        ranking_table=ranking_table,
        matched_prose=matched_prose,
        keys_only=matched_prose.keys_only(board),
        queries=[by_query.query_tables(board, facts) for facts in board.testbeds],
        columns=grid.columns,
        rows=_rows(board, grid.columns),
        filters=_filters(board),
        suites=[_suite(number, suite) for number, suite in enumerate(finding_cards.suites(board))],
        testbeds=(testbeds := [_testbed(number, board, facts, runs) for number, facts in enumerate(board.testbeds)]),
        has_maps=any(picture.generated for one in testbeds for wall in one.walls for picture in wall.pictures),
        data=embed(board.to_json()),
    )


def _suite(number: int, suite: Suite) -> tuple[Suite, list[tuple[Card, Drawing | None]]]:
    """A suite with its cards and their figures."""
    return suite, [(card, _figure(f"{number}-{index}", card)) for index, card in enumerate(suite.cards)]


def _figure(name: str, card: Card) -> Drawing | None:
    return figure(name, card.outcome.finding) if card.outcome.finding else None


@dataclass(frozen=True)
class TestbedPage:
    """What the page shows of one testbed."""

    facts: TestbedFacts
    forests: list[Drawing]
    matched: matched.Section
    walls: list[gallery.Wall]


def _testbed(number: int, board: Leaderboard, facts: TestbedFacts, runs: Sequence[Path]) -> TestbedPage:
    rows, baseline = board.of(facts), board.baseline(facts)
    stages = [stage for stage in dict.fromkeys(row.stage for row in rows if row.ok) if stage != "none"]
    forests = [
        forest(f"{number}-{index}", stage, [row for row in rows if row.stage == stage], baseline)
        for index, stage in enumerate(stages)
    ]
    return TestbedPage(facts, forests, matched.section(number, board, facts), gallery.walls(board, facts, runs))


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


def _same_family(above: Row | None, row: Row) -> bool:
    return above is not None and (above.testbed, above.stage, above.family) == (row.testbed, row.stage, row.family)


def _filters(board: Leaderboard) -> list[tuple[str, list[str]]]:
    """What the table can be narrowed to: names of filters with their values, where there are several."""
    values = {
        "testbed": dict.fromkeys(row.testbed for row in board.rows),
        "solver": dict.fromkeys(str(row.solver["name"]) for row in board.rows if row.solver),
        "stage": dict.fromkeys(row.stage for row in board.rows),
        "family": dict.fromkeys(sorted(row.family for row in board.rows)),
    }
    return [(name, list(options)) for name, options in values.items() if len(options) > 1]


SIDE = ("stage", "needs", "seeds")
"""Columns that a phone hides until the reader asks for all."""


def looks(column: Column[Any]) -> str:
    """CSS classes of a column."""
    kinds = {"num": column.kind.name != "text", "long": column.key in ("reason", "setting", "disagreement")}
    classes = {**kinds, "more": not column.main, "side": column.key in SIDE}
    return " ".join(name for name, worn in classes.items() if worn)


def position(value: float) -> str:
    """Where an M is on the small scale of the table, in percent of its width."""
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


def link_arxiv(text: str) -> Markup:
    """Text with its arXiv numbers as links; everything else is escaped."""
    parts = re.split(r"(arXiv \d{4}\.\d{4,5})", text)
    return Markup("").join(_link(part) if index % 2 else escape(part) for index, part in enumerate(parts))


def _link(reference: str) -> Markup:
    return Markup('<a href="https://arxiv.org/abs/{}">{}</a>').format(reference.removeprefix("arXiv "), reference)


def embed(data: Any) -> Markup:
    """JSON for a script element: no `<`, `>` or `&` of any name ends it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
