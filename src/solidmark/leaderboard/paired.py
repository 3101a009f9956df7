"""Paired: one number over seeds with its interval, p-values of several, and groups that do not differ.

Seeds are paired: whatever is compared was measured on the same images, keys and noise of each seed. A statistic that
is taken of means over seeds, such as a point of a curve's frontier, gets its error from the jackknife over seeds:

    SE² = (S - 1) / S Σ_s (v_(s) - mean of v_(s))²,  v_(s) the statistic without seed s,  value ± t_{S-1} SE

which is Student's interval where the statistic is a mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..metrics.scores import t_interval
from ..schema.numbers import Estimate

Array = NDArray[np.float64]

FEWEST = 3
"""Seeds below which there is no interval."""

ENOUGH = 6
"""Seeds below which no p-value is given: with fewer, no pattern of signs has a probability below 0.05."""

LEVEL = 0.05


def jackknife(values: Array) -> Estimate:
    """From (1 + S,): the statistic of all S seeds, then without each of them. With one seed the first alone, (1,).

    `count` is S; below three seeds there is no interval.
    """
    value, without = float(values[0]), values[1:]
    count = max(len(without), 1)
    if count < FEWEST:
        return Estimate(value, count=count)
    error = float(np.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2)))
    error = error if error > 1e-12 * max(1.0, abs(value)) else 0.0  # rounding is no spread
    return replace(t_interval(value, error, count - 1), count=count)


def p_value(estimate: Estimate) -> float | None:
    """Two-sided, of "it is 0", by Student's t over the `count` seeds; None without an interval."""
    if estimate.error is None or estimate.count is None:
        return None
    if estimate.error == 0:
        return float(estimate.value == 0)
    return float(2 * special.stdtr(estimate.count - 1, -abs(estimate.value) / estimate.error))


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for being several, by Holm's step-down: reject where at most the level."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate([(len(p) - rank) * p[index] for rank, index in enumerate(order)])
    adjusted = np.empty(len(p))
    adjusted[order] = stepped.clip(max=1.0)
    return [float(value) for value in adjusted]


def groups(count: int, apart: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The largest sets of `count` things of which no two are `apart`, in order; a thing may be in several.

    Insert and absorb: Piepho, An algorithm for a letter-based representation of all-pairwise comparisons (2004).
    """
    sets = [frozenset(range(count))] if count else []
    for pair in map(frozenset, apart):
        split = [members - {thing} for members in sets if pair <= members for thing in pair]
        candidates = [members for members in sets if not pair <= members] + split
        sets = [members for members in dict.fromkeys(candidates) if not any(members < larger for larger in candidates)]
    return sorted(tuple(sorted(members)) for members in sets)
