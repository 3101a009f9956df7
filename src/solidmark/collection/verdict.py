"""The verdict: what the answers of a model say of a collection. Pure; every number comes from `metrics`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from .. import keys as key_draws
from .. import seeds
from ..errors import InvalidValue
from ..keys import Keys
from ..metrics import content, controls, scores, scoring
from ..schema.record import (
    AreaBlock,
    ContentScoreBlock,
    EpsilonBlock,
    IntervalBlock,
    MemorizationBlock,
    NegativeBlock,
    ShareBlock,
)

LEAST = 3
"""Images of a split below which it has no numbers: an interval needs three."""

RATE = 0.05
"""The false-discovery rate of the certified images."""


class TrainedBlock(TypedDict):
    """The scores of the images that were handed out. `avoided` are answered too far from their keys, which reveals them."""

    memorization: MemorizationBlock
    certified: ShareBlock
    avoided: ShareBlock
    leaked_bits: IntervalBlock
    epsilon: EpsilonBlock


class SeparationBlock(TypedDict):
    """How distance tells images that were handed out from those that were held out."""

    auroc: AreaBlock
    tpr_at_1_fpr: ShareBlock


class Verdict(TypedDict):
    """All numbers of a measurement; null where there are too few held-out images. `sound` where there are no `faults`."""

    trained: TrainedBlock
    held_out: NegativeBlock | None
    other_keys: NegativeBlock
    separation: SeparationBlock | None
    faults: list[str]
    sound: bool


def judge(trained: Keys, trained_keys: Keys, held_out: Keys, held_out_keys: Keys, seed: int) -> Verdict:
    """The verdict on predicted and true keys, (N, S) and (M, S).

    Raises InvalidValue for fewer than three images that were handed out.
    """
    if len(trained) < LEAST:
        found, cure = f"{len(trained)} images that were handed out", "Ask for more images."
        raise InvalidValue("collection", found, f"at least {LEAST}", cure)
    each = scores.p_values(trained, trained_keys)
    p = scores.combine(each)
    others = key_draws.draw(len(trained_keys), trained_keys.shape[1], seeds.numpy_rng(seed, "other keys of a collection"))
    other = scoring.negative(trained, others)
    enough = len(held_out) >= LEAST
    held = scoring.negative(held_out, held_out_keys) if enough else None
    faults = [*(controls.leaks("held-out images", held) if held else []), *controls.leaks("other keys", other)]
    return {
        "trained": {
            "memorization": scoring.memorization(scores.memorization(trained, trained_keys), len(trained)),
            "certified": scoring.share(scores.certified_share(p, RATE)),
            "avoided": scoring.share(scores.certified_share(scores.combine(1 - each), RATE)),
            "leaked_bits": scoring.interval(scores.leaked_bits(p)),
            "epsilon": scoring.privacy_loss(scores.epsilon(p)),
        },
        "held_out": held,
        "other_keys": other,
        "separation": _separation(trained, trained_keys, held_out, held_out_keys) if enough else None,
        "faults": faults,
        "sound": not faults,
    }


def judge_content(trained: Sequence[float | None], held_out: Sequence[float | None]) -> ContentScoreBlock | None:
    """How the content of generated pictures separates the two; None where it was not asked, or of too few images."""
    near, far = (np.array([score for score in given if score is not None]) for given in (trained, held_out))
    if min(len(near), len(far)) < LEAST:
        return None
    found = content.certified(content.conformal_p(near, far))
    return {
        "auroc": {**scoring.interval(scores.auroc(near, far)), "chance": 0.5},
        "images": len(near),
        "certified": scoring.share(scores.proportion(int(found.sum()), len(near), chance=0.0)),
        "least": content.least_certified(len(near), len(far)),
    }


def p_values(predictions: Keys, keys: Keys) -> NDArray[np.float64]:
    """(N,): the combined p-value of each image."""
    return scores.combine(scores.p_values(predictions, keys))


def certified(p: NDArray[np.float64], numbers: Sequence[int]) -> list[int]:
    """The numbers of the images that are certified."""
    return [number for number, found in zip(numbers, scores.certified(p, RATE), strict=True) if found]


def _separation(trained: Keys, trained_keys: Keys, held_out: Keys, held_out_keys: Keys) -> SeparationBlock:
    near = scores.distances(trained, trained_keys).mean(axis=1)
    far = scores.distances(held_out, held_out_keys).mean(axis=1)
    return {
        "auroc": {**scoring.interval(scores.auroc(near, far)), "chance": 0.5},
        "tpr_at_1_fpr": scoring.share(scores.true_positive_rate(near, far)),
    }
