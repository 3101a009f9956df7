"""Matched comparison: all curves of one testbed, which are below their reference, and the ranking at matched utility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..schema.row import Row
from .curves import Curve, curves
from .excess import Excess, excesses
from .joint_curve import BOTH, JointCurve, joint_curve
from .measures import AXES, CONTENT, KEYS, MEASURES
from .ranking import Ranking, ranking
from .yardsticks import JointVerdict, joint_verdicts, together


@dataclass(frozen=True)
class MatchedComparison:
    """One testbed and solver: every family on every axis of utility and measure of memorization.

    `verdicts` are those by keys and content together; among `rankings` is one by the worse of both. `unmeasured` are the
    families of which no row has numbers, as where none applies to this testbed: they have no excess and no verdict.
    """

    testbed: str
    solver: Mapping[str, object]
    curves: tuple[Curve, ...]
    excesses: tuple[Excess, ...]
    rankings: tuple[Ranking, ...]
    verdicts: tuple[JointVerdict, ...] = ()
    unmeasured: tuple[str, ...] = ()

    @property
    def axis(self) -> str:
        """The axis that leads: the first that was measured."""
        return next((axis.name for axis in AXES if self.has_numbers(axis.name)), AXES[-1].name)

    def has_numbers(self, axis: str) -> bool:
        """Whether any family has numbers on this axis."""
        return any(curve.points for curve in self.curves if curve.axis == axis)

    def curves_on(self, axis: str, measure: str = KEYS.name) -> list[Curve]:
        """All curves of one axis and measure."""
        return [curve for curve in self.curves if (curve.axis, curve.measure) == (axis, measure)]

    def excesses_on(self, axis: str, measure: str = KEYS.name) -> list[Excess]:
        """All excesses of one axis and measure."""
        return [excess for excess in self.excesses if (excess.axis, excess.measure) == (axis, measure)]

    def ranking_on(self, axis: str, measure: str = KEYS.name) -> Ranking | None:
        """The ranking of one axis and measure."""
        return next((ranking for ranking in self.rankings if (ranking.axis, ranking.measure) == (axis, measure)), None)

    def verdicts_on(self, axis: str) -> list[JointVerdict]:
        """The verdicts by both yardsticks on one axis."""
        return [verdict for verdict in self.verdicts if verdict.keys.axis == axis]

    def leading_ranking(self, axis: str) -> Ranking | None:
        """The ranking that counts on one axis: by the worse of both, or by keys where no content was measured."""
        return self.ranking_on(axis, BOTH) or self.ranking_on(axis)

    def worse_on(self, axis: str) -> list[Curve]:
        """All curves of one axis by the worse of both yardsticks; by keys where no content was measured."""
        return [*_joint_curves(self, axis)] or self.curves_on(axis)

    @property
    def keys_only(self) -> bool:
        """Whether no family of it was read by content."""
        return not any(curve.points for curve in self.curves if curve.measure == CONTENT.name)

    def to_json(self) -> dict[str, object]:
        """All of it as plain JSON."""
        return {
            "testbed": self.testbed,
            "solver": dict(self.solver),
            "axis": self.axis,
            "keys_only": self.keys_only,
            "curves": [curve.to_json() for curve in self.curves],
            "excesses": [excess.to_json() for excess in self.excesses],
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "rankings": [ranking.to_json() for ranking in self.rankings],
        }


def matched_comparison(testbed: str, solver: Mapping[str, object], rows: Sequence[Row]) -> MatchedComparison:
    """The comparison at matched utility of the rows of one testbed and solver."""
    shown = any(row.content is not None for row in rows)
    measures = [measure for measure in MEASURES if shown or measure is not CONTENT]
    groups = [curves(rows, axis, measure) for axis in AXES for measure in measures]
    without = _unmeasured(rows)
    each = MatchedComparison(
        testbed,
        solver,
        tuple(curve for group in groups for curve in group),
        tuple(excess for group in groups for excess in excesses(group) if excess.family not in without),
        tuple(found for group in groups if (found := ranking(group)) is not None),
        unmeasured=without,
    )
    return _with_both(each)


def _unmeasured(rows: Sequence[Row]) -> tuple[str, ...]:
    measured = {row.family for row in rows if row.ok or row.baseline}
    return tuple(dict.fromkeys(row.family for row in rows if row.family not in measured))


def _with_both(each: MatchedComparison) -> MatchedComparison:
    """The comparison with what both yardsticks say together."""
    joint = [_verdicts(each, axis.name) for axis in AXES]
    ranks = [ranking(_joint_curves(each, axis.name)) for axis in AXES]
    return replace(
        each,
        excesses=(*each.excesses, *(excess for found, _ in joint for excess in found)),
        rankings=(*each.rankings, *(found for found in ranks if found is not None)),
        verdicts=tuple(verdict for _, found in joint for verdict in found),
    )


def _joint_curves(each: MatchedComparison, axis: str) -> list[JointCurve]:
    """The families that were read by both yardsticks."""
    shown = {curve.family: curve for curve in each.curves_on(axis, CONTENT.name)}
    pairs = [(curve, shown[curve.family]) for curve in each.curves_on(axis) if curve.family in shown]
    return [found for keys, content in pairs if (found := joint_curve(keys, content)) is not None]


def _verdicts(each: MatchedComparison, axis: str) -> tuple[list[Excess], list[JointVerdict]]:
    """On one axis: the excesses in both by the same settings, and the verdicts."""
    keys, shown = each.excesses_on(axis), each.curves_on(axis, CONTENT.name)
    measured = [curve.family for curve in shown if curve.points]
    same = together(each.curves_on(axis), shown, [excess for excess in keys if excess.family in measured])
    return same, joint_verdicts(keys, each.excesses_on(axis, CONTENT.name), same, measured)
