"""Query by query: what each of a row's queries finds, with which access, at which cost, and how often it is the worst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solidmark.leaderboard import NO_POWER, NO_WORST, Estimate, Leaderboard, Row, Scored, TestbedFacts

from .table import COUNT, NUMBER, PERCENT, PLAIN, TEXT, WHOLE, Cell, Column

TITLE = "What each query finds"
ABOUT = (
    "Each query is an attack of its own. A black-box query goes through the service, with the mitigation on. A white-box "
    "query reads the trained model itself, past whatever a mitigation does at sampling. Power is M of a perfect memorizer "
    "under the same query: where it is low, a low M says little. The worst case chooses among queries on one half of the "
    "images and scores on the other; the last column is how often it chose each."
)


@dataclass(frozen=True)
class Line:
    """One query of a row: its scores, or the `reason` why it could not be asked."""

    query: str
    scored: Scored | None = None
    power: Estimate | None = None
    chosen: float | None = None
    reason: str = ""

    @property
    def cells(self) -> list[Cell]:
        """One a column; a query that could not be asked has its reason alone."""
        return [column.cell(self) for column in COLUMNS] if self.scored else [Cell(self.query), Cell(self.not_applicable)]

    @property
    def not_applicable(self) -> str:
        """Why there are no numbers."""
        return f"not applicable: {self.reason}"


def lines(row: Row, facts: TestbedFacts) -> list[Line]:
    """The queries of a row, in their order, then those that could not be asked."""
    queries = row.queries or {}
    power = {**(facts.power or {}), **(row.power or {})}
    chosen = row.worst.chosen if row.worst is not None else {}
    measured = [Line(name, scored, power.get(name), chosen.get(name)) for name, scored in queries.items()]
    return [*measured, *(Line(name, reason=why) for name, why in row.not_applicable.items() if name not in queries)]


@dataclass(frozen=True)
class QueryTables:
    """The queries of one testbed: those of the baseline, and those of every other row."""

    facts: TestbedFacts
    baseline: list[Line]
    others: list[tuple[Row, list[Line]]]


def query_tables(board: Leaderboard, facts: TestbedFacts) -> QueryTables:
    """What each query finds on a testbed; other rows only where some row was asked several."""
    baseline, rows = board.baseline(facts), [row for row in board.of(facts) if row.ok]
    tables = {row.mitigation: lines(row, facts) for row in rows}
    several = any(len(table) > 1 for table in tables.values())
    others = [(row, tables[row.mitigation]) for row in rows if row is not baseline and (several or baseline is None)]
    return QueryTables(facts, lines(baseline, facts) if baseline else [], others)


def _scored(name: str) -> Callable[[Line], Any]:
    return lambda line: line.scored and getattr(line.scored, name)


COLUMNS: tuple[Column[Line], ...] = (
    Column("query", "query", "How the model is asked for its keys.", TEXT, lambda line: line.query),
    Column(
        "access",
        "access",
        "black-box: through the service, with the mitigation on. white-box: from the trained model itself.",
        TEXT,
        _scored("access"),
        missing="not recorded",
    ),
    Column(
        "memorization",
        "M",
        "Memorization as this query finds it.",
        NUMBER,
        _scored("memorization"),
        note="chance 0",
        better="lower",
    ),
    Column(
        "held_out",
        "M, held out",
        "Control: M of images that were never trained on, under the same query. Its interval should hold 0.",
        NUMBER,
        lambda line: line.scored and line.scored.held_out and line.scored.held_out.memorization,
        note="expected 0",
        missing="not recorded",
    ),
    Column(
        "certified",
        "certified",
        "Images that this query alone certifies as memorized, at a false-discovery rate of 2.5 % (5 % in older records).",
        COUNT,
        _scored("certified"),
        note="chance 0",
        better="lower",
    ),
    Column(
        "power",
        "power",
        "M of a perfect memorizer under this query: the share of what is there that the query finds.",
        NUMBER,
        lambda line: line.power,
        note="expected 1",
        missing=f"{NO_POWER}, or it was not recorded",
    ),
    Column(
        "cost",
        "cost",
        "Denoiser evaluations, forward and backward, an image, counted.",
        PLAIN,
        lambda line: line.scored and line.scored.evaluations and line.scored.evaluations.per_image,
        note="evaluations an image",
        better="lower",
        form=WHOLE,
        missing="not recorded",
    ),
    Column(
        "chosen",
        "chosen",
        "How often the worst case over queries chose this one.",
        PLAIN,
        lambda line: None if line.chosen is None else 100 * line.chosen,
        note="by the worst case",
        form=PERCENT,
        missing=NO_WORST,
    ),
)
