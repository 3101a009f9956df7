"""Paired: one number over seeds with its interval, p-values of several, and groups that cannot be told apart. No torch.

Seeds are paired: whatever is compared was measured on the same images, keys and noise of each seed. A statistic that
is taken of means over seeds, such as a point of a curve's frontier, gets its error from the jackknife over seeds:

    SE² = (S - 1) / S Σ_s (v_(s) - mean of v_(s))²,  v_(s) the statistic without seed s,  value ± t_{S-1} SE

which is Student's interval where the statistic is a mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

FEWEST = 3
"""Seeds below which there is no interval."""

ENOUGH = 6
"""Seeds below which no p-value is told: until there are so many, no pattern of signs has a probability below 0.05."""

LEVEL = 0.05


@dataclass(frozen=True)
class OverSeeds:
    """A number over `seeds` seeds with its 95 % interval; below three seeds there is none."""

    value: float
    low: float | None
    high: float | None
    error: float | None
    seeds: int

    @property
    def p(self) -> float | None:
        """Two-sided, of "it is 0", by Student's t; None without an interval."""
        if self.error is None:
            return None
        if self.error == 0:
            return float(self.value == 0)
        return float(2 * special.stdtr(self.seeds - 1, -abs(self.value) / self.error))


def jackknifed(values: Array) -> OverSeeds:
    """From (1 + S,): the statistic of all S seeds, then without each of them. With one seed the first alone, (1,)."""
    value, without = float(values[0]), values[1:]
    count = max(len(without), 1)
    if count < FEWEST:
        return OverSeeds(value, None, None, None, count)
    error = float(np.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2)))
    error = error if error > 1e-12 * max(1.0, abs(value)) else 0.0  # rounding is no spread
    margin = float(special.stdtrit(count - 1, 1 - LEVEL / 2)) * error
    return OverSeeds(value, value - margin, value + margin, error, count)


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for being several, by Holm's step-down: reject where at most the level."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate([(len(p) - rank) * p[place] for rank, place in enumerate(order)])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def groups(count: int, apart: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The largest sets of `count` things of which no two are `apart`, in order; a thing may be in several.

    Insert and absorb: Piepho, An algorithm for a letter-based representation of all-pairwise comparisons (2004).
    """
    found = [frozenset(range(count))] if count else []
    for one, other in apart:
        split = [part - {thing} for part in found if {one, other} <= part for thing in (one, other)]
        candidates = [part for part in found if not {one, other} <= part] + split
        found = [part for part in dict.fromkeys(candidates) if not any(part < larger for larger in candidates)]
    return sorted(tuple(sorted(part)) for part in found)
