"""Scoring: from predicted and true keys to the blocks of a record, which hold the scores of one query."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import seeds
from . import scores
from .scores import Estimate, Share

Array = NDArray[np.float64]


def estimate(number: Estimate) -> dict[str, Any]:
    """{value low high} of a record."""
    return {"value": number.value, "low": number.low, "high": number.high}


def share(number: Share) -> dict[str, Any]:
    """{count of low high chance} of a record; low and high are shares."""
    return asdict(number)


def privacy_loss(low: float, delta: float = 0.0) -> dict[str, Any]:
    """{low confidence adjacency delta} of a record: a lower bound on ε at this δ."""
    return {"low": low, "confidence": 0.95, "adjacency": "replace one key", "delta": delta}


def query(
    predictions: Array, keys: Array, held_out: Array, held_out_keys: Array, seed: int, delta: float = 0.0
) -> dict[str, Any]:
    """All scores of one query on trained images, (N, S), with held-out ones, (M, S), as the negatives.

    `delta` is the δ that the training claims, at which ε̂ may be held against its ε.

    `avoided` are images certified by distance: 1 - p is as uniform as p where nothing is known of a key, so that an answer
    which is too far from it tells as much as one that is too near.
    """
    each = scores.p_values(predictions, keys)
    p = scores.combine(each)
    near = scores.distances(predictions, keys).mean(axis=1)
    far = scores.distances(held_out, held_out_keys).mean(axis=1)
    memorized = scores.memorization(predictions, keys)
    return {
        "memorization": {**estimate(memorized), "error": memorized.error, "chance": 0.0, "images": len(keys)},
        "certified": share(scores.certified_share(p)),
        "avoided": share(scores.certified_share(scores.combine(1 - each))),
        "leaked_bits": {**estimate(scores.leaked_bits(p)), "chance": 0.0, "keys": keys.shape[1]},
        "epsilon": privacy_loss(scores.epsilon(p, delta=delta), delta),
        "within": {str(d): share(scores.within(predictions, keys, d)) for d in scores.DELTAS},
        "auroc": {**estimate(scores.auroc(near, far)), "chance": 0.5},
        "tpr_at_1_fpr": share(scores.true_positive_rate(near, far)),
        "permutation_p": scores.permutation_p(predictions, keys, seeds.numpy_rng(seed, "permutation")),
    }


def negative(predictions: Array, keys: Array) -> dict[str, Any]:
    """The scores of predictions that cannot know the keys, and the p-values of "they do not"."""
    p = scores.combine(scores.p_values(predictions, keys))
    memorized = scores.memorization(predictions, keys)
    return {
        "memorization": {**estimate(memorized), "error": memorized.error, "chance": 0.0, "images": len(keys)},
        "certified": share(scores.certified_share(p)),
        "epsilon": {"low": scores.epsilon(p)},
        "chance_p": scores.chance_p(memorized, len(keys)),
        "uniform_p": scores.uniformity_p(p),
    }
