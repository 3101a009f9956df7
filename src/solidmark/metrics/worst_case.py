"""The worst case over queries: what the strongest auditor finds, less the price of having chosen. Pure functions.

Everywhere Q is the number of queries, N of images, S of keys of an image; `predictions` is (Q, N, S) and
`keys` (N, S), both in [0, 1], and `p` holds the combined p-values of every rival, (Q, N). "The best p over
Q rivals" is no p-value: they compete on one half of the images and are judged on the other, as in Cox,
"A note on data-splitting for the evaluation of significance levels" (1975). Of equal queries the first wins.

A model that avoids a key has stored it. So where queries compete, each is read twice, for answers too near to the keys
and for answers too far from them, and the largest M is the one with the largest |M|.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import keys as key_rules
from .. import seeds
from ..errors import InvalidValue
from ..schema.numbers import Estimate, Share
from ..schema.record import WorstBlock
from . import scores, scoring
from .scores import Array

Half = NDArray[np.bool_]

STAKE = 0.8
"""The share of the error rate that is spent on the query chosen on the other half; the rest goes to the best of all."""

LEAST = 6
"""The fewest images among which queries can compete on M: three in each half."""


@dataclass(frozen=True)
class CrossFit:
    """M* with the share of all choices, (Q,), that fell on each query."""

    estimate: Estimate
    chosen: Array


@dataclass(frozen=True)
class WorstCase:
    """The worst case over queries; `epsilon` is ε̂★ at `delta`, `chosen` the share of halvings that chose a query."""

    memorization: Estimate
    certified: Share
    epsilon: float
    delta: float
    chosen: Mapping[str, float]


def halves(count: int, rng: np.random.Generator) -> Half:
    """One split of `count` images, (N,): true in the first half, sizes differing by one at most.

    Make it once, before any prediction is looked at. Raises InvalidValue for fewer than 2 images.
    """
    if count < 2:
        raise InvalidValue("worst_case.halves", f"N={count} images", "at least 2", "Train or query more images.")
    return rng.permutation(count) < count // 2


def hybrid(p: Array, half: Half, far: Array | None = None) -> Array:
    """p* of each image, (N,): min(1, p_cf / 0.8, 5 Q min_q p_q), where p_cf is that of the rival chosen elsewhere.

    Rivals are the queries `p` and the readings `far`, (F, N), where these are given. p_cf is the p-value of the rival
    with the best mean -log p on the *other* half; with one rival p* is its p.

    Valid for each image: let the key of image i be independent of all predictions and all other keys ("not
    memorized"). Given those, the rival chosen on the other half is fixed and p_cf is uniform, so
    P(p_cf <= 0.8 t) <= 0.8 t; by the union bound P(min_q p_q <= t / 5 Q) <= 0.2 t; together P(p* <= t) <= t.
    Near the cross-fit where one rival is good, near Bonferroni where each image has another query. `far` has no part
    in the second term: avoidance is a habit of a method, not of an image, and would double Q there.
    Raises InvalidValue for p outside [0, 1], for a `far` of other images and for a `half` that leaves one side empty.
    """
    rivals = _check_rivals(p, half, far, "worst_case.hybrid")
    if len(rivals) == 1:
        return np.asarray(p[0])
    crossed = np.where(half, rivals[_strongest(rivals, ~half)], rivals[_strongest(rivals, half)])
    nearest = p.min(axis=0) * len(p) / (1 - STAKE)
    return np.asarray(np.minimum(1.0, np.minimum(crossed / STAKE, nearest)))


def certified(p: Array, half: Half, far: Array | None = None, rate: float = 0.05) -> Share:
    """How many images are certified memorized: Benjamini-Hochberg at `rate`, once over all images, on `hybrid` p.

    One query has half of the rate: its record spends the other half on its `avoided`.
    """
    return scores.certified_share(hybrid(p, half, far), rate if len(p) > 1 or far is not None else rate / 2)


def memorization(predictions: Array, keys: Array, rng: np.random.Generator, halvings: int = 20) -> CrossFit:
    """M* with its t interval, and which query was chosen how often.

    In each halving the query with the largest |M| on one half predicts for the other; M* is the mean of M over
    halvings, with the mean jackknife error: clearly below 0 where the best query shows avoidance. A plain maximum is
    biased upwards, because it also picks luck. M* lies nearer to 0 than the M of the strongest query, the more so the more
    idle queries compete, so that its own interval is widened by `covering`. With one query it is `scores.memorization`.
    Raises InvalidValue for N < 6 where there is more than one query.
    """
    if len(predictions) == 1:
        return CrossFit(scores.memorization(predictions[0], keys), np.ones(1))
    if len(keys) < LEAST:
        raise InvalidValue("worst_case.memorization", f"N={len(keys)} images", f"at least {LEAST}", "Query more images.")
    estimates, times = [], np.zeros(len(predictions))
    for _ in range(halvings):
        half = halves(len(keys), rng)
        inside, outside = _largest(predictions, keys, ~half), _largest(predictions, keys, half)
        times += np.bincount([inside, outside], minlength=len(times))
        crossed = np.where(half[:, None], predictions[inside], predictions[outside])
        estimates.append(scores.memorization(crossed, keys))
    each = [scores.memorization(answers, keys) for answers in predictions]
    return CrossFit(covering(_mean(estimates, len(keys)), each), times / times.sum())


def covering(starred: Estimate, each: Sequence[Estimate]) -> Estimate:
    """M* with an interval for the M of the strongest query, from that of the halvings and those of the queries.

    The end nearer to 0 is that of the halvings: so much is shown, and luck has no part in it. The other is the outermost
    of any query, because the strongest one's own interval reaches no further. An interval of halvings that holds 0 says
    not even whether the strongest query shows memory or avoidance, so both ends are the outermost.
    """
    (low, high), limits = starred.limits, [estimate.limits for estimate in each]
    outermost = min(low for low, _ in limits), max(high for _, high in limits)
    low, high = low if low > 0 else min(low, outermost[0]), high if high < 0 else max(high, outermost[1])
    return replace(starred, low=low, high=high)


def readings(predictions: Array, keys: Array) -> tuple[Array, Array | None]:
    """The p-values of all queries, (Q, N), for answers too near to the keys, and those for answers too far from them.

    Where nothing is known of a key, 1 - p is as uniform as p. The second is None where one query has no rival: it is
    read as it is, and the record lists its `avoided`.
    """
    each = [scores.p_values(answers, keys) for answers in predictions]
    near = np.stack([scores.combine(p) for p in each])
    return near, np.stack([scores.combine(1 - p) for p in each]) if len(each) > 1 else None


def epsilon(p: Array, half: Half, far: Array | None = None, delta: float = 0.0) -> float:
    """The lower bound for the privacy loss, of the rival chosen on the images in `half`, reported on the others.

    Rivals are the queries `p` and the readings `far`, where these are given. Valid as a one-run bound: predictions of all
    queries are one output of the mechanism, and the proof of `scores.epsilon` holds given the keys of the first half.
    With those fixed, the rival is a function of the output, and the guesses for the other half are sets that depend
    on the output only. With one rival all images count.
    """
    rivals = _check_rivals(p, half, far, "worst_case.epsilon")
    if len(rivals) == 1:
        return scores.epsilon(p[0], delta=delta)
    return scores.epsilon(rivals[_strongest(rivals, half)][~half], delta=delta)


def find(predictions: Mapping[str, Array], keys: Array, seed: int, delta: float = 0.0) -> WorstCase:
    """The worst case over the queries named in `predictions`, each (N, S); the split comes from `seed` alone.

    `delta` is the δ that the training claims, for ε̂★. Raises InvalidValue for no query, for predictions
    that do not fit the keys, and for too few images.
    """
    if not predictions:
        raise InvalidValue("worst_case.find", "no query", "at least one", "Ask the model something.")
    for name, answers in predictions.items():
        where = f"worst_case.find, query {name!r}"
        if answers.shape != keys.shape:
            found = f"predictions {answers.shape}, keys {keys.shape}"
            raise InvalidValue(where, found, "equal shapes", "Ask every query for every image.")
        key_rules.check(answers, where)
    stacked = np.stack(list(predictions.values()))
    near, far = readings(stacked, keys)
    half = halves(len(keys), seeds.numpy_rng(seed, "worst case", "halves"))
    halvings = seeds.numpy_rng(seed, "worst case", "halvings")
    fit = memorization(stacked, keys, halvings)
    chosen = dict(zip(predictions, fit.chosen.tolist(), strict=True))
    return WorstCase(fit.estimate, certified(near, half, far), epsilon(near, half, far, delta), delta, chosen)


def as_block(worst: WorstCase) -> WorstBlock:
    """The `worst` block of a record."""
    return {
        "memorization": scoring.memorization(worst.memorization, worst.certified.of),
        "certified": scoring.share(worst.certified),
        "epsilon": scoring.privacy_loss(worst.epsilon, worst.delta),
        "chosen": dict(worst.chosen),
        "queries": len(worst.chosen),
    }


def _strongest(p: Array, half: Half) -> int:
    """The query with the largest mean -log p on a half."""
    evidence = -np.log(np.maximum(p[:, half], np.finfo(np.float64).tiny))
    return int(evidence.mean(axis=1).argmax())


def _largest(predictions: Array, keys: Array, half: Half) -> int:
    """The query whose |M| is largest on a half."""
    return int(np.argmax([abs(scores.memorization(answers[half], keys[half]).value) for answers in predictions]))


def _mean(estimates: list[Estimate], count: int, confidence: float = 0.95) -> Estimate:
    """The mean over halvings, with the mean standard error."""
    value = float(np.mean([estimate.value for estimate in estimates]))
    error = float(np.mean([estimate.error for estimate in estimates if estimate.error is not None]))
    return scores.t_interval(value, error, count - 1, confidence)


def _check_rivals(p: Array, half: Half, far: Array | None, where: str) -> Array:
    """All rivals, where their p-values and the half are what they should be."""
    for values in (p,) if far is None else (p, far):
        if values.ndim != 2 or values.size == 0 or not ((values >= 0) & (values <= 1)).all():  # also false for NaN
            raise InvalidValue(where, f"p of shape {values.shape}", "p-values, (Q, N) in [0, 1]", "Give one row a query.")
    if far is not None and far.shape[1] != p.shape[1]:
        found = f"p of shape {p.shape}, far {far.shape}"
        raise InvalidValue(where, found, "as many images", "Read the same answers from near and from far.")
    if half.shape != p.shape[1:] or half.dtype != np.bool_ or half.all() or not half.any():
        expected = f"{p.shape[1]} booleans, some true and some not, so at least 2 images"
        raise InvalidValue(where, f"a half of shape {half.shape}", expected, "Split with worst_case.halves.")
    return p if far is None else np.concatenate([p, far])
