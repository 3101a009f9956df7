"""Findings: what an experiment says, with the rule that was stated before it, an interval, and a verdict.

An experiment of the validity suite, of concordance, or of a published claim ends in one `Finding`. It is written as a
record of event `finding`, and drawn as one figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from scipy import stats

from .errors import InvalidValue
from .metrics.scores import Estimate


class Verdict(Enum):
    """`holds` where the interval lies within what the rule asks, `fails` where it lies outside, else `undecided`."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Series:
    """One line or row of points of a figure: y with its 95 % interval at each x, a number or a name."""

    label: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, label: str, points: Sequence[tuple[float | str, Estimate]]) -> Series:
        """From (x, estimate) pairs."""
        return cls(
            label,
            tuple(x for x, _ in points),
            tuple(one.value for _, one in points),
            tuple(one.low for _, one in points),
            tuple(one.high for _, one in points),
        )


@dataclass(frozen=True)
class Finding:
    """The end of an experiment.

    `rule` was stated before the numbers; `statistic` is what it speaks of, with its interval over `seeds`; `reason`
    says in words what was found; `chance` is where a y of nothing lies; `source` is title and arXiv number of the
    claim, if it is somebody's; `details` are further numbers, JSON only.
    """

    suite: str
    name: str
    title: str
    rule: str
    verdict: Verdict
    reason: str
    statistic: str
    estimate: Estimate
    seeds: tuple[int, ...]
    series: tuple[Series, ...]
    x_title: str
    y_title: str
    chance: float | None = 0.0
    source: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """The fields as JSON, the verdict as its word."""
        return {**asdict(self), "verdict": self.verdict.value}


def over_seeds(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean of one number a seed with the t interval over seeds. Raises InvalidValue below three seeds."""
    if len(values) < 3:
        raise InvalidValue("findings.over_seeds", f"{len(values)} seeds", "at least 3", "Ask for more with --seeds.")
    numbers = np.asarray(values, dtype=np.float64)
    error = float(numbers.std(ddof=1) / np.sqrt(len(numbers)))
    margin = float(stats.t.ppf((1 + confidence) / 2, len(numbers) - 1)) * error
    mean = float(numbers.mean())
    return Estimate(mean, mean - margin, mean + margin, error)


def decide(estimate: Estimate, *, above: float | None = None, below: float | None = None) -> Verdict:
    """Whether the interval lies above a bound, below one, or between both; FAILS where it lies wholly on the other side."""
    inside = (above is None or estimate.low > above) and (below is None or estimate.high < below)
    outside = (above is not None and estimate.high < above) or (below is not None and estimate.low > below)
    if inside:
        return Verdict.HOLDS
    return Verdict.FAILS if outside else Verdict.UNDECIDED


@dataclass(frozen=True)
class Crossing:
    """Where a curve first passes a level. Where it does not, or has passed it before its first point, `at` is that end
    of it: a bound, and no measurement."""

    at: float
    passed: bool


def crossing(curve: Mapping[int, float] | Mapping[float, float], level: float) -> Crossing:
    """Of y by ascending x > 0, by interpolation in log x; a dip after a rise does not count."""
    places, values = np.log(list(curve)), np.maximum.accumulate(list(curve.values()))
    passed = bool(values[0] < level <= values[-1])
    return Crossing(float(np.exp(np.interp(level, values, places))), passed)


def decide_passed(crossings: Sequence[Crossing], verdict: Verdict) -> Verdict:
    """The verdict on numbers that rest on crossings: UNDECIDED where one of them is a bound only."""
    return verdict if all(one.passed for one in crossings) else Verdict.UNDECIDED


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """FAILS where one does, else UNDECIDED where one is, else HOLDS."""
    for verdict in (Verdict.FAILS, Verdict.UNDECIDED):
        if verdict in verdicts:
            return verdict
    return Verdict.HOLDS
