"""Measures: what a curve compares, a kind of utility against a kind of memorization.

Memorization has two yardsticks. Keys: M of the worst case over queries, or of the leading query. Content: whether images are
emitted. Each is a share of the way from chance to complete recall, but of its own way: a family is compared with its
reference in each, and 0.5 of one is not 0.5 of the other.

    memorization of a seed = (value - chance) / (1 - chance),   for keys M, for content 2 AUROC - 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..schema.numbers import Estimate
from ..schema.row import NO_CONTENT, NO_WORST, Attempt, Row, Scored, Worst
from .paired import Array


@dataclass(frozen=True)
class Axis:
    """A kind of utility: its name in a row, in words, and whether less is better."""

    name: str
    title: str
    falling: bool = False

    def of(self, attempt: Attempt) -> float | None:
        """The utility of one seed."""
        return attempt.frechet if self.falling else attempt.accuracy

    def over(self, row: Row, seeds: Sequence[int]) -> Array:
        """The utility of each seed, all of which have it."""
        return each_seed(row, seeds, "frechet" if self.falling else "accuracy")

    def losses(self, values: Array, baseline: Array) -> Array:
        """Relative losses against the baseline; negative where a row is more useful."""
        return values / baseline - 1 if self.falling else 1 - values / baseline


AXES = (Axis("accuracy", "accuracy"), Axis("frechet", "Fréchet distance", falling=True))


WorstField = Literal["worst", "worst_service"]
"""The two worst cases of a row and of a seed: over all queries, and over those that go through the service alone."""


def reach(stage: str) -> WorstField:
    """The worst case that rows of a stage are judged by: `worst_service` where a part acts at sampling, else `worst`."""
    return "worst_service" if "sampling" in stage.split("+") else "worst"


def judged_by(row: Row) -> Scored | Worst | None:
    """The keys by which a row is judged: the worst case of its stage, or the leading query where there is none."""
    return getattr(row, reach(row.stage)) or row.lead


def recalled(estimate: Estimate) -> float:
    """The way from chance to complete recall that an estimate has gone: 0 at chance, 1 at the most.

    What is shown to lie below chance counts by its size: who avoids an image gives it away too.
    """
    chance = estimate.chance or 0.0
    value = (estimate.value - chance) / (1 - chance)
    return abs(value) if estimate.limits[1] < chance else value


@dataclass(frozen=True)
class Measure:
    """A kind of memorization: `readings` are the fields of a seed that hold it, and the one that finds most counts.

    `missing` says why a seed may have none of them.
    """

    name: str
    title: str
    readings: tuple[str, ...]
    missing: str

    def over(self, row: Row, seeds: Sequence[int]) -> Array:
        """Memorization of each seed, by the one reading that finds most in their mean."""
        return each_seed(row, seeds, self.reading(row, seeds))

    def reading(self, row: Row, seeds: Sequence[int]) -> str:
        """The field of a seed by which a row is read: of those that every seed has, that which finds most in the mean.

        Empty where no reading has all seeds.
        """
        known = [name for name in self.readings if self._has(row, name)]
        return max(known, key=lambda name: each_seed(row, seeds, name).mean(), default="")

    def _has(self, row: Row, reading: str) -> bool:
        return all(getattr(attempt, reading) is not None for attempt in row.attempts)

    def within(self, stage: str) -> Measure:
        """The same for rows of a stage: what acts at sampling guards a service, so its worst case goes through that.

        What the weights behind it hold is the baseline's by construction.
        """
        return replace(self, readings=(reach(stage),)) if self.name == "worst" else self

    def lacking(self, row: Row, baseline: Row) -> str:
        """Why a row has no such number that compares with the baseline's; empty where it has."""
        if not any(self._has(row, reading) for reading in self.readings):
            return self.missing
        if self.name != "worst":
            return ""
        if not self._queries(row):
            return self.missing
        return "" if self._queries(row) == self._queries(baseline) else "it was asked other queries than the baseline"

    def _queries(self, row: Row) -> frozenset[str]:
        """The queries that a row's worst case is taken over; empty where it has none."""
        worst: Worst | None = getattr(row, self.readings[0])
        return frozenset(worst.chosen) if worst is not None else frozenset()


KEYS = Measure("worst", "M*", ("worst",), NO_WORST)
LEAD = Measure("lead", "M", ("memorization",), NO_WORST)
CONTENT = Measure("content", "2 AUROC − 1", ("content_own", "content_any"), NO_CONTENT)
"""Whether images are emitted, from their own caption or from any."""

MEASURES = (KEYS, LEAD, CONTENT)


def content_of(row: Row) -> Estimate | None:
    """Content by the reading that finds most in a row, 2 AUROC - 1 with its interval; None where it was not measured.

    Pages, terminal and comparisons show it of each row by its own reading, as its curve has it.
    """
    if row.content is None:
        return None
    areas = {"content_own": row.content.own, "content_any": row.content.any}
    score = areas.get(CONTENT.reading(row, row.seeds))
    if score is None:
        return None
    low, high = score.auroc.limits
    return Estimate(2 * score.auroc.value - 1, 2 * low - 1, 2 * high - 1, chance=0.0)


def each_seed(row: Row, seeds: Sequence[int], field: str) -> Array:
    """One field of each of these seeds, all of which have it; of an estimate what is `recalled`."""
    values = {attempt.seed: getattr(attempt, field) for attempt in row.attempts}
    each = [values[seed] for seed in seeds]
    return np.array([recalled(v) if isinstance(v, Estimate) else v for v in each], dtype=np.float64)
