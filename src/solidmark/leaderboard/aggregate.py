"""Aggregate: one number from those of several seeds, with an interval that says how.

With G seeds of N images each:

    means (M, leaked bits)   mean ± t_{G(N-1)} √(Σ SE²) / G; from five seeds on plain t over seeds
    AUROC, keys within       mean, between the means of the seeds' limits, since their intervals are not symmetric;
                             from five seeds on no narrower than plain t over seeds
    other shares             counts summed over seeds, Clopper-Pearson
    privacy loss             the smallest bound of any seed: what every trained model has been shown to leak
    distances                mean, and the mean floor; an interval from five seeds on, null before

One seed gives back the interval of its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..metrics.scores import proportion, t_interval
from ..schema.numbers import Estimate, Share
from ..schema.record import AreaBlock, DistanceBlock, EpsilonBlock, IntervalBlock, RefusedShareBlock, ShareBlock

SEEDS_ALONE = 5
"""From so many seeds on, the spread between seeds alone makes the interval."""

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
    """Mean over seeds; `freedom` is the sum of the seeds' degrees of freedom."""
    count = len(values)
    error = float(np.sqrt(np.sum(np.square(errors))) / count)
    if count >= SEEDS_ALONE:
        error, freedom = float(np.std(values, ddof=1) / np.sqrt(count)), count - 1
    return t_interval(float(np.mean(values)), error, freedom)


def number(blocks: Sequence[IntervalBlock], images: Sequence[int]) -> Estimate:
    """A mean over images, averaged over seeds with `images` each: t intervals. `count` is the images of one seed."""
    errors = [standard_error(block, count - 1) for block, count in zip(blocks, images, strict=True)]
    estimate = mean([block["value"] for block in blocks], errors, sum(images) - len(images))
    return replace(estimate, chance=_chance(blocks), count=min(images))


def area(blocks: Sequence[AreaBlock], images: Sequence[int]) -> Estimate:
    """An AUROC, averaged over seeds with `images` each; it has limits but no standard error."""
    value, low, high = _between([block["value"] for block in blocks], blocks)
    return Estimate(value, low, high, chance=_chance(blocks), count=min(images))


def _between(values: Sequence[float], blocks: Sequence[AreaBlock | ShareBlock]) -> tuple[float, float, float]:
    """Mean in [0, 1] with the means of the blocks' limits, wider than need be; t over many seeds may widen them further."""
    over_seeds = mean(values, [0.0] * len(values), np.inf)
    low, high = over_seeds.limits
    mean_low, mean_high = (float(np.mean(limits)) for limits in zip(*((b["low"], b["high"]) for b in blocks), strict=True))
    return over_seeds.value, max(min(low, mean_low), 0.0), min(max(high, mean_high), 1.0)


def share(blocks: Sequence[ShareBlock] | Sequence[RefusedShareBlock]) -> Share:
    """Counts of independent things, summed over seeds, with the Clopper-Pearson interval of the sums."""
    return proportion(sum(b["count"] for b in blocks), sum(b["of"] for b in blocks), _chance(blocks))


def clustered_share(blocks: Sequence[ShareBlock]) -> Share:
    """Counts of keys, which are not independent where an image has several, summed over seeds."""
    count, of = sum(b["count"] for b in blocks), sum(b["of"] for b in blocks)
    _, low, high = _between([block["count"] / block["of"] for block in blocks], blocks)
    return Share(count, of, low, high, _chance(blocks))


def least(blocks: Sequence[EpsilonBlock]) -> EpsilonBlock:
    """The smallest lower bound over seeds."""
    return min(blocks, key=lambda block: float(block["low"]))


def distance(blocks: Sequence[DistanceBlock]) -> tuple[Estimate, float]:
    """A distance and its floor, averaged over seeds; no interval below five seeds."""
    values, real = [block["value"] for block in blocks], float(np.mean([block["real"] for block in blocks]))
    if len(values) < SEEDS_ALONE:
        return Estimate(float(np.mean(values)), count=len(values)), real
    return replace(mean(values, [0.0] * len(values), np.inf), count=len(values)), real


def _chance(blocks: Sequence[IntervalBlock | AreaBlock | ShareBlock | RefusedShareBlock]) -> float:
    """The mean chance level, exact where all are equal; 0 where a block says none."""
    levels = [float(chance) if isinstance(chance := block.get("chance"), int | float) else 0.0 for block in blocks]
    return levels[0] if len(set(levels)) == 1 else float(np.mean(levels))
