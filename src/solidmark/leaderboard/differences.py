"""Differences: what one row has more than another, of two runs or of one, paired as far as can be.

    from three common seeds on    mean over seeds of (after - before), Student's t over seeds
    below that, memory            M of the leading query, paired over the images of each seed, where both left their files
    else                          after - before with the errors of both, as if they were independent, which is wider

All differences of a comparison are corrected together by Holm's method. Memory is that of the worst case, as the row's stage
is judged, and what is shown to avoid keys counts by its size; content is 2 AUROC - 1 of each row by the caption that finds
most. What is one measurement on both sides is the same, whatever its errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import hypot
from pathlib import Path
from statistics import fmean

import numpy as np

from ..metrics.scores import memorization_difference, t_interval
from ..schema.numbers import Estimate, Share
from ..schema.row import Attempt, Row
from .build import Leaderboard
from .measures import AXES, CONTENT, KEYS, LEAD, Measure, each_seed, recalled
from .paired import FEWEST, LEVEL, Array, holm, jackknife, p_value
from .per_image import answers

MARGIN = 0.05
"""So much of memory, content or accuracy is no difference that matters."""

ACCURACY = "accuracy"
IDENTICAL = "identical records"
"""What is told in place of what a difference is paired over where both sides are one measurement."""

TITLES = {KEYS.name: "M★", LEAD.name: "M", CONTENT.name: "content"}
"""What the measures are called in a comparison."""


class Change(Enum):
    """What a difference says, after correction; better is less memory, or more accuracy."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Difference:
    """One number of a row after, less that before; `paired` says over what, `p` is adjusted for all of a comparison."""

    testbed: str
    mitigation: str
    measure: str
    before: float
    after: float
    estimate: Estimate
    paired: str
    p: float | None = None
    change: Change = Change.UNDECIDED


@dataclass(frozen=True)
class Comparison:
    """Rows of both sides with their differences, rows of one side alone, and rows whose numbers were `lost`, with why."""

    differences: tuple[Difference, ...]
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        """Whether anything is worse after than before."""
        return bool(self.lost) or any(one.change is Change.WORSE for one in self.differences)


Side = tuple[Leaderboard, Sequence[Path]]
"""A leaderboard and the folders of its runs."""


def compare_runs(before: Side, after: Side, margin: float = MARGIN) -> Comparison:
    """Every row that both leaderboards have: the same testbed, mitigation and solver."""
    rows, others = ({_key(row): row for row in board.rows} for board, _ in (before, after))
    shared = [key for key in rows if key in others]
    pairs = [(rows[key], others[key]) for key in shared if rows[key].ok and others[key].ok]
    lost = [f"{_name(others[key])}: {_why(others[key])}" for key in shared if rows[key].ok and not others[key].ok]
    return Comparison(
        judged([one for pair in pairs for one in differences(*pair, before[1], after[1])], margin),
        tuple(_name(row) for key, row in rows.items() if key not in others),
        tuple(_name(row) for key, row in others.items() if key not in rows),
        tuple(lost),
    )


def compare_rows(before: Row, after: Row, runs: Sequence[Path], margin: float = MARGIN) -> Comparison:
    """Two rows of one leaderboard, of one testbed and solver."""
    return Comparison(judged(differences(before, after, runs, runs), margin))


def _key(row: Row) -> tuple[str, str, str]:
    return row.testbed, row.mitigation, str(row.solver)


def _name(row: Row) -> str:
    return f"{row.testbed}, {row.mitigation}"


def _why(row: Row) -> str:
    return f"{row.status}: {row.reason}" if row.reason else row.status


def differences(before: Row, after: Row, runs: Sequence[Path] = (), others: Sequence[Path] = ()) -> list[Difference]:
    """Memory, content and accuracy of `after` less those of `before`, before any correction; numbers that both have."""
    seeds = [seed for seed in before.seeds if seed in after.seeds]
    found = [
        _memory(before, after, seeds, runs, others),
        _measured(before, after, CONTENT, seeds),
        _accuracy(before, after, seeds),
    ]
    known = [one for one in found if one is not None]
    return [_none(one) for one in known] if before.attempts == after.attempts else known


def _none(one: Difference) -> Difference:
    """No difference at all: both sides are the same cases with the same numbers, so that nothing is tested."""
    return replace(one, estimate=replace(one.estimate, value=0.0, low=0.0, high=0.0, error=None), paired=IDENTICAL)


def _memory(
    before: Row, after: Row, seeds: Sequence[int], runs: Sequence[Path], others: Sequence[Path]
) -> Difference | None:
    worst = KEYS.within(before.stage)
    if KEYS.within(after.stage) != worst or worst.lacking(after, before):
        worst = LEAD  # another worst case, or other queries
    by_images = _over_images(before, after, seeds, runs, others) if 0 < len(seeds) < FEWEST else None
    return by_images or _measured(before, after, worst, seeds)


