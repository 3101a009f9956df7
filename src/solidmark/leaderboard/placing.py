"""Placing: where each row lies, by both yardsticks, and whether the verdict of its family is about it.

    kept      accuracy over the baseline's of the same seed (or 2 - Fréchet distance over the baseline's), mean over seeds
    worst     max(keys, content): M* and 2 AUROC - 1, each 0 at chance and 1 at complete recall
    gap       the reference's frontier at the row's loss of utility, minus the row, in the yardstick where that is less

A verdict is the whole family's, taken over losses of up to 25 %. A row wears it only where it lies in that range and on
the side that the verdict says: a setting that leaves as much as its reference does not make its family real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ..schema.numbers import Estimate
from ..schema.row import Row
from .curves import Curve, Point
from .excess import EQUAL, WIDEST, CurveVerdict
from .gold import gold_standard
from .matched import MatchedComparison
from .measures import CONTENT, KEYS
from .paired import jackknife
from .yardsticks import ORDER, JointVerdict


class Role(Enum):
    """What a row is on the board; only families are judged."""

    BASELINE = "baseline"
    GOLD = "gold standard"
    REFERENCE = "reference"
    FAMILY = "family"


@dataclass(frozen=True)
class Place:
    """Where a row lies. Numbers are null where it has none; `verdict` is null with a `reason` where it is not about it.

    `worse` names the yardstick by which most is left. `family` is the verdict of its family.
    """

    role: Role
    kept: float | None = None
    keys: float | None = None
    content: float | None = None
    gap: Estimate | None = None
    family: JointVerdict | None = None
    verdict: CurveVerdict | None = None
    reason: str = ""

    @property
    def worst(self) -> float | None:
        """What is left by the worse yardstick."""
        return max((each for each in (self.keys, self.content) if each is not None), default=None)

    @property
    def worse(self) -> str:
        """`keys` or `content`; empty without numbers."""
        if self.worst is None:
            return ""
        return "keys" if self.content is None or (self.keys or 0.0) >= self.content else CONTENT.name


def places(comparison: MatchedComparison, rows: Sequence[Row]) -> dict[str, Place]:
    """The place of each row of one testbed and solver, by its mitigation."""
    return {row.mitigation: _place(comparison, row) for row in rows}


def hardest(comparison: MatchedComparison) -> dict[str, JointVerdict]:
    """The verdict of each family on the leading axis, against the reference that leaves it the least."""
    pairs = [(found.keys.family, found) for found in comparison.verdicts_on(comparison.axis)]
    return dict(sorted(pairs, key=lambda pair: _hardness(pair[1]), reverse=True))  # the last of equal names stays


def _hardness(found: JointVerdict) -> tuple[int, float]:
    """What sorts references, the hardest first: the verdict, then the excess."""
    return ORDER.index(found.verdict), least(found)


def least(found: JointVerdict) -> float:
    """The excess by the worse yardstick; -inf where one of them has none."""
    estimates = [excess.estimate for excess in (found.keys, found.content) if excess is not None]
    return min(estimate.value if estimate is not None else float("-inf") for estimate in estimates)


def role(row: Row) -> Role:
    """What a row is on the board."""
    if row.baseline:
        return Role.BASELINE
    if gold_standard(row):
        return Role.GOLD
    return Role.REFERENCE if row.reference_curve else Role.FAMILY


def _place(comparison: MatchedComparison, row: Row) -> Place:
    by_keys, by_content = (_find(comparison, row, measure) for measure in (KEYS.name, CONTENT.name))
    found = by_keys or by_content
    if found is None:
        return Place(role(row), reason=_why_nowhere(comparison, row))
    judged = hardest(comparison).get(row.family) if role(row) is Role.FAMILY else None
    gap = _gap(comparison, judged, by_keys, by_content)
    verdict, reason = _worn(judged, found[1].loss, gap)
    return Place(role(row), 1 - found[1].loss, _memory(by_keys), _memory(by_content), gap, judged, verdict, reason)


def _find(comparison: MatchedComparison, row: Row, measure: str) -> tuple[Curve, Point] | None:
    """The curve on which a row lies, and its point; the baseline is the first point of any curve that asks all queries."""
    curves = [curve for curve in comparison.curves_on(comparison.axis, measure) if curve.points]
    if row.baseline:
        inner = [curve for curve in curves if "sampling" not in curve.stage.split("+")] or curves
        return (inner[0], inner[0].points[0]) if inner else None
    own = (curve for curve in curves if curve.family == row.family)
    return next(((curve, point) for curve in own for point in curve.points[1:] if point.mitigation == row.mitigation), None)


def _memory(found: tuple[Curve, Point] | None) -> float | None:
    return found[1].memory if found is not None else None


def _why_nowhere(comparison: MatchedComparison, row: Row) -> str:
    curves = [curve for curve in comparison.curves_on(comparison.axis) if curve.family == row.family]
    left_out: Mapping[str, str] = curves[0].left_out if curves else {}
    return left_out.get(row.mitigation) or row.reason or "not compared"


def _gap(
    comparison: MatchedComparison,
    judged: JointVerdict | None,
    by_keys: tuple[Curve, Point] | None,
    by_content: tuple[Curve, Point] | None,
) -> Estimate | None:
    """How far a row is below the reference of its family's verdict, by the yardstick that says less."""
    if judged is None or judged.keys.reference is None:
        return None
    pairs = [(KEYS.name, by_keys), *([] if judged.keys_only else [(CONTENT.name, by_content)])]
    gaps = [_below(comparison, measure, judged.keys.reference, *found) for measure, found in pairs if found is not None]
    known = [gap for gap in gaps if gap is not None]
    return min(known, key=lambda gap: gap.value) if len(known) == len(pairs) else None


