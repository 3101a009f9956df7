"""The privacy loss from one run: against a linear program, mechanisms that can be enumerated, and known epsilons."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from solidmark.errors import InvalidValue
from solidmark.metrics import scores

DELTA = 1e-3
TAUS = [*scores.LEVELS, 0.5]


def solved(found, count, tau, epsilon, delta):
    """The same bound by linear programming, over the law of the count and its slacks."""
    j, shape = np.arange(count), (count, count + 1)
    grows = np.zeros(shape)
    grows[j, j + 1], grows[j, j] = (1 - tau) * (j + 1), -np.exp(epsilon) * tau * (count - j)
    above = np.block([[grows, -np.eye(count)], [np.zeros((1, count + 1)), np.ones((1, count))]])
    gain = np.r_[np.arange(count + 1) >= found, np.zeros(count)]
    limits, total = np.r_[np.zeros(count), count * delta], np.r_[np.ones(count + 1), np.zeros(count)]
    return -optimize.linprog(-gain, above, limits, total[None], [1]).fun


def mechanism(matches, cells, count):
    """P(answer | keys), (keys, answers): proportional to matches[number of keys that are answered right]."""
    points = np.array(list(product(range(cells), repeat=count)))
    right = (points[:, None] == points[None]).sum(axis=2)
    weights = np.asarray(matches)[right]
    return weights / weights.sum(axis=1, keepdims=True), points, right


def delta_of(table, points, epsilon):
    """The smallest delta with which a table of P(answer | keys) is (epsilon, delta)-DP, by trying all neighbours."""
    neighbours = [(a, b) for a in range(len(points)) for b in range(len(points)) if (points[a] != points[b]).sum() == 1]
    return max(np.maximum(table[a] - np.exp(epsilon) * table[b], 0).sum() for a, b in neighbours)


def bounds(answer, delta, runs, count=200, seed=0):
    """epsilon-hat in each run of a mechanism that answers keys."""
    rng = np.random.default_rng(seed)
    keys = rng.uniform(size=(runs, count, 1))
    return np.array([scores.epsilon(scores.p_values(answer(k, rng), k)[:, 0], delta=delta) for k in keys])


def response(cells, epsilon, leak=0.0):
    """K-ary randomized response on the cell of the key; with probability `leak` it tells the truth."""

    def answer(keys, rng):
        truth = rng.random(keys.shape) < leak + (1 - leak) * np.exp(epsilon) / (np.exp(epsilon) + cells - 1)
        cell, others = np.floor(keys * cells), rng.integers(1, cells, keys.shape)
        return (np.where(truth, cell, (cell + others) % cells) + 0.5) / cells

    return answer


def sigma(epsilon, delta):
    """The noise of the analytic Gaussian mechanism at sensitivity 1 (Balle and Wang, arXiv 1805.06530)."""

    def excess(s):
        return special.ndtr(0.5 / s - epsilon * s) - np.exp(epsilon) * special.ndtr(-0.5 / s - epsilon * s) - delta

    return optimize.brentq(excess, 1e-3, 1e3)


# The bound


@given(st.integers(1, 20).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))), st.sampled_from(TAUS),
       st.floats(0, 12), st.sampled_from([0.0, 1e-5, 1e-3, 0.03]))  # fmt: skip
def test_the_bound_is_the_solution_of_its_linear_program(numbers, tau, epsilon, delta):
    assert scores.one_run_p(*numbers, tau, epsilon, delta) == pytest.approx(solved(*numbers, tau, epsilon, delta), abs=1e-6)


@given(st.integers(0, 10_000), st.floats(0, 2))
def test_no_mechanism_on_two_images_beats_the_bound(seed, epsilon):
    """Any table of P(answer | keys), any set of one cell of three as the guess for each key."""
    rng = np.random.default_rng(seed)
    points = np.array(list(product(range(3), repeat=2)))
    table = rng.dirichlet(np.full(6, rng.uniform(0.2, 3)), size=9)
    guesses, delta = rng.integers(0, 3, (6, 2)), delta_of(table, points, epsilon)
    right = (points[:, None] == guesses[None]).sum(axis=2)
    for found in (1, 2):
        assert (table * (right >= found)).sum() / 9 <= scores.one_run_p(found, 2, 1 / 3, epsilon, min(delta, 0.99)) + 1e-12


@pytest.mark.parametrize(("cells", "count", "found"), [(2, 4, 1), (2, 4, 4), (3, 3, 2), (4, 3, 1), (4, 3, 3)])
def test_a_mechanism_attains_the_bound_but_for_the_factor_of_delta(cells, count, found):
    """Matches from `found` on are told a little more often than epsilon allows."""
    rises = np.where(np.arange(count + 1) >= found, 1.05, 1.0) * np.exp(np.arange(count + 1))
    table, points, right = mechanism(rises, cells, count)
    hit = (table * (right >= found)).sum() / len(points)
    delta = delta_of(table, points, 1.0)
    assert hit == pytest.approx(scores.one_run_p(found, count, 1 / cells, 1.0, delta * (1 - 1 / cells)), abs=1e-12)


@given(st.integers(1, 64), st.sampled_from(scores.LEVELS))
def test_without_delta_the_bound_is_a_binomial_tail(found, tau):
    hit = np.e * tau / (np.e * tau + 1 - tau)
    assert scores.one_run_p(found, 64, tau, 1.0) == pytest.approx(stats.binom.sf(found - 1, 64, hit))


@given(st.integers(1, 5000), st.sampled_from(scores.LEVELS), st.floats(0, 50), st.sampled_from([0.0, 1e-6, 1e-2]))
def test_the_bound_is_a_probability_that_grows_with_epsilon_and_delta(found, tau, epsilon, delta):
    p = scores.one_run_p(found, 5000, tau, epsilon, delta)
    assert 0 <= p <= 1
    assert p <= scores.one_run_p(found, 5000, tau, epsilon + 0.1, delta) + 1e-12
    assert p <= scores.one_run_p(found, 5000, tau, epsilon, delta + 1e-3)


# epsilon-hat


def test_the_privacy_loss_is_the_largest_that_is_rejected():
    p = np.r_[np.full(40, 1e-9), np.full(24, 0.5)]
    found = scores.epsilon(p, delta=DELTA)
    assert scores.one_run_p(40, 64, 1 / 65536, found, DELTA) == pytest.approx(0.05 / 3)


@pytest.mark.parametrize("count", [0, 1, 32, 63, 64])
@pytest.mark.parametrize("delta", [1e-300, 1e-15])
def test_a_vanishing_delta_changes_nothing(count, delta):
    p = np.r_[np.full(count, 1e-9), np.full(64 - count, 0.5)]
    assert scores.epsilon(p, delta=delta) == pytest.approx(scores.epsilon(p), abs=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 64), st.floats(0, 0.5), st.floats(0, 0.4))
def test_a_larger_delta_explains_more(count, delta, more):
    p = np.r_[np.full(count, 1e-9), np.full(64 - count, 0.5)]
    assert scores.epsilon(p, delta=delta + more) <= scores.epsilon(p, delta=delta) + 1e-9


def test_a_delta_that_explains_everything_leaves_no_loss():
    assert scores.epsilon(np.full(64, 1e-9), delta=0.1) == 0.0


@pytest.mark.parametrize(("true", "least"), [(1.0, 0.0), (4.0, 0.4), (10.0, 1.2)])
def test_the_privacy_loss_of_laplace_noise_is_hardly_ever_overstated(true, least):
    found = bounds(lambda keys, rng: np.clip(keys + rng.laplace(0, 1 / true, keys.shape), 0, 1), 0.0, runs=400)
    assert (found <= true).mean() >= 0.95
    assert np.median(found) >= least


@pytest.mark.parametrize(("true", "least"), [(1.0, 0.0), (10.0, 0.0), (50.0, 0.6)])
def test_the_privacy_loss_of_gaussian_noise_is_hardly_ever_overstated(true, least):
    scale = sigma(true, DELTA)
    found = bounds(lambda keys, rng: np.clip(keys + rng.normal(0, scale, keys.shape), 0, 1), DELTA, runs=200)
    assert (found <= true).mean() >= 0.95
    assert np.median(found) >= least


def test_a_leak_with_probability_delta_deceives_the_bound_for_pure_privacy_only():
    told = response(65536, 1.0, leak=DELTA)
    assert (bounds(told, 0.0, runs=200) <= 1.0).mean() < 0.9
    assert (bounds(told, DELTA, runs=200) <= 1.0).mean() >= 0.95


@pytest.mark.parametrize(("cells", "true", "least"), [(16, 3.0, 2.0), (256, 6.0, 4.5)])
def test_the_privacy_loss_of_a_leaking_response_is_close_to_the_truth(cells, true, least):
    found = bounds(response(cells, true, leak=DELTA), DELTA, runs=200)
    assert (found <= true).mean() >= 0.95
    assert np.median(found) >= least


# What is refused


@pytest.mark.parametrize("delta", [-1e-9, 1.0, float("nan")])
def test_a_delta_out_of_range_is_refused(delta):
    with pytest.raises(InvalidValue, match="delta="):
        scores.epsilon(np.full(4, 0.5), delta=delta)


@pytest.mark.parametrize("wrong", [(0, 4, 0.5, 1.0), (5, 4, 0.5, 1.0), (1, 4, 1.0, 1.0), (1, 4, 0.5, -1.0)])
def test_counts_levels_and_losses_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidValue, match="1 <= found <= count"):
        scores.one_run_p(*wrong)
