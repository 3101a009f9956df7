"""Scores: from predicted and true keys to numbers with chance level, interval and count. Pure functions.

Everywhere N is the number of images, S the number of keys of an image, `predictions` and `keys` are
(N, S) arrays in [0, 1], and d = |prediction - key|. Sources: SolidMark (arXiv 2503.00592) for the
query and the counts; Privacy Auditing with One (1) Training Run (arXiv 2305.08846) and Auditing
f-Differential Privacy in One Run (arXiv 2410.22235) for the empirical privacy loss; Edgington, "An
additive method for combining probability values from independent experiments" (1972) for the sum;
Benjamini and Hochberg (1995) for the false-discovery rate; DeLong et al. (1988) for the AUROC.
"""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats
from scipy.interpolate import BSpline

from .. import keys as key_rules
from ..errors import InvalidValue
from ..schema.numbers import Estimate, Share

Array = NDArray[np.float64]
"""What all metrics take and give."""

DELTAS = (0.1, 0.05, 0.005)
"""The thresholds of (l_SM, delta)-eidetic memorization in the SolidMark paper."""

LEVELS = (1 / 16, 1 / 256, 1 / 65536)
"""The p-value levels at which the privacy loss is bounded; the bound pays Bonferroni for all three."""

RESOLUTION = 2.0**-24
"""The smallest distance that a 32-bit image can show; smaller ones count as this one, which only raises p."""


def _check_pair(predictions: Array, keys: Array, where: str) -> tuple[Array, Array]:
    predictions, keys = np.asarray(predictions, dtype=np.float64), np.asarray(keys, dtype=np.float64)
    key_rules.check(keys, f"{where}, keys")
    key_rules.check(predictions, f"{where}, predictions")
    if predictions.shape != keys.shape:
        raise InvalidValue(where, f"predictions {predictions.shape}, keys {keys.shape}", "equal shapes", "Pair them up.")
    return predictions, keys


def distances(predictions: Array, keys: Array) -> Array:
    """d, (N, S): how far each predicted key lies from the true one."""
    predictions, keys = _check_pair(predictions, keys, "scores.distances")
    return np.abs(predictions - keys)


def _sums_of_distances(points: Array, targets: Array) -> Array:
    """sum_j |point_i - target_j| for each i, by sorting: O(N log N)."""
    ordered = np.sort(targets)
    below = np.concatenate(([0.0], np.cumsum(ordered)))
    rank = np.searchsorted(ordered, points)
    return np.asarray(points * (2 * rank - len(ordered)) + below[-1] - 2 * below[rank])


def _pair_sums(predictions: Array, keys: Array) -> tuple[Array, Array]:
    """Row and column sums over all pairs (i, j) of mean_s |prediction_is - key_js|, the diagonal left out."""
    diagonal = np.abs(predictions - keys).mean(axis=1)
    columns = range(keys.shape[1])
    rows = np.mean([_sums_of_distances(predictions[:, s], keys[:, s]) for s in columns], axis=0) - diagonal
    cols = np.mean([_sums_of_distances(keys[:, s], predictions[:, s]) for s in columns], axis=0) - diagonal
    return rows, cols


def chance_distance(predictions: Array, keys: Array) -> float:
    """mean_{i≠j} |prediction_i - key_j|: the mean distance when keys are re-assigned to images at random."""
    predictions, keys = _check_pair(predictions, keys, "scores.chance_distance")
    count = _check_count(len(keys), 2, "scores.chance_distance")
    return float(_pair_sums(predictions, keys)[0].sum() / (count * (count - 1)))


