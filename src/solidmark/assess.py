"""From predicted and true keys to the numbers of a record: scores of one query, controls, and what makes them sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import scores, seeds
from .scores import Estimate, Share

Array = NDArray[np.float64]

SUSPICION = 1e-4
"""A control fails below this p-value: at 0.05 one sound row in twenty would fail; a real leak lies far below."""

LEAST_SPREAD, EVENNESS = 0.5, (0.4, 3.0)
"""A mark is not valid when its spread is below this share of the baseline's and its unevenness outside this range of it."""


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


@dataclass(frozen=True)
class Marks:
    """How the marks of held-out answers look: spread of predicted keys, unevenness inside a segment, decoy error."""

    spread: float
    unevenness: float
    decoy_error: float | None


def controls(
    held_out: dict[str, Any],
    other_keys: dict[str, Any],
    power: Estimate,
    marks: Marks,
    baseline: Marks,
    *,
    active: bool,
    further: Sequence[str] = (),
) -> dict[str, Any]:
    """The controls block of a record; `sound` when none of its `faults`, `further` ones included, stands.

    `power` is the best of the queries that were asked: a row of queries that cannot find what is there is no
    measurement. Mark validity: either number alone may have honest reasons, so only both together disqualify.
    """
    graying = marks.spread < LEAST_SPREAD * baseline.spread
    low, high = (factor * baseline.unevenness for factor in EVENNESS)
    valid = not (graying and not low <= marks.unevenness <= high)
    faults = [
        *leaks("held-out images", held_out),
        *leaks("other keys", other_keys),
        *([] if power.value >= 0.95 else [f"power {power.value:.3f} of the perfect memorizer, expected 0.95 or more"]),
        *([] if valid else [_invalid(marks, baseline)]),
        *([] if active else ["inactive: its answers equal the baseline's bit for bit"]),
        *further,
    ]
    return {
        "held_out": held_out,
        "other_keys": other_keys,
        "power": estimate(power),
        "mark_valid": {"valid": valid, **asdict(marks), "baseline": asdict(baseline)},
        "active": active,
        "faults": faults,
        "sound": not faults,
    }


def leaks(name: str, scored: dict[str, Any]) -> list[str]:
    """What says that predictions which cannot know keys do: none, or a sentence a reason."""
    faults = []
    if scored["chance_p"] < SUSPICION:
        faults.append(f"{name}: M = {scored['memorization']['value']:+.3f} is not 0 (p = {scored['chance_p']:.1e})")
    if scored["uniform_p"] < SUSPICION:
        faults.append(f"{name}: p-values are not uniform (p = {scored['uniform_p']:.1e})")
    if scored["certified"]["count"] > max(2, 0.05 * scored["certified"]["of"]):  # one or two happen where N is small
        faults.append(f"{name}: {scored['certified']['count']} of {scored['certified']['of']} certified")
    return faults


def _invalid(marks: Marks, baseline: Marks) -> str:
    return (
        f"mark not valid: predicted keys spread {marks.spread:.3f} (baseline {baseline.spread:.3f}) "
        f"and segments are uneven by {marks.unevenness:.3f} (baseline {baseline.unevenness:.3f})"
    )
