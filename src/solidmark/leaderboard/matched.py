"""Matched comparison: all curves of one testbed, which are below their reference, and the ranking at matched utility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..schema.row import Row
from .curves import AXES, MEASURES, Curve, curves
from .excess import Excess, excesses
from .ranking import Ranking, ranking


@dataclass(frozen=True)
class MatchedComparison:
    """One testbed and solver: every family on every axis of utility and measure of memorization."""

    testbed: str
    solver: Mapping[str, object]
    curves: tuple[Curve, ...]
    excesses: tuple[Excess, ...]
    rankings: tuple[Ranking, ...]

    @property
    def axis(self) -> str:
        """The axis that leads: the first that was measured."""
        return next((axis.name for axis in AXES if self.has_numbers(axis.name)), AXES[-1].name)

    def has_numbers(self, axis: str) -> bool:
        """Whether any family has numbers on this axis."""
        return any(curve.points for curve in self.curves if curve.axis == axis)

    def curves_on(self, axis: str, measure: str = MEASURES[0].name) -> list[Curve]:
        """All curves of one axis and measure."""
        return [curve for curve in self.curves if (curve.axis, curve.measure) == (axis, measure)]

    def excesses_on(self, axis: str, measure: str = MEASURES[0].name) -> list[Excess]:
        """All excesses of one axis and measure."""
        return [excess for excess in self.excesses if (excess.axis, excess.measure) == (axis, measure)]

    def ranking_on(self, axis: str, measure: str = MEASURES[0].name) -> Ranking | None:
        """The ranking of one axis and measure."""
        return next((ranking for ranking in self.rankings if (ranking.axis, ranking.measure) == (axis, measure)), None)

    def to_json(self) -> dict[str, object]:
        """All of it as plain JSON."""
        return {
            "testbed": self.testbed,
            "solver": dict(self.solver),
            "axis": self.axis,
            "curves": [curve.to_json() for curve in self.curves],
            "excesses": [excess.to_json() for excess in self.excesses],
            "rankings": [ranking.to_json() for ranking in self.rankings],
        }


def matched_comparison(testbed: str, solver: Mapping[str, object], rows: Sequence[Row]) -> MatchedComparison:
    """The comparison at matched utility of the rows of one testbed and solver."""
    groups = [curves(rows, axis, measure) for axis in AXES for measure in MEASURES]
    rankings = [ranking(group) for group in groups]
    return MatchedComparison(
        testbed,
        solver,
        tuple(curve for group in groups for curve in group),
        tuple(excess for group in groups for excess in excesses(group)),
        tuple(ranking for ranking in rankings if ranking is not None),
    )