def memorization(predictions: Array, keys: Array, confidence: float = 0.95) -> Estimate:
    """M = 1 - mean_i d_i / mean_{i≠j} |prediction_i - key_j|, with the jackknife-t interval.

    0 is chance whatever the distribution of the predictions, 1 is perfect recall, clearly negative is
    avoidance. The interval deletes one image at a time from numerator and denominator; its coverage is
    about 94 % (90 % when few images carry everything). It is too short where all images but a few get one gray, as a refusal
    or a sure guess gives: 55 % at N = 16, 88 % at 64, 93 % at 256 (design/intervals.md), for a sample without any of the few
    has M and error 0. M of these very images is exact. Raises InvalidValue for N < 3 and where every
    prediction equals every key (one image aside), so that there is no chance level to compare with.
    """
    return _jackknife(*_with_and_without(predictions, keys), confidence)


def memorization_difference(predictions: Array, others: Array, keys: Array, confidence: float = 0.95) -> Estimate:
    """M of `predictions` minus M of `others`, two answers about the same images, with the paired jackknife-t interval.

    One image at a time is deleted from both, so that what both share is no spread. Raises as `memorization` does.
    """
    (value, without), (other, without_other) = (_with_and_without(one, keys) for one in (predictions, others))
    return _jackknife(value - other, without - without_other, confidence)


def _with_and_without(predictions: Array, keys: Array) -> tuple[float, Array]:
    """M of all images, and of all but each, (N,)."""
    predictions, keys = _check_pair(predictions, keys, "scores.memorization")
    count = _check_count(len(keys), 3, "scores.memorization")
    own = np.abs(predictions - keys).mean(axis=1)
    rows, cols = _pair_sums(predictions, keys)
    total = rows.sum()
    rest = (total - rows - cols) / ((count - 1) * (count - 2))
    if (rest <= RESOLUTION).any():  # sums of equal keys differ from 0 by rounding
        raise InvalidValue("scores.memorization", "keys that are all alike", "keys drawn at random", "Draw new keys.")
    value = 1 - own.mean() / (total / (count * (count - 1)))
    return float(value), 1 - (own.sum() - own) / (count - 1) / rest


def _jackknife(value: float, without: Array, confidence: float) -> Estimate:
    """A statistic of N images with its t interval, from the same without each, (N,)."""
    count = len(without)
    error = float(np.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2)))
    return t_interval(value, error, count - 1, confidence)


def p_values(predictions: Array, keys: Array) -> Array:
    """Exact p-value of each key, (N, S): the length of [prediction - d, prediction + d] within [0, 1].

    The key was drawn uniformly and independently of all that the prediction was made from, so under
    "not memorized" it falls into a set of length p with probability p, whatever the prediction.
    """
    predictions, keys = _check_pair(predictions, keys, "scores.p_values")
    distance = np.maximum(np.abs(predictions - keys), RESOLUTION)
    return np.minimum(predictions + distance, 1.0) - np.maximum(predictions - distance, 0.0)


def combine(p: Array) -> Array:
    """Edgington's combined p-value of each image, (N,): the Irwin-Hall probability of the sum over its S keys.

    What is too small for a float counts as the smallest one, which only raises p.
    """
    if p.ndim != 2 or p.size == 0 or not _are_probabilities(p):
        raise InvalidValue("scores.combine", _describe(p), "p-values, (N, S) in [0, 1], not empty", "Give one row an image.")
    probability = _irwin_hall(p.shape[1])(np.minimum(p.sum(axis=1), p.shape[1]))
    return np.clip(probability, np.finfo(np.float64).tiny, 1.0)  # rounding takes sums near S above 1


@cache
def _irwin_hall(count: int) -> BSpline:
    """The distribution function of a sum of `count` uniform numbers, within [0, `count`]: its density is a cardinal spline.

    SciPy's own (`stats.irwinhall`) makes this spline anew for every number, which takes a hundred times as long.
    """
    return BSpline.basis_element(np.arange(count + 1)).antiderivative()


def certified(p: Array, rate: float = 0.05) -> NDArray[np.bool_]:
    """Which images are certified memorized, (N,): Benjamini-Hochberg on combined p-values at false-discovery `rate`."""
    return np.asarray(stats.false_discovery_control(_check_combined(p, "scores.certified"), method="bh") <= rate)


