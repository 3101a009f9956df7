"""Excess: how far a family is below the reference curve of its stage, and the verdict from that.

    excess = mean over losses of utility from 0 to 25 % of (reference's frontier - family's frontier)

in units of M: the area between both curves, divided by its width. Positive is less memory at the same utility.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum

import numpy as np

from ..schema.numbers import Estimate
from .curves import DRAWN, ROUNDING, Curve, bounded
from .paired import ENOUGH, FEWEST, LEVEL, holm, p_value

WIDEST = 0.25
"""Largest relative loss of utility over which curves are compared."""

EQUAL = 0.05
"""So much of M is no difference: a reference that is swept more finely gains about half of it."""

RANGE = DRAWN[DRAWN <= WIDEST + ROUNDING]


class CurveVerdict(Enum):
    """What a family is, compared with its reference."""

    REAL = "real"
    EQUAL = "equal"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Excess:
    """A family compared with one reference curve, over the seeds of both.

    `p` is adjusted for all `comparisons` of a testbed by Holm's method; None with a reason below six seeds.
    """

    family: str
    stage: str
    reference: str | None
    axis: str
    measure: str
    seeds: tuple[int, ...]
    estimate: Estimate | None
    p: float | None
    comparisons: int
    verdict: CurveVerdict
    reason: str

    def to_json(self) -> dict[str, object]:
        """The fields as plain JSON, null with a reason where unknown."""
        few = self.estimate is not None and self.p is None
        reasons = {"p": too_few(len(self.seeds))} if few else {"p": self.reason} if self.p is None else {}
        return {**asdict(self), "verdict": self.verdict.value, "reasons": reasons}


def too_few(seeds: int) -> str:
    """Why there is no p-value."""
    return f"too few seeds for a p-value: {seeds}, of at least {ENOUGH}"


def between(family: Curve, reference: Curve) -> Estimate | None:
    """The excess over the seeds of both; None where they have none in common, or no numbers."""
    seeds = [seed for seed in family.seeds if seed in reference.seeds]
    if not seeds:
        return None
    gaps = reference.frontiers(RANGE, seeds) - family.frontiers(RANGE, seeds)
    return bounded(np.asarray(np.trapezoid(gaps, RANGE)) / WIDEST)


def excesses(curves: Sequence[Curve]) -> list[Excess]:
    """Each family with each reference of its stages; all curves of one testbed, axis and measure.

    The gold standard is no competitor and has none.
    """
    competitors = [curve for curve in curves if not (curve.reference or curve.gold)]
    pairs = [(curve, reference) for curve in competitors for reference in _references(curve, curves)]
    return judged([_excess_over(curve, reference) for curve, reference in pairs])


def judged(unjudged: Sequence[Excess]) -> list[Excess]:
    """The excesses of one testbed, axis and measure with their verdicts, corrected for being so many."""
    raw = [p_value(excess.estimate) if excess.estimate is not None else None for excess in unjudged]
    tested = [index for index, p in enumerate(raw) if p is not None]
    adjusted = dict(zip(tested, holm([p for p in raw if p is not None])))
    return [_with_verdict(excess, adjusted.get(index), len(tested)) for index, excess in enumerate(unjudged)]


def _references(curve: Curve, curves: Sequence[Curve]) -> list[Curve | None]:
    """The references of the stages in which a family acts; None where there is none."""
    stages = curve.stage.split("+")
    return [candidate for candidate in curves if candidate.reference and candidate.stage in stages] or [None]


def _excess_over(curve: Curve, reference: Curve | None) -> Excess:
    """The excess over a reference, before all of them are judged together."""
    identity = (curve.family, curve.stage, reference.family if reference else None, curve.axis, curve.measure)
    seeds = tuple(seed for seed in curve.seeds if reference is not None and seed in reference.seeds)
    estimate = between(curve, reference) if reference is not None else None
    reason = "" if estimate else _missing(curve, reference)
    return Excess(*identity, seeds, estimate, None, 0, CurveVerdict.UNDECIDED, reason)


def _missing(curve: Curve, reference: Curve | None) -> str:
    """Why there is no excess."""
    if curve.reason:
        return curve.reason
    if reference is None:
        return f"no reference of stage {curve.stage} is among the records"
    return f"its reference: {reference.reason}" if reference.reason else "no seed in common with its reference"


def _with_verdict(excess: Excess, p: float | None, comparisons: int) -> Excess:
    """The excess with its verdict; a p-value of too few seeds is not shown."""
    if excess.estimate is None:
        return excess
    verdict, reason = judge(excess.estimate, p)
    shown = p if len(excess.seeds) >= ENOUGH else None
    return replace(excess, p=shown, comparisons=comparisons, verdict=verdict, reason=reason)


def judge(estimate: Estimate, p: float | None) -> tuple[CurveVerdict, str]:
    """What an excess says, and why; `p` is adjusted for all comparisons."""
    if p is None:  # as there is no interval
        count = f"{estimate.count} seed{'' if estimate.count == 1 else 's'}"
        return CurveVerdict.UNDECIDED, f"{count}: an interval over seeds needs {FEWEST}"
    low, high = estimate.limits
    if low >= -EQUAL and high <= EQUAL:
        return CurveVerdict.EQUAL, f"within ±{EQUAL:g}"
    if low <= 0 <= high:
        return CurveVerdict.UNDECIDED, "its interval holds 0"
    if p > LEVEL:
        return CurveVerdict.UNDECIDED, "not significant among so many comparisons"
    if abs(estimate.value) < EQUAL:
        return CurveVerdict.UNDECIDED, f"not 0, but less than {EQUAL:g}"
    if estimate.value > 0:
        return CurveVerdict.REAL, "below its reference"
    return CurveVerdict.WORSE, "above its reference"
