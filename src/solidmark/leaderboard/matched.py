"""Fairness: all curves of one testbed, what lies below its reference, and the ranking at matched utility. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .curves import AXES, MEASURES, Curve, curves
from .excess import Excess, excesses
from .ranking import Ranking, ranking
from .rows import Row


@dataclass(frozen=True)
class Fairness:
    """One testbed and protocol: every family on every axis of utility and measure of memorization."""

    testbed: str
    protocol: Mapping[str, Any]
    curves: tuple[Curve, ...]
    excesses: tuple[Excess, ...]
    rankings: tuple[Ranking, ...]

    @property
    def axis(self) -> str:
        """The axis that leads: the first that was measured."""
        return next((axis.name for axis in AXES if self.measured(axis.name)), AXES[-1].name)

    def measured(self, axis: str) -> bool:
        """Whether any family has numbers on this axis."""
        return any(curve.points for curve in self.curves if curve.axis == axis)

    def drawn(self, axis: str, measure: str = MEASURES[0].name) -> list[Curve]:
        """All curves of one axis and measure."""
        return [curve for curve in self.curves if (curve.axis, curve.measure) == (axis, measure)]

    def beside(self, axis: str, measure: str = MEASURES[0].name) -> list[Excess]:
        """All excesses of one axis and measure."""
        return [one for one in self.excesses if (one.axis, one.measure) == (axis, measure)]

    def ranked(self, axis: str, measure: str = MEASURES[0].name) -> Ranking | None:
        """The ranking of one axis and measure."""
        return next((one for one in self.rankings if (one.axis, one.measure) == (axis, measure)), None)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return {
            "testbed": self.testbed,
            "protocol": dict(self.protocol),
            "axis": self.axis,
            "curves": [curve.to_json() for curve in self.curves],
            "excesses": [one.to_json() for one in self.excesses],
            "rankings": [one.to_json() for one in self.rankings],
        }


def fairness(testbed: str, protocol: Mapping[str, Any], rows: Sequence[Row]) -> Fairness:
    """The fair comparison of the rows of one testbed and protocol."""
    drawn = [curves(rows, axis, measure) for axis in AXES for measure in MEASURES]
    return Fairness(
        testbed,
        protocol,
        tuple(curve for few in drawn for curve in few),
        tuple(one for few in drawn for one in excesses(few)),
        tuple(one for few in drawn if (one := ranking(few)) is not None),
    )
