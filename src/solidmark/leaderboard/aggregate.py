"""Aggregate: one number from those of several seeds, with an interval that holds for further trainings as well.

With G seeds of N images each the interval is the wider of two (design/intervals.md):

    within trainings         mean ± t_{G(N-1)} √(Σ SE²) / G, what the images say of these trained models
    between trainings        mean ± t_{G-1} sd / √G, what another training changes; none with one seed

where "within" is for

    means (M, leaked bits)   as above
    AUROC, keys within       between the means of the seeds' limits, since their intervals are not symmetric
    other shares             Clopper-Pearson of the counts summed over seeds
    distances                unknown, so that below three seeds there is no interval

A privacy loss is the smallest bound of any seed, which speaks of these trained models and of no other. One seed gives
back the interval of its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..metrics.scores import proportion, t_interval
from ..schema.numbers import Estimate, Share
from ..schema.record import AreaBlock, DistanceBlock, EpsilonBlock, IntervalBlock, RefusedShareBlock, ShareBlock

FEWEST = 3
"""Seeds below which a distance, whose error within a training is unknown, has no interval."""

Block = TypeVar("Block")
Whole = TypeVar("Whole")


def of_all(combine: Callable[[list[Block]], Whole], blocks: Iterable[Block | None]) -> Whole | None:
    """What `combine` makes of the blocks of all seeds; None where a seed has none."""
    offered = list(blocks)
    present = [block for block in offered if block is not None]
    return combine(present) if len(present) == len(offered) else None


def standard_error(block: IntervalBlock, freedom: float) -> float:
    """The standard error behind a block's symmetric t interval: its `error`, else read off its width."""
    error = block.get("error")
    if isinstance(error, int | float):
        return float(error)
    return (block["high"] - block["low"]) / 2 / t_interval(0.0, 1.0, freedom).limits[1]


def mean(values: Sequence[float], errors: Sequence[float], freedom: float) -> Estimate:
    """Mean over seeds with the wider of both intervals, and the larger of both standard errors.

    `errors` are those within the trainings, `freedom` the sum of their degrees of freedom.
    """
    count, value = len(values), float(np.mean(values))
    error_within = float(np.sqrt(np.sum(np.square(errors))) / count)
    within = t_interval(value, error_within, freedom)
    if count == 1:
        return within
    error_between = float(np.std(values, ddof=1) / np.sqrt(count))
    between = t_interval(value, error_between, count - 1)
    wider = max(within, between, key=lambda estimate: estimate.limits[1])
    return replace(wider, error=max(error_within, error_between))


def number(blocks: Sequence[IntervalBlock], images: Sequence[int]) -> Estimate:
    """A mean over images, averaged over seeds with `images` each. `count` is the images of one seed."""
    errors = [standard_error(block, count - 1) for block, count in zip(blocks, images, strict=True)]
    estimate = mean([block["value"] for block in blocks], errors, sum(images) - len(images))
    return replace(estimate, chance=_chance(blocks), count=min(images))


def memorization(blocks: Sequence[IntervalBlock], images: Sequence[int]) -> Estimate:
    """M, which is at most 1 and so is its limit, averaged over seeds with `images` each."""
    estimate = number(blocks, images)
    return replace(estimate, high=min(estimate.limits[1], max(1.0, estimate.value)))


def area(blocks: Sequence[AreaBlock], images: Sequence[int]) -> Estimate:
    """An AUROC, averaged over seeds with `images` each; it has limits but no standard error."""
    values = [block["value"] for block in blocks]
    return Estimate(
        float(np.mean(values)), *_limits(values, *_mean_limits(blocks)), chance=_chance(blocks), count=min(images)
    )


def share(blocks: Sequence[ShareBlock] | Sequence[RefusedShareBlock]) -> Share:
    """Counts of independent things, summed over seeds."""
    whole = proportion(sum(b["count"] for b in blocks), sum(b["of"] for b in blocks), _chance(blocks))
    low, high = _limits([block["count"] / block["of"] for block in blocks], whole.low, whole.high)
    return replace(whole, low=low, high=high)


def clustered_share(blocks: Sequence[ShareBlock]) -> Share:
    """Counts of keys, which are not independent where an image has several, summed over seeds."""
    count, of = sum(b["count"] for b in blocks), sum(b["of"] for b in blocks)
    low, high = _limits([block["count"] / block["of"] for block in blocks], *_mean_limits(blocks))
    return Share(count, of, low, high, _chance(blocks))


def _limits(values: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """The limits within trainings, widened to those between them, in [0, 1]."""
    between = mean(values, [0.0] * len(values), np.inf).limits
    return max(min(low, between[0]), 0.0), min(max(high, between[1]), 1.0)


def _mean_limits(blocks: Sequence[AreaBlock | ShareBlock]) -> tuple[float, float]:
    """The means of the blocks' limits: wider than need be."""
    return float(np.mean([block["low"] for block in blocks])), float(np.mean([block["high"] for block in blocks]))


def least(blocks: Sequence[EpsilonBlock]) -> EpsilonBlock:
    """The smallest lower bound over seeds."""
    return min(blocks, key=lambda block: float(block["low"]))


def distance(blocks: Sequence[DistanceBlock]) -> tuple[Estimate, float]:
    """A distance and its floor, averaged over seeds; no interval below three seeds."""
    values, real = [block["value"] for block in blocks], float(np.mean([block["real"] for block in blocks]))
    if len(values) < FEWEST:
        return Estimate(float(np.mean(values)), count=len(values)), real
    return replace(mean(values, [0.0] * len(values), np.inf), count=len(values)), real


def _chance(blocks: Sequence[IntervalBlock | AreaBlock | ShareBlock | RefusedShareBlock]) -> float:
    """The mean chance level, exact where all are equal; 0 where a block says none."""
    levels = [float(chance) if isinstance(chance := block.get("chance"), int | float) else 0.0 for block in blocks]
    return levels[0] if len(set(levels)) == 1 else float(np.mean(levels))