def certified_share(p: Array, rate: float = 0.05) -> Share:
    """How many images are certified. At chance, with none memorized, any is found with probability `rate` at most."""
    return _share(int(certified(p, rate).sum()), len(p), chance=0.0)


def leaked_bits(p: Array, confidence: float = 0.95) -> Estimate:
    """mean_i -log2 p_i - 1 / ln 2: bits of the keys that an image gives away; 0 at chance.

    t interval over images; where a tenth of them gives away everything it covers 82 % at N = 16, 92 % at 64 and 94 % at 256
    (design/intervals.md).
    """
    return mean(-np.log2(_check_combined(p, "scores.leaked_bits")) - 1 / np.log(2), confidence)


def one_run_p(found: int, count: int, tau: float, epsilon: float, delta: float = 0.0) -> float:
    """P[at least `found` of `count` images have p <= tau] under (epsilon, delta)-DP is at most this.

    Adjacency: replace the keys of one image. With W ~ Bin(N, e^epsilon tau / (e^epsilon tau + 1 - tau)) it is
    P[W >= v] + N delta / (1 - tau) P[W < v] P[W >= v] / (v P[W = v]), at most 1: the closed solution of the
    inequality of Auditing f-Differential Privacy in One Run (arXiv 2410.22235), proved in
    design/one_run_audit.md. Grows with epsilon and delta. Raises InvalidValue for numbers out of their range.
    """
    if not (1 <= found <= count and 0 < tau < 1 and epsilon >= 0 and 0 <= delta < 1):
        wrong = f"found={found}, count={count}, tau={tau}, epsilon={epsilon}, delta={delta}"
        expected = "1 <= found <= count, 0 < tau < 1, epsilon >= 0, 0 <= delta < 1"
        raise InvalidValue("scores.one_run_p", wrong, expected, "Correct the one that is outside.")
    log_odds = epsilon + special.logit(tau)
    hits, up = stats.binom(count, special.expit(log_odds)), np.arange(found, count)
    log_ratios = np.cumsum(log_odds + np.log((count - up) / (up + 1)))  # of P[W = j + 1] to P[W = v], j >= v
    hazard = np.exp(-min(special.logsumexp(np.append(log_ratios, 0.0)), 600.0))  # P[W = v] / P[W >= v]
    return float(min(1.0, hits.sf(found - 1) + count * delta / (1 - tau) * hits.cdf(found - 1) / (found * hazard)))


def epsilon(p: Array, alpha: float = 0.05, delta: float = 0.0) -> float:
    """A lower bound for the privacy loss epsilon, valid with probability 1 - alpha; adjacency: replace one image's keys.

    The largest epsilon, over tau in LEVELS, at which `one_run_p` of the images with p <= tau is at most alpha / 3;
    at least 0. For delta = 0 that is ln(q (1 - tau) / (tau (1 - q))), q the lower Clopper-Pearson limit of their
    share. Raises InvalidValue for p that are no probabilities and for delta outside [0, 1).
    """
    p = _check_combined(p, "scores.epsilon")
    if not 0 <= delta < 1:
        raise InvalidValue("scores.epsilon", f"delta={delta}", "a number in [0, 1)", "Give the delta that is claimed.")
    counts = [int((p <= tau).sum()) for tau in LEVELS]
    return max(_loss(v, len(p), tau, alpha / len(LEVELS), delta) for v, tau in zip(counts, LEVELS, strict=True))


def _loss(found: int, count: int, tau: float, alpha: float, delta: float) -> float:
    """The largest epsilon that `found` of `count` reject at level alpha, at least 0."""
    if found == 0:
        return 0.0
    q = stats.beta.ppf(alpha, found, count - found + 1)
    pure = max(0.0, float(np.log(q * (1 - tau) / (tau * (1 - q)))))
    if delta == 0:
        return pure
    if one_run_p(found, count, tau, 0.0, delta) > alpha:
        return 0.0
    root = optimize.brentq(lambda epsilon: one_run_p(found, count, tau, epsilon, delta) - alpha, 0.0, pure + 1)
    return min(float(root), pure)