def _over_images(
    before: Row, after: Row, seeds: Sequence[int], runs: Sequence[Path], others: Sequence[Path]
) -> Difference | None:
    """M of the leading query, paired over images; None where a file is missing, of other images, or of another query."""
    query = next(iter(before.queries or {}), "")
    if query != next(iter(after.queries or {}), ""):
        return None
    each: list[Estimate] = []
    for seed in seeds:
        one, other = answers(runs, before, seed, query), answers(others, after, seed, query)
        if one is None or other is None or one.images != other.images or not np.array_equal(one.keys, other.keys):
            return None
        each.append(memorization_difference(other.predictions, one.predictions, one.keys))
    ends = [[_attempt(row, seed).memorization for seed in seeds] for row in (before, after)]
    plain = [[one for one in side if one is not None and recalled(one) == one.value] for side in ends]
    if any(len(side) < len(seeds) for side in plain):
        return None  # what avoids keys counts by its size, which a plain difference does not see
    levels = [float(np.mean([one.value for one in side])) for side in plain]
    error = float(np.sqrt(np.sum([(one.error or 0.0) ** 2 for one in each])) / len(each))
    count = min(one.count or 2 for side in plain for one in side)
    estimate = t_interval(float(np.mean([one.value for one in each])), error, len(each) * (count - 1))
    named = f"M by {query}"
    return _difference(after, named, (levels[0], levels[1]), replace(estimate, count=count), f"{count} images")


def _measured(before: Row, after: Row, measure: Measure, seeds: Sequence[int]) -> Difference | None:
    """One measure of memorization, of each row by the reading that finds most in it; None where one has none.

    One reading for both would depend on which of them chose it, so that A against B were not B against A.
    """
    readings = [(row, measure.reading(row, row.seeds)) for row in (before, after)]
    if not all(reading for _, reading in readings):
        return None
    name = TITLES[measure.name]
    if len(seeds) >= FEWEST:
        ends = [each_seed(row, seeds, reading) for row, reading in readings]
        return _over_seeds(after, name, ends[0], ends[1])
    estimates = [[getattr(attempt, reading) for attempt in row.attempts] for row, reading in readings]
    one, other = (fmean(map(recalled, side)) for side in estimates)
    error = hypot(*map(_error, estimates))
    count = min(estimate.count or 2 for side in estimates for estimate in side)
    apart = t_interval(other - one, error, 2 * (count - 1))
    return _difference(after, name, (one, other), replace(apart, count=count), "")


def _error(estimates: Sequence[Estimate]) -> float:
    """The standard error of the mean over seeds of what `recalled` makes of estimates."""
    return float(np.linalg.norm([_of_recalled(estimate) for estimate in estimates]) / len(estimates))


def _of_recalled(estimate: Estimate) -> float:
    """The standard error of what `recalled` makes of an estimate, read off its limits where it states none."""
    low, high = estimate.limits
    error = estimate.error if estimate.error is not None else (high - low) / 2 / 1.96
    return error / (1 - (estimate.chance or 0.0))


def _accuracy(before: Row, after: Row, seeds: Sequence[int]) -> Difference | None:
    shares = [row.utility.accuracy if row.utility is not None else None for row in (before, after)]
    if shares[0] is None or shares[1] is None:
        return None
    if len(seeds) >= FEWEST:
        return _over_seeds(after, ACCURACY, AXES[0].over(before, seeds), AXES[0].over(after, seeds))
    return _difference(after, ACCURACY, (shares[0].share, shares[1].share), _of_shares(shares[0], shares[1]), "")


def _of_shares(before: Share, after: Share) -> Estimate:
    """The difference of two shares with the interval of Agresti and Caffo (2000): one success and one failure more each."""
    shares = [((share.count + 1) / (share.of + 2), share.of + 2) for share in (before, after)]
    error = float(np.sqrt(sum(p * (1 - p) / n for p, n in shares)))
    count = before.of + after.of
    return replace(t_interval(shares[1][0] - shares[0][0], error, count - 2), count=count)


def _over_seeds(row: Row, measure: str, before: Array, after: Array) -> Difference:
    """From one value a seed, (S,) each."""
    apart = after - before
    without = [np.delete(apart, index).mean() for index in range(len(apart))]
    ends = float(before.mean()), float(after.mean())
    return _difference(row, measure, ends, jackknife(np.array([apart.mean(), *without])), f"{len(apart)} seeds")


def _attempt(row: Row, seed: int) -> Attempt:
    return next(attempt for attempt in row.attempts if attempt.seed == seed)


def _difference(row: Row, measure: str, ends: tuple[float, float], estimate: Estimate, paired: str) -> Difference:
    return Difference(row.testbed, row.mitigation, measure, *ends, estimate, paired)


def judged(found: Iterable[Difference], margin: float = MARGIN) -> tuple[Difference, ...]:
    """The differences with what they say, corrected for being so many."""
    unjudged = list(found)
    raw = [p_value(one.estimate) for one in unjudged]
    adjusted = iter(holm([p for p in raw if p is not None]))
    each = [None if p is None else next(adjusted) for p in raw]
    return tuple(replace(one, p=p, change=_change(one, p, margin)) for one, p in zip(unjudged, each, strict=True))


def _change(one: Difference, p: float | None, margin: float) -> Change:
    low, high = one.estimate.limits
    if low >= -margin and high <= margin:
        return Change.SAME
    if p is None or p > LEVEL or abs(one.estimate.value) < margin:
        return Change.UNDECIDED
    good = one.estimate.value > 0 if one.measure == ACCURACY else one.estimate.value < 0
    return Change.BETTER if good else Change.WORSE
