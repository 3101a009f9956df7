"""Scoring: from predicted and true keys to the blocks of a record, which hold the scores of one query."""

from __future__ import annotations

from .. import seeds
from ..schema.numbers import Estimate, Share
from ..schema.record import (
    EpsilonBlock,
    IntervalBlock,
    MemorizationBlock,
    NegativeBlock,
    ScoresBlock,
    ShareBlock,
)
from . import scores
from .scores import Array

RATE = 0.025
"""The false-discovery rate of certificates by nearness, and of those by distance, which stand beside them: 5 % together."""


def interval(estimate: Estimate) -> IntervalBlock:
    """{value low high} of a record."""
    low, high = estimate.limits
    return {"value": estimate.value, "low": low, "high": high}


def memorization(estimate: Estimate, images: int) -> MemorizationBlock:
    """{value low high error chance images} of a record: M over so many images."""
    assert estimate.error is not None
    return {**interval(estimate), "error": estimate.error, "chance": 0.0, "images": images}


def share(number: Share) -> ShareBlock:
    """{count of low high chance} of a record; low and high are shares."""
    return {"count": number.count, "of": number.of, "low": number.low, "high": number.high, "chance": number.chance}


def privacy_loss(low: float, delta: float = 0.0) -> EpsilonBlock:
    """{low confidence adjacency delta} of a record: a lower bound on ε at this δ."""
    return {"low": low, "confidence": 0.95, "adjacency": "replace one key", "delta": delta}


def query(
    predictions: Array, keys: Array, held_out: Array, held_out_keys: Array, seed: int, delta: float = 0.0
) -> ScoresBlock:
    """All scores of one query on trained images, (N, S), with held-out ones, (M, S), as the negatives.

    `delta` is the δ that the training claims, at which ε̂ may be compared with its ε. `avoided` are images certified
    because their answers are too far from their keys: where a model knows nothing of a key, 1 - p is as uniform as p. Both
    are certified at RATE, so that a model that knows nothing has some certificate in at most 5 % of all runs.
    """
    each = scores.p_values(predictions, keys)
    p = scores.combine(each)
    near = scores.distances(predictions, keys).mean(axis=1)
    far = scores.distances(held_out, held_out_keys).mean(axis=1)
    return {
        "memorization": memorization(scores.memorization(predictions, keys), len(keys)),
        "certified": share(scores.certified_share(p, RATE)),
        "avoided": share(scores.certified_share(scores.combine(1 - each), RATE)),
        "false_discovery_rate": RATE,
        "leaked_bits": {**interval(scores.leaked_bits(p)), "chance": 0.0, "keys": keys.shape[1]},
        "epsilon": privacy_loss(scores.epsilon(p, delta=delta), delta),
        "within": {str(d): share(scores.within(predictions, keys, d)) for d in scores.DELTAS},
        "auroc": {**interval(scores.auroc(near, far)), "chance": 0.5},
        "tpr_at_1_fpr": share(scores.true_positive_rate(near, far)),
        "permutation_p": scores.permutation_p(predictions, keys, seeds.numpy_rng(seed, "permutation")),
    }


def negative(predictions: Array, keys: Array) -> NegativeBlock:
    """The scores of predictions that cannot know the keys, and the p-values of the hypothesis that they do not."""
    p = scores.combine(scores.p_values(predictions, keys))
    memorized = scores.memorization(predictions, keys)
    return {
        "memorization": memorization(memorized, len(keys)),
        "certified": share(scores.certified_share(p)),
        "epsilon": {"low": scores.epsilon(p)},
        "chance_p": scores.chance_p(memorized, len(keys)),
        "uniform_p": scores.uniformity_p(p),
    }