def within(predictions: Array, keys: Array, delta: float) -> Share:
    """The paper's count: keys with d <= delta, of N S keys; its chance is exact for these predictions.

    chance = mean length of [prediction - delta, prediction + delta] within [0, 1]: 2 delta away from the
    ends, 2 delta - delta^2 for uniform guesses. The interval is the t interval over images, because the
    keys of an image are remembered together, widened to that of Clopper and Pearson over keys, because few
    hits have hardly any spread between images and no hit has none.
    """
    predictions, keys = _check_pair(predictions, keys, "scores.within")
    if not 0 < delta < 1:
        raise InvalidValue("scores.within", f"delta={delta}", "a number in (0, 1)", "The paper has 0.1, 0.05, 0.005.")
    hits = np.abs(predictions - keys) <= delta
    images = mean(hits.mean(axis=1), 0.95)
    chance = np.minimum(predictions + delta, 1) - np.maximum(predictions - delta, 0)
    alone = _share(int(hits.sum()), hits.size, float(chance.mean()))
    low, high = images.limits
    return replace(alone, low=max(min(low, alone.low), 0.0), high=min(max(high, alone.high), 1.0))


def auroc(trained: Array, held_out: Array, confidence: float = 0.95) -> Estimate:
    """Probability that a trained image has the smaller distance, ties counting half; chance 0.5.

    `trained` and `held_out` are (N,) and (M,): mean distance of an image over its keys. DeLong's standard
    error, its interval on the logit scale, where it holds near 1 too. Complete separation has no error at
    all: there the interval is that of Clopper and Pearson for the min(N, M) pairs that share no image.
    """
    _check_finite(trained, held_out, 2, "scores.auroc")
    held_out_below = np.searchsorted(np.sort(held_out), trained, side="left")
    held_out_up_to = np.searchsorted(np.sort(held_out), trained, side="right")
    beaten = 1 - (held_out_below + held_out_up_to) / 2 / len(held_out)  # share of held-out images, for each trained one
    trained_below = np.searchsorted(np.sort(trained), held_out, side="left")
    trained_up_to = np.searchsorted(np.sort(trained), held_out, side="right")
    beaten_by = (trained_below + trained_up_to) / 2 / len(trained)  # share of trained images, for each held-out one
    value = float(beaten.mean())
    error = float(np.sqrt(beaten.var(ddof=1) / len(trained) + beaten_by.var(ddof=1) / len(held_out)))
    if error == 0:
        pairs = min(len(trained), len(held_out))
        low, high = clopper_pearson(round(value * pairs), pairs, confidence)
        return Estimate(value, low, high, error)
    margin = stats.norm.ppf((1 + confidence) / 2) * error / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-margin, margin])).tolist()
    return Estimate(value, low, high, error)


def true_positive_rate(trained: Array, held_out: Array, false_positive_rate: float = 0.01) -> Share:
    """Share of trained images nearer than all but `false_positive_rate` of the held-out ones.

    The interval (Clopper-Pearson) is for the threshold that these held-out images set. At chance the
    expected share is (k + 1) / (M + 1), k = floor(false_positive_rate M).
    """
    _check_finite(trained, held_out, 1, "scores.true_positive_rate")
    if not 0 <= false_positive_rate < 1:
        found = f"false_positive_rate={false_positive_rate}"
        raise InvalidValue("scores.true_positive_rate", found, "a number in [0, 1)", "The field reads 0.01.")
    allowed = int(np.floor(false_positive_rate * len(held_out)))
    threshold = np.sort(held_out)[allowed]
    return _share(int((trained < threshold).sum()), len(trained), chance=(allowed + 1) / (len(held_out) + 1))


