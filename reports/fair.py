"""Fair comparison on the page: verdicts, a panel a family beside its reference, the ranking, and generalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solidmark.leaderboard import Curve, Excess, Fairness, Leaderboard, Row, TestbedFacts
from solidmark.leaderboard.curves import AXES
from solidmark.mitigation import Stage as Stages

from . import fair_table
from .drawing import Drawing
from .fair_table import Line, Ranked
from .generalization import generalization, placed
from .trade_off import trade_off


@dataclass(frozen=True)
class Panel:
    """One family: its drawing, its excesses, and a reference where it is one."""

    drawing: Drawing
    excesses: tuple[Excess, ...] = ()
    reference: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Stage:
    """The panels of one stage, those of its references first."""

    name: str
    panels: list[Panel]


@dataclass(frozen=True)
class Trade:
    """All panels on one axis of utility."""

    title: str
    stages: list[Stage]


@dataclass(frozen=True)
class Section:
    """What the page shows of the fair comparison on one testbed."""

    facts: TestbedFacts
    fairness: Fairness
    lines: list[Line]
    trades: list[Trade]
    ranked: list[Ranked]
    losses: list[Panel]


def section(number: int, board: Leaderboard, facts: TestbedFacts) -> Section:
    """The fair comparison of one testbed; `number` tells its drawings from those of others."""
    found = board.fair(facts)
    axes = sorted((axis for axis in AXES if found.measured(axis.name)), key=lambda axis: axis.name != found.axis)
    rows = {row.mitigation: row for row in board.of(facts)}
    trades = [Trade(axis.title, _stages(f"{axis.name}-{number}", found, axis.name, rows)) for axis in axes]
    ranked = fair_table.ranked(board, facts)
    return Section(facts, found, fair_table.lines(found), trades, ranked, _losses(number, board, facts))


def _stages(name: str, fair: Fairness, axis: str, rows: dict[str, Row]) -> list[Stage]:
    curves = fair.drawn(axis)
    most = max((1 - point.loss for curve in curves for point in curve.points), default=1.0)
    stages = dict.fromkeys(curve.stage for curve in curves)
    numbers = {curve.family: f"{name}-{place}" for place, curve in enumerate(curves)}
    found = []
    for stage in stages:
        members = sorted((curve for curve in curves if curve.stage == stage), key=lambda curve: not curve.reference)
        beside = {curve.family: _references(curve, curves) for curve in members}
        found.append(
            Stage(
                stage,
                [
                    Panel(
                        trade_off(numbers[curve.family], curve, beside[curve.family], rows, most),
                        tuple(one for one in fair.beside(axis) if one.family == curve.family),
                        curve.reference,
                        curve.reason,
                    )
                    for curve in members
                ],
            )
        )
    return found


def _references(curve: Curve, curves: Sequence[Curve]) -> list[Curve]:
    """Other references of the stages in which a family acts."""
    stages = curve.stage.split("+")
    return [other for other in curves if other.reference and other.stage in stages and other is not curve]


def _losses(number: int, board: Leaderboard, facts: TestbedFacts) -> list[Panel]:
    """A panel for each family that trains, where losses were recorded; references first."""
    shown = [row for row, *_ in placed(board.of(facts)) if Stages.TRAINING.value in row.stage.split("+")]
    families: dict[str, list[Row]] = {}
    for row in sorted(shown, key=lambda row: not row.reference_curve):
        families.setdefault(row.family, []).append(row)
    baseline, references = board.baseline(facts), [row for row in shown if row.reference_curve]
    span = [*shown, *([baseline] if baseline else [])]
    return [
        Panel(
            generalization(f"loss-{number}-{place}", members, _others(references, members), baseline, span),
            reference=members[0].reference_curve,
        )
        for place, members in enumerate(families.values())
    ]


def _others(references: Sequence[Row], members: Sequence[Row]) -> list[Row]:
    return [row for row in references if row not in members]
