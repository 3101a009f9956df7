"""Findings: the result of an experiment, with the rule that was stated before it, an interval, and a verdict.

Each experiment, of the validity suite, of the copy metrics, or of a published claim, ends in one `Finding`. It is
written as a record of event `finding`, and drawn as one figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum

import numpy as np

from .errors import InvalidValue
from .metrics import scores
from .schema.numbers import Estimate


class Verdict(Enum):
    """`holds` where the interval lies within what the rule asks, `fails` where it lies outside, else `undecided`.

    A published claim can also be `not seen here`, by its own measure or by ours, without being refuted, or `not testable
    here`, where the method moves nothing (see `replicated`).
    """

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    NOT_SEEN = "not seen here"
    NOT_TESTABLE = "not testable here"


@dataclass(frozen=True)
class Step:
    """One step of a test: what it asks, whether that was `seen` (None where nobody measured it), and what was `found`."""

    name: str
    asks: str
    seen: bool | None
    found: str


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
            tuple(estimate.value for _, estimate in points),
            tuple(estimate.limits[0] for _, estimate in points),
            tuple(estimate.limits[1] for _, estimate in points),
        )


@dataclass(frozen=True)
class Finding:
    """The result of an experiment.

    `rule` was stated before the numbers; `statistic` is what the rule is about, and `estimate` its value with an interval
    over `seeds`; `reason` says in words what was found; `chance` is the y that chance gives; `source` is title and arXiv
    number of the claim, if somebody published it; `details` are further numbers, JSON only. A claim is tested in `steps`,
    and its verdict is about `where` they were taken, no more: what the `testbed`, named as it is registered, is known as.
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
    details: Mapping[str, object] = field(default_factory=dict)
    where: str = ""
    steps: tuple[Step, ...] = ()
    testbed: str = ""

    def as_record(self) -> dict[str, object]:
        """The fields as JSON, the verdict as its word."""
        return {**asdict(self), "verdict": self.verdict.value}


def over_seeds(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean of one number a seed with the t interval over seeds. Raises InvalidValue below three seeds."""
    if len(values) < 3:
        raise InvalidValue("findings.over_seeds", f"{len(values)} seeds", "at least 3", "Ask for more with --seeds.")
    return scores.mean(np.asarray(values, dtype=np.float64), confidence)


def decide(estimate: Estimate, *, above: float | None = None, below: float | None = None) -> Verdict:
    """Whether the interval lies above a bound, below another, or between both; FAILS where it lies wholly outside."""
    low, high = estimate.limits
    inside = (above is None or low > above) and (below is None or high < below)
    outside = (above is not None and high < above) or (below is not None and low > below)
    if inside:
        return Verdict.HOLDS
    return Verdict.FAILS if outside else Verdict.UNDECIDED


@dataclass(frozen=True)
class Crossing:
    """The x at which a curve first passes a level.

    Where the curve does not pass it, or has passed it before its first point, `at` is that end of the curve: a bound, and
    no measurement.
    """

    at: float
    passed: bool


def crossing(curve: Mapping[int, float] | Mapping[float, float], level: float) -> Crossing:
    """The crossing of y by ascending x > 0, interpolated in log x; a dip after a rise does not count."""
    log_x, values = np.log(list(curve)), np.maximum.accumulate(list(curve.values()))
    passed = bool(values[0] < level <= values[-1])
    return Crossing(float(np.exp(np.interp(level, values, log_x))), passed)


def decide_passed(crossings: Sequence[Crossing], verdict: Verdict) -> Verdict:
    """The verdict on numbers that follow from crossings: UNDECIDED where a crossing is a bound only."""
    return verdict if all(crossing.passed for crossing in crossings) else Verdict.UNDECIDED


def replicated(rule: Verdict, reach: bool | None, replication: bool | None) -> Verdict:
    """The verdict on a published claim, from the rule's verdict by keys and content and from the steps before it.

    Without `reach`, where the method's strongest setting moves nothing, nothing can be said. Who refutes must first have
    seen what was published: without `replication` by the source's own measure, a rule that fails is not seen here, and so
    is one that holds where the source's measure shows the contrary. None is a step that nobody took.
    """
    if reach is False:
        return Verdict.NOT_TESTABLE
    if rule is Verdict.FAILS:
        return Verdict.FAILS if reach and replication else Verdict.NOT_SEEN
    return Verdict.NOT_SEEN if rule is Verdict.HOLDS and replication is False else rule


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """FAILS where any verdict does, else UNDECIDED where any is, else HOLDS."""
    for verdict in (Verdict.FAILS, Verdict.UNDECIDED):
        if verdict in verdicts:
            return verdict
    return Verdict.HOLDS