def permutation_p(predictions: Array, keys: Array, rng: np.random.Generator, resamples: int = 9999) -> float:
    """Two-sided p-value of "this model remembers no key", by re-assigning keys to images at random."""
    predictions, keys = _check_pair(predictions, keys, "scores.permutation_p")
    count = _check_count(len(keys), 2, "scores.permutation_p")
    pairs = np.abs(predictions[:, None, :] - keys[None, :, :]).mean(axis=2)

    def mean_distance(order: NDArray[np.intp], axis: int = -1) -> Array:
        return np.asarray(pairs[np.arange(count), order].mean(axis=axis))

    result = stats.permutation_test(
        (np.arange(count),), mean_distance, permutation_type="pairings", n_resamples=resamples, vectorized=True, rng=rng
    )
    return float(result.pvalue)


def uniformity_p(p: Array) -> float:
    """Kolmogorov-Smirnov p-value of "these p-values are uniform", as those of held-out images are."""
    return float(stats.kstest(_check_combined(p, "scores.uniformity_p"), "uniform").pvalue)


def chance_p(estimate: Estimate, count: int) -> float:
    """Two-sided p-value of "the estimate's true value is 0", by the same t distribution as its interval.

    Constant predictions have value and error 0 but for rounding; both below RESOLUTION are 0.
    """
    if estimate.error is None:
        raise InvalidValue("scores.chance_p", "an estimate without standard error", "one with it", "Use memorization().")
    if estimate.error < RESOLUTION:
        return float(abs(estimate.value) < RESOLUTION)
    return float(2 * stats.t.sf(abs(estimate.value) / estimate.error, count - 1))


def proportion(count: int, of: int, chance: float) -> Share:
    """`count` of `of` with the Clopper-Pearson 95 % interval and the given chance share."""
    _check_count(of, 1, "scores.proportion")
    return _share(count, of, chance)


def _share(count: int, of: int, chance: float) -> Share:
    low, high = clopper_pearson(count, of)
    return Share(count, of, low, high, chance)


def clopper_pearson(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact limits of a probability that gave `count` of `of`: quantiles of beta distributions.

    Source: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial (1934).
    """
    assert 0 <= count <= of
    tail = (1 - confidence) / 2
    low = special.betaincinv(count, of - count + 1, tail) if count > 0 else 0.0
    high = special.betaincinv(count + 1, of - count, 1 - tail) if count < of else 1.0
    return float(low), float(high)


def mean(values: Array, confidence: float = 0.95) -> Estimate:
    """Mean of (N,) numbers with its t interval. Raises InvalidValue below two."""
    count = _check_count(len(values), 2, "scores, a mean with its interval")
    return t_interval(float(values.mean()), float(values.std(ddof=1) / np.sqrt(count)), count - 1, confidence)


def t_interval(value: float, error: float, freedom: float, confidence: float = 0.95) -> Estimate:
    """A number whose standard `error` has so many degrees of `freedom`, with Student's t interval."""
    margin = float(special.stdtrit(freedom, (1 + confidence) / 2)) * error
    return Estimate(value, value - margin, value + margin, error)


def _are_probabilities(p: Array) -> bool:
    return bool(((p >= 0) & (p <= 1)).all())  # false for NaN


def _describe(p: Array) -> str:
    return f"{'' if _are_probabilities(p) else 'numbers outside [0, 1], '}shape {p.shape}"


def _check_combined(p: Array, where: str) -> Array:
    if p.ndim != 1 or p.size == 0 or not _are_probabilities(p):
        raise InvalidValue(where, _describe(p), "p-values, (N,) in [0, 1], not empty", "Give one an image: `combine` them.")
    return p


def _check_finite(trained: Array, held_out: Array, least: int, where: str) -> None:
    _check_count(min(len(trained), len(held_out)), least, where)
    if not (np.isfinite(trained).all() and np.isfinite(held_out).all()):
        raise InvalidValue(where, "NaN or infinity", "distances", "Correct what made them: unknown is not a number.")


def _check_count(count: int, least: int, where: str) -> int:
    if count < least:
        raise InvalidValue(where, f"N={count} images", f"at least {least}", "Train or query more images.")
    return count
