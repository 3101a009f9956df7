"""The matched comparison on the page: the excess of every family over its reference, the ranking, generalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solidmark.leaderboard import Leaderboard, MatchedComparison, Row, TestbedFacts
from solidmark.mitigation import Stage as Stages

from . import matched_table, ranking_table
from .drawing import Drawing
from .generalization import generalization, loss_points
from .matched_table import Line
from .ranking_table import RankingLine


@dataclass(frozen=True)
class Panel:
    """One family: its drawing, and whether it is a reference."""

    drawing: Drawing
    reference: bool = False


@dataclass(frozen=True)
class Section:
    """What the page shows of the comparison on one testbed."""

    facts: TestbedFacts
    comparison: MatchedComparison
    lines: list[Line]
    ranked: list[RankingLine]
    losses: list[Panel]


def section(number: int, board: Leaderboard, facts: TestbedFacts) -> Section:
    """The matched comparison of one testbed; `number` makes the ids of its drawings unique."""
    comparison = board.comparison(facts)
    lines, ranked = matched_table.lines(comparison), ranking_table.ranking_lines(board, facts)
    return Section(facts, comparison, lines, ranked, _losses(number, board, facts))


def _losses(number: int, board: Leaderboard, facts: TestbedFacts) -> list[Panel]:
    """A panel for each family that acts in training, where losses were recorded; references first."""
    shown = [row for row, *_ in loss_points(board.of(facts)) if Stages.TRAINING.value in row.stage.split("+")]
    families: dict[str, list[Row]] = {}
    for row in sorted(shown, key=lambda row: not row.reference_curve):
        families.setdefault(row.family, []).append(row)
    baseline, references = board.baseline(facts), [row for row in shown if row.reference_curve]
    span = [*shown, *([baseline] if baseline else [])]
    return [
        Panel(
            generalization(f"loss-{number}-{index}", members, _others(references, members), baseline, span),
            reference=members[0].reference_curve,
        )
        for index, members in enumerate(families.values())
    ]


def _others(references: Sequence[Row], members: Sequence[Row]) -> list[Row]:
    return [row for row in references if row not in members]