def _below(comparison: MatchedComparison, measure: str, reference: str, curve: Curve, point: Point) -> Estimate | None:
    """The reference's frontier at the utility of a setting, minus the setting, over the seeds of both."""
    bars = [each for each in comparison.curves_on(comparison.axis, measure) if each.family == reference and each.points]
    seeds = [seed for seed in curve.seeds if bars and seed in bars[0].seeds]
    if not seeds:
        return None
    at = np.array([float(np.clip(point.loss, 0.0, WIDEST))])
    memories = np.array([point.memories[curve.seeds.index(seed)] for seed in seeds])
    own = [memories.mean(), *(np.delete(memories, out).mean() for out in range(len(seeds)) if len(seeds) > 1)]
    return jackknife(bars[0].frontiers(at, seeds)[:, 0] - np.array(own))


def _worn(judged: JointVerdict | None, loss: float, gap: Estimate | None) -> tuple[CurveVerdict | None, str]:
    """The verdict that a row wears, or why it wears none."""
    if judged is None:
        return None, ""
    if gap is None:
        return None, judged.reason
    if loss > WIDEST:
        return None, f"loses {100 * loss:.0f} % of the utility: families are compared up to {100 * WIDEST:.0f} %"
    if judged.verdict is CurveVerdict.REAL and gap.value < EQUAL:
        return None, "its family is real, but this setting leaves no less than the reference at the same utility"
    if judged.verdict is CurveVerdict.WORSE and gap.value > -EQUAL:
        return None, "its family is worse, but this setting leaves no more than the reference at the same utility"
    return judged.verdict, judged.reason


STANDING = (CurveVerdict.REAL, CurveVerdict.EQUAL, CurveVerdict.UNDECIDED, CurveVerdict.WORSE)
"""The order of verdicts on the board."""


def order(place: Place) -> tuple[int, int, float]:
    """What rows are ordered by: baseline and gold standard, then verdicts, then the rest; inside, the least worst memory."""
    kinds = (Role.BASELINE, Role.GOLD, Role.FAMILY, Role.REFERENCE)
    kind = kinds.index(place.role) if place.worst is not None or place.role is Role.BASELINE else len(kinds)
    verdict = STANDING.index(place.verdict) if place.verdict is not None else len(STANDING)
    return kind, verdict, place.worst if place.worst is not None else 2.0
