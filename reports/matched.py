"""The matched comparison on the page: verdicts, a panel a family with its reference, the ranking, generalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solidmark.leaderboard import Curve, JointVerdict, Leaderboard, MatchedComparison, Row, TestbedFacts
from solidmark.leaderboard.measures import AXES, CONTENT, KEYS, Axis, Measure
from solidmark.mitigation import Stage as Stages

from . import matched_table, ranking_table
from .drawing import Drawing
from .generalization import generalization, loss_points
from .matched_table import Line
from .ranking_table import RankingLine
from .trade_off import trade_off

NOTE = (
    f"As above, by content: {CONTENT.title} of trained against held-out images, from the own caption or from any, whichever "
    "shows more. 0 is chance, 1 is that every trained image is emitted. Not the scale of M*: compare within this figure."
)


@dataclass(frozen=True)
class Panel:
    """One family: its drawing, its verdicts, and a reference where it is one."""

    drawing: Drawing
    verdicts: tuple[JointVerdict, ...] = ()
    reference: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Stage:
    """The panels of one stage, those of its references first."""

    name: str
    panels: list[Panel]


@dataclass(frozen=True)
class Trade:
    """All panels of one yardstick on one axis of utility; a `note` says how to read them."""

    title: str
    stages: list[Stage]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """What the page shows of the comparison on one testbed."""

    facts: TestbedFacts
    comparison: MatchedComparison
    lines: list[Line]
    trades: list[Trade]
    ranked: list[RankingLine]
    losses: list[Panel]


def section(number: int, board: Leaderboard, facts: TestbedFacts) -> Section:
    """The matched comparison of one testbed; `number` makes the ids of its drawings unique."""
    comparison = board.comparison(facts)
    measured = [axis for axis in AXES if comparison.has_numbers(axis.name)]
    axes = sorted(measured, key=lambda axis: axis.name != comparison.axis)
    rows = {row.mitigation: row for row in board.of(facts)}
    by_keys = [
        Trade(f"M* against {axis.title}", _stages(f"{axis.name}-{number}", comparison, axis, KEYS, rows)) for axis in axes
    ]
    by_content = [
        Trade(
            f"Content against {axis.title}", _stages(f"content-{axis.name}-{number}", comparison, axis, CONTENT, rows), NOTE
        )
        for axis in axes
        if not comparison.keys_only
    ]
    trades = [*by_keys[:1], *by_content, *by_keys[1:]]
    lines, ranked = matched_table.lines(comparison), ranking_table.ranking_lines(board, facts)
    return Section(facts, comparison, lines, trades, ranked, _losses(number, board, facts))


def _stages(name: str, comparison: MatchedComparison, axis: Axis, measure: Measure, rows: dict[str, Row]) -> list[Stage]:
    """The panels of each stage by one yardstick; `name` begins their ids."""
    curves = comparison.curves_on(axis.name, measure.name)
    most = max((1 - point.loss for curve in curves for point in curve.points), default=1.0)
    panels = {
        curve.family: Panel(
            trade_off(f"{name}-{index}", curve, _references(curve, curves), rows, most),
            tuple(found for found in comparison.verdicts_on(axis.name) if found.keys.family == curve.family),
            curve.reference,
            curve.reason,
        )
        for index, curve in enumerate(curves)
    }
    ordered = sorted(curves, key=lambda curve: not curve.reference)
    stages = dict.fromkeys(curve.stage for curve in curves)
    return [Stage(stage, [panels[curve.family] for curve in ordered if curve.stage == stage]) for stage in stages]


def _references(curve: Curve, curves: Sequence[Curve]) -> list[Curve]:
    """The references of the stages in which a family acts, without itself."""
    stages = curve.stage.split("+")
    return [
        candidate for candidate in curves if candidate.reference and candidate.stage in stages and candidate is not curve
    ]


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
