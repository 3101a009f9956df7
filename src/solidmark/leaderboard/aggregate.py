"""Pooling: one number from those of several seeds, with an interval that says how. Pure functions, no torch.

A *block* is a number as a record has it, such as `{"value": 0.88, "low": 0.87, "high": 0.89}`. With G seeds
of N images each:

    means (M, leaked bits)   mean ± t_{G(N-1)} √(Σ SE²) / G; from five seeds on plain t over seeds
    AUROC, keys within       mean, between the means of the seeds' limits, since their intervals are not symmetric;
                             from five seeds on no narrower than plain t over seeds
    other shares             counts pooled over seeds, Clopper-Pearson
    privacy loss             the smallest bound of any seed: what every trained model has been shown to leak
    distances                mean beside the mean floor; an interval from five seeds on, null before

One seed gives back the interval of its record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ..metrics.scores import Share, proportion

Block = dict[str, Any]

SEEDS_ALONE = 5
"""From so many seeds on, the spread between seeds alone makes the interval."""


@dataclass(frozen=True)
class Number:
    """A mean over seeds with its 95 % interval and chance level; `images` are those of one seed, `error` may be unknown."""

    value: float
    low: float
    high: float
    error: float | None
    chance: float
    images: int


@dataclass(frozen=True)
class Distance:
    """A mean distance beside the same between two real halves, its floor; no interval below five seeds."""

    value: float
    real: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bound:
    """A lower bound: the smallest over seeds, each of which holds with probability `confidence`."""

    low: float
    confidence: float
    adjacency: str
    delta: float


def standard_error(block: Block, freedom: float) -> float:
    """The standard error behind a block's symmetric t interval: given, else read off its width."""
    if block.get("error") is not None:
        return float(block["error"])
    return float((block["high"] - block["low"]) / 2 / special.stdtrit(freedom, 0.975))


def mean(values: Sequence[float], errors: Sequence[float], freedom: float) -> tuple[float, float, float, float]:
    """Mean over seeds with its limits and standard error; `freedom` is the sum of the seeds' degrees of freedom."""
    count = len(values)
    error = float(np.sqrt(np.sum(np.square(errors))) / count)
    if count >= SEEDS_ALONE:
        error, freedom = float(np.std(values, ddof=1) / np.sqrt(count)), count - 1
    margin = float(special.stdtrit(freedom, 0.975)) * error
    middle = float(np.mean(values))
    return middle, middle - margin, middle + margin, error


def number(blocks: Sequence[Block], images: Sequence[int]) -> Number:
    """A mean over images, averaged over seeds with `images` each: t intervals."""
    errors = [standard_error(block, count - 1) for block, count in zip(blocks, images, strict=True)]
    value, low, high, error = mean([block["value"] for block in blocks], errors, sum(images) - len(images))
    return Number(value, low, high, error, _chance(blocks), min(images))


def area(blocks: Sequence[Block], images: Sequence[int]) -> Number:
    """An AUROC, averaged over seeds with `images` each; it has limits but no standard error."""
    value, low, high = _between([block["value"] for block in blocks], blocks)
    return Number(value, low, high, None, _chance(blocks), min(images))


def _between(values: Sequence[float], blocks: Sequence[Block]) -> tuple[float, float, float]:
    """Mean in [0, 1] with the means of the blocks' limits, wider than need be; t over many seeds may widen them further."""
    value, low, high, _ = mean(values, [0.0] * len(values), np.inf)
    means = [float(np.mean([block[name] for block in blocks])) for name in ("low", "high")]
    return value, max(min(low, means[0]), 0.0), min(max(high, means[1]), 1.0)


def share(blocks: Sequence[Block]) -> Share:
    """Counts of independent things, pooled over seeds, with the Clopper-Pearson interval of the sums."""
    return proportion(sum(b["count"] for b in blocks), sum(b["of"] for b in blocks), _chance(blocks))


def clustered_share(blocks: Sequence[Block]) -> Share:
    """Counts of keys, which hang together where an image has several, summed over seeds."""
    count, of = sum(b["count"] for b in blocks), sum(b["of"] for b in blocks)
    _, low, high = _between([block["count"] / block["of"] for block in blocks], blocks)
    return Share(count, of, low, high, _chance(blocks))


def bound(blocks: Sequence[Block]) -> Bound:
    """The smallest lower bound over seeds."""
    least = min(blocks, key=lambda block: float(block["low"]))
    return Bound(least["low"], least["confidence"], least["adjacency"], least["delta"])


def distance(blocks: Sequence[Block]) -> Distance:
    """A distance and its floor, averaged over seeds."""
    values, real = [b["value"] for b in blocks], float(np.mean([b["real"] for b in blocks]))
    if len(values) < SEEDS_ALONE:
        return Distance(float(np.mean(values)), real)
    value, low, high, _ = mean(values, [0.0] * len(values), np.inf)
    return Distance(value, real, low, high)


def _chance(blocks: Sequence[Block]) -> float:
    """The mean chance level, exact where all are equal."""
    levels = [float(block.get("chance", 0.0)) for block in blocks]
    return levels[0] if len(set(levels)) == 1 else float(np.mean(levels))
