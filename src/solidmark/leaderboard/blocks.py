"""Pooled: the blocks of a record, such as the scores of one query, over the seeds of a row. Pure functions, no torch.

How numbers become one is told in `pooling`; here stands which numbers a block has. What some seed lacks the row lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..metrics.scores import Share
from .aggregate import Block, Bound, Distance, Number, area, bound, clustered_share, distance, number, share


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
class Negative:
    """A control that knows no key, over seeds; of the two p-values the smallest of any seed."""

    memorization: Number
    certified: Share
    chance_p: float
    uniform_p: float


@dataclass(frozen=True)
class Scored:
    """All scores of one query over seeds. `avoided`, `access` and `held_out`, its own negatives, may not have been recorded.

    `avoided` are images certified by answers that are too far from their keys. `retained` are the scores of images that
    were not to be forgotten.
    """

    memorization: Number
    certified: Share
    avoided: Share | None
    leaked_bits: Number
    epsilon: Bound
    within: dict[str, Share]
    auroc: Number
    tpr_at_1_fpr: Share
    permutation_p: float
    keys: int
    access: str | None
    held_out: Negative | None
    marks: Marks | None
    evaluations: Work | None
    retained: Scored | None


@dataclass(frozen=True)
class Worst:
    """The worst case over `queries` queries, over seeds; `chosen` is how often each was the one that was chosen."""

    memorization: Number
    certified: Share
    epsilon: Bound
    chosen: Mapping[str, float]
    queries: int


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
    """Utility of plain generation over seeds, each beside its chance or floor; no accuracy where no class is asked for."""

    accuracy: Share | None
    frechet: Distance
    kernel: Distance
    diversity: Share
    diversity_real: float
    judge_accuracy: float


@dataclass(frozen=True)
class DenoisingLoss:
    """Mean denoising loss of held-out images, with its 95 % interval over images and seeds, beside the trained ones'."""

    value: float
    low: float
    high: float
    trained: float


@dataclass(frozen=True)
class Cost:
    """What a row costs, a mean over seeds; `relative` is training and editing against the baseline's training.

    `sampling_relative` is an image's evaluations against those of the baseline; `peak_bytes` is the largest of any seed.
    """

    training: Work
    editing: Work
    sampling: Work
    peak_bytes: int | None = None
    relative: float | None = None
    sampling_relative: float | None = None


def scored(blocks: Sequence[Block]) -> Scored:
    """One query of a row, from its blocks of every seed."""
    images = [block["memorization"]["images"] for block in blocks]
    kept = [block["retained"] for block in blocks if block.get("retained")]
    return Scored(
        memorization=number(_each(blocks, "memorization"), images),
        certified=share(_each(blocks, "certified")),
        avoided=share(_each(blocks, "avoided")) if _all_have(blocks, "avoided") else None,
        leaked_bits=number(_each(blocks, "leaked_bits"), images),
        epsilon=bound(_each(blocks, "epsilon")),
        within={d: clustered_share([block["within"][d] for block in blocks]) for d in blocks[0]["within"]},
        auroc=area(_each(blocks, "auroc"), images),
        tpr_at_1_fpr=share(_each(blocks, "tpr_at_1_fpr")),
        permutation_p=max(block["permutation_p"] for block in blocks),
        keys=blocks[0]["leaked_bits"]["keys"],
        access=blocks[0].get("access"),
        held_out=negative(_each(blocks, "held_out")) if _all_have(blocks, "held_out") else None,
        marks=marks(_each(blocks, "marks")) if _all_have(blocks, "marks") else None,
        evaluations=work(_each(blocks, "evaluations")) if _all_have(blocks, "evaluations") else None,
        retained=scored(kept) if len(kept) == len(blocks) else None,
    )


def worst(blocks: Sequence[Block]) -> Worst:
    """The worst case of a row, from the blocks of seeds that were all asked the same queries."""
    images = [block["memorization"]["images"] for block in blocks]
    chosen = _each(blocks, "chosen")
    return Worst(
        memorization=number(_each(blocks, "memorization"), images),
        certified=share(_each(blocks, "certified")),
        epsilon=bound(_each(blocks, "epsilon")),
        chosen={query: float(np.mean(_each(chosen, query))) for query in chosen[0]},
        queries=len(chosen[0]),
    )


def power(blocks: Sequence[Block], images: Sequence[int]) -> dict[str, Number | None]:
    """The power of each query; None for one that a perfect memorizer cannot be asked."""
    queries = [query for query in blocks[0] if all(query in block for block in blocks)]
    return {q: number(_each(blocks, q), images) if _all_have(blocks, q) else None for q in queries}


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
        accuracy=share(_each(blocks, "accuracy")) if _all_have(blocks, "accuracy") else None,
        frechet=distance(_each(blocks, "frechet")),
        kernel=distance(_each(blocks, "kernel")),
        diversity=share(_each(blocks, "diversity")),
        diversity_real=float(np.mean(_each(blocks, "diversity_real"))),
        judge_accuracy=float(np.mean(_each(blocks, "judge_accuracy"))),
    )


def denoising_loss(blocks: Sequence[Block]) -> DenoisingLoss | None:
    """The denoising loss of a row, from its blocks of every seed; None where a seed has none."""
    if not _all_have(blocks, "held_out"):
        return None
    held_out = number(_each(blocks, "held_out"), [block["held_out"]["images"] for block in blocks])
    trained = float(np.mean([block["trained"]["value"] for block in blocks]))
    return DenoisingLoss(held_out.value, held_out.low, held_out.high, trained)


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


def _all_have(blocks: Sequence[Block], name: str) -> bool:
    return all(block.get(name) is not None for block in blocks)


def _each(blocks: Sequence[Block], name: str) -> list[Any]:
    return [block[name] for block in blocks]
