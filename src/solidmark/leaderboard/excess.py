"""Excess: how far a family lies below the reference curve of its stage, and what that says of it. Pure, no torch.

    excess = mean over losses of utility from 0 to 25 % of (reference's frontier - family's frontier)

in units of M: the area between both curves, divided by its width. Positive is less memory at the same utility.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from .curves import DRAWN, Curve
from .paired import ENOUGH, FEWEST, LEVEL, OverSeeds, holm, jackknifed

WIDEST = 0.25
"""Largest relative loss of utility over which curves are compared."""

EQUAL = 0.05
"""So much of M is no difference: a reference that is swept more finely gains about half of it."""

RANGE = DRAWN[DRAWN <= WIDEST + 1e-9]


class Standing(Enum):
    """What a family is, beside its reference."""

    REAL = "real"
    EQUAL = "equal"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Excess:
    """A family beside one reference curve, over the seeds of both.

    `p` is adjusted for all `comparisons` of a testbed by Holm's method; None with a reason below six seeds.
    """

    family: str
    stage: str
    reference: str | None
    axis: str
    measure: str
    seeds: tuple[int, ...]
    estimate: OverSeeds | None
    p: float | None
    comparisons: int
    standing: Standing
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON, null with a reason where unknown."""
        few = self.estimate is not None and self.p is None
        told = {"p": too_few(len(self.seeds))} if few else {"p": self.reason} if self.p is None else {}
        return {**asdict(self), "standing": self.standing.value, "reasons": told}


def too_few(seeds: int) -> str:
    """Why there is no p-value."""
    return f"too few seeds for a p-value: {seeds}, of at least {ENOUGH}"


def between(family: Curve, reference: Curve) -> OverSeeds | None:
    """The excess over the seeds of both; None where they have none in common, or no numbers."""
    seeds = [seed for seed in family.seeds if seed in reference.seeds]
    if not seeds:
        return None
    gaps = reference.frontiers(RANGE, seeds) - family.frontiers(RANGE, seeds)
    return jackknifed(np.asarray(np.trapezoid(gaps, RANGE, axis=1)) / WIDEST)


def excesses(curves: Sequence[Curve]) -> list[Excess]:
    """Each family beside each reference of its stages; all curves of one testbed, axis and measure."""
    found = [_beside(curve, other) for curve in curves if not curve.reference for other in _references(curve, curves)]
    raw = [(place, one.estimate.p) for place, one in enumerate(found) if one.estimate is not None]
    known = [(place, p) for place, p in raw if p is not None]
    adjusted = dict(zip((place for place, _ in known), holm([p for _, p in known]), strict=True))
    return [_judged(one, adjusted.get(place), len(known)) for place, one in enumerate(found)]


def _references(curve: Curve, curves: Sequence[Curve]) -> list[Curve | None]:
    """The references of the stages in which a family acts; None where there is none."""
    stages = curve.stage.split("+")
    return [other for other in curves if other.reference and other.stage in stages] or [None]


def _beside(curve: Curve, other: Curve | None) -> Excess:
    known = (curve.family, curve.stage, other.family if other else None, curve.axis, curve.measure)
    seeds = tuple(seed for seed in curve.seeds if other is not None and seed in other.seeds)
    estimate = between(curve, other) if other is not None else None
    return Excess(*known, seeds, estimate, None, 0, Standing.UNDECIDED, "" if estimate else _missing(curve, other))


def _missing(curve: Curve, other: Curve | None) -> str:
    if curve.reason:
        return curve.reason
    if other is None:
        return f"no reference of stage {curve.stage} is among the records"
    return f"its reference: {other.reason}" if other.reason else "no seed in common with its reference"


def _judged(one: Excess, p: float | None, comparisons: int) -> Excess:
    if one.estimate is None:
        return one
    standing, reason = judge(one.estimate, p)
    told = p if len(one.seeds) >= ENOUGH else None
    return replace(one, p=told, comparisons=comparisons, standing=standing, reason=reason)


def judge(estimate: OverSeeds, p: float | None) -> tuple[Standing, str]:
    """What an excess says, and why; `p` is adjusted for all comparisons."""
    if estimate.low is None or estimate.high is None or p is None:
        count = f"{estimate.seeds} seed{'' if estimate.seeds == 1 else 's'}"
        return Standing.UNDECIDED, f"{count}: an interval over seeds needs {FEWEST}"
    if estimate.low >= -EQUAL and estimate.high <= EQUAL:
        return Standing.EQUAL, f"within ±{EQUAL:g}"
    if estimate.low <= 0 <= estimate.high:
        return Standing.UNDECIDED, "its interval holds 0"
    if p > LEVEL:
        return Standing.UNDECIDED, "not significant among so many comparisons"
    if abs(estimate.value) < EQUAL:
        return Standing.UNDECIDED, f"not 0, but less than {EQUAL:g}"
    if estimate.value > 0:
        return Standing.REAL, "below its reference"
    return Standing.WORSE, "above its reference"
