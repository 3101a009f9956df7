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
from scipy import stats

from .scores import Share, proportion

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
    return float((block["high"] - block["low"]) / 2 / stats.t.ppf(0.975, freedom))


def mean(values: Sequence[float], errors: Sequence[float], freedom: float) -> tuple[float, float, float, float]:
    """Mean over seeds with its limits and standard error; `freedom` is the sum of the seeds' degrees of freedom."""
    count = len(values)
    error = float(np.sqrt(np.sum(np.square(errors))) / count)
    if count >= SEEDS_ALONE:
        error, freedom = float(np.std(values, ddof=1) / np.sqrt(count)), count - 1
    margin = float(stats.t.ppf(0.975, freedom)) * error
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


@dataclass(frozen=True)
class Marks:
    """How the marks of held-out answers look, averaged over seeds: spread of keys, unevenness, decoy error."""

    spread: float
    unevenness: float
    decoy_error: float | None


@dataclass(frozen=True)
class Work:
    """Denoiser evaluations, seconds and, where images were made, their number; a mean over seeds."""

    forward: float
    backward: float
    seconds: float
    images: float | None = None

    @property
    def evaluations(self) -> float:
        """forward + backward."""
        return self.forward + self.backward

    @property
    def per_image(self) -> float | None:
        """Evaluations an image."""
        return self.evaluations / self.images if self.images else None


@dataclass(frozen=True)
class Scored:
    """All scores of one query over seeds. `retained` are those of images that were not to be forgotten."""

    memorization: Number
    certified: Share
    leaked_bits: Number
    epsilon: Bound
    within: dict[str, Share]
    auroc: Number
    tpr_at_1_fpr: Share
    permutation_p: float
    keys: int
    marks: Marks | None
    evaluations: Work | None
    retained: Scored | None


@dataclass(frozen=True)
class Negative:
    """A control that knows no key, over seeds; of the two p-values the smallest of any seed."""

    memorization: Number
    certified: Share
    chance_p: float
    uniform_p: float


@dataclass(frozen=True)
class Controls:
    """The controls over seeds; sound only when those of every seed are."""

    held_out: Negative
    other_keys: Negative
    power: Number
    mark_valid: bool
    marks: Marks
    baseline_marks: Marks
    active: bool
    faults: tuple[str, ...]
    sound: bool


@dataclass(frozen=True)
class Utility:
    """Utility of plain generation over seeds, each beside its chance or floor."""

    accuracy: Share
    frechet: Distance
    kernel: Distance
    diversity: Share
    diversity_real: float
    judge_accuracy: float


@dataclass(frozen=True)
class Cost:
    """What a row costs, a mean over seeds; `relative` is training and editing against the baseline's training.

    `peak_bytes` is the largest of any seed.
    """

    training: Work
    editing: Work
    sampling: Work
    peak_bytes: int | None = None
    relative: float | None = None


def scored(blocks: Sequence[Block]) -> Scored:
    """One query of a row, from its blocks of every seed."""
    images = [block["memorization"]["images"] for block in blocks]
    kept = [block["retained"] for block in blocks if block.get("retained")]
    return Scored(
        memorization=number(_each(blocks, "memorization"), images),
        certified=share(_each(blocks, "certified")),
        leaked_bits=number(_each(blocks, "leaked_bits"), images),
        epsilon=bound(_each(blocks, "epsilon")),
        within={d: clustered_share([block["within"][d] for block in blocks]) for d in blocks[0]["within"]},
        auroc=area(_each(blocks, "auroc"), images),
        tpr_at_1_fpr=share(_each(blocks, "tpr_at_1_fpr")),
        permutation_p=max(block["permutation_p"] for block in blocks),
        keys=blocks[0]["leaked_bits"]["keys"],
        marks=marks(_each(blocks, "marks")) if all("marks" in block for block in blocks) else None,
        evaluations=work(_each(blocks, "evaluations")) if all("evaluations" in block for block in blocks) else None,
        retained=scored(kept) if len(kept) == len(blocks) else None,
    )


def controls(blocks: Sequence[Block]) -> Controls:
    """The controls of a row, from its blocks of every seed."""
    images = [block["other_keys"]["memorization"]["images"] for block in blocks]
    return Controls(
        held_out=negative(_each(blocks, "held_out")),
        other_keys=negative(_each(blocks, "other_keys")),
        power=number(_each(blocks, "power"), images),
        mark_valid=all(block["mark_valid"]["valid"] for block in blocks),
        marks=marks(_each(blocks, "mark_valid")),
        baseline_marks=marks([block["mark_valid"]["baseline"] for block in blocks]),
        active=all(block["active"] for block in blocks),
        faults=tuple(fault for block in blocks for fault in block["faults"]),
        sound=all(block["sound"] for block in blocks),
    )


def negative(blocks: Sequence[Block]) -> Negative:
    """A control of a row, from its blocks of every seed."""
    images = [block["memorization"]["images"] for block in blocks]
    return Negative(
        memorization=number(_each(blocks, "memorization"), images),
        certified=share(_each(blocks, "certified")),
        chance_p=min(block["chance_p"] for block in blocks),
        uniform_p=min(block["uniform_p"] for block in blocks),
    )


def utility(blocks: Sequence[Block]) -> Utility:
    """The utility of a row, from its blocks of every seed."""
    return Utility(
        accuracy=share(_each(blocks, "accuracy")),
        frechet=distance(_each(blocks, "frechet")),
        kernel=distance(_each(blocks, "kernel")),
        diversity=share(_each(blocks, "diversity")),
        diversity_real=float(np.mean(_each(blocks, "diversity_real"))),
        judge_accuracy=float(np.mean(_each(blocks, "judge_accuracy"))),
    )


def cost(blocks: Sequence[Block], peaks: Sequence[int | None]) -> Cost:
    """The cost of a row, from its blocks and peaks of memory of every seed."""
    training, editing, sampling = (work(_each(blocks, part)) for part in ("training", "editing", "sampling"))
    return Cost(training, editing, sampling, max((peak for peak in peaks if peak is not None), default=None))


def work(blocks: Sequence[Block]) -> Work:
    """Evaluations and seconds, averaged over seeds."""
    images = _mean_or_none([block.get("images") for block in blocks])
    forward, backward, seconds = (float(np.mean(_each(blocks, name))) for name in ("forward", "backward", "seconds"))
    return Work(forward, backward, seconds, images)


def marks(blocks: Sequence[Block]) -> Marks:
    """Looks of the marks, averaged over seeds."""
    spread, unevenness = (float(np.mean(_each(blocks, name))) for name in ("spread", "unevenness"))
    return Marks(spread, unevenness, _mean_or_none([block.get("decoy_error") for block in blocks]))


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _each(blocks: Sequence[Block], name: str) -> list[Any]:
    return [block[name] for block in blocks]
