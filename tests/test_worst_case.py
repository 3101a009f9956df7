"""The worst case over queries: exact for a single query, and valid where many compete."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from solidmark.errors import InvalidValue
from solidmark.metrics import scores, scoring, worst_case
from solidmark.schema.numbers import Estimate

RUNS = 400
TOLERANCE = 3 * np.sqrt(0.05 * 0.95 / RUNS)


def world(queries=3, count=64, segments=8, recall=0.0, seed=0):
    """Predictions of queries, the key with weight `recall` (one for each query or image) and a guess with the rest."""
    rng = np.random.default_rng(seed)
    keys = rng.uniform(size=(count, segments))
    weight = np.broadcast_to(np.asarray(recall, dtype=float).T, (count, queries)).T[..., None]
    return weight * keys + (1 - weight) * rng.uniform(size=(queries, count, segments)), keys


def p_of(predictions, keys):
    return np.stack([scores.combine(scores.p_values(answers, keys)) for answers in predictions])


def nulls(queries, correlation, runs=RUNS, count=64):
    """p-values (runs, Q, N) of one key an image that no query knows; queries give like answers."""
    rng = np.random.default_rng(queries)
    keys, shared = rng.uniform(size=(runs, 1, count, 1)), rng.normal(size=(runs, 1, count, 1))
    own = rng.normal(size=(runs, queries, count, 1))
    answers = special.ndtr(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    flat = [numbers.reshape(-1, 1) for numbers in np.broadcast_arrays(answers, keys)]
    return scores.p_values(*flat).reshape(runs, queries, count)


def split(count=64, seed=0):
    return worst_case.halves(count, np.random.default_rng(seed))


# The split


@given(st.integers(2, 300), st.integers(0, 100))
def test_halves_differ_by_at_most_one_image(count, seed):
    half = split(count, seed)
    assert (half.shape, half.dtype) == ((count,), bool)
    assert abs(int(half.sum()) - int((~half).sum())) <= 1


def test_every_image_falls_into_either_half_equally_often():
    share = np.mean([split(9, seed) for seed in range(2000)], axis=0)
    assert abs(share - 4 / 9).max() <= 4 * np.sqrt(0.25 / 2000)


# p*


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_with_one_query_p_is_its_own(p):
    assert worst_case.hybrid(np.array([p]), split(len(p))).tolist() == p


def test_p_by_hand():
    """The second query is best on the second half, so it is staked on the first; 5 Q = 10."""
    p = np.array([[0.4, 0.002, 0.8, 0.9], [0.2, 0.16, 0.1, 0.2]])
    half = np.array([True, True, False, False])
    assert worst_case.hybrid(p, half) == pytest.approx([0.2 / 0.8, 10 * 0.002, 1.0, 1.0])


@given(st.integers(0, 1000))
def test_an_image_s_own_key_chooses_nothing_for_its_half(seed):
    p = np.random.default_rng(seed).uniform(size=(4, 10))
    half, changed = split(10, seed), p.copy()
    image = int(np.flatnonzero(half)[0])
    changed[:, image] = np.random.default_rng(seed + 1).uniform(size=4)
    same = half & (np.arange(10) != image)
    assert np.array_equal(worst_case.hybrid(p, half)[same], worst_case.hybrid(changed, half)[same])


@pytest.mark.parametrize("correlation", [0.0, 0.95])
@pytest.mark.parametrize("queries", [2, 5])
def test_p_of_an_image_that_no_query_knows_is_small_no_more_often_than_it_says(queries, correlation):
    half = split(8)
    found = np.array([worst_case.hybrid(p, half) for p in nulls(queries, correlation, runs=2500, count=8)])
    for level in (0.001, 0.01, 0.1, 0.5):
        assert (found <= level).mean() <= level + 4 * np.sqrt(level / found.size)


@given(st.integers(0, 200))
def test_p_does_not_depend_on_the_order_of_queries(seed):
    p = np.random.default_rng(seed).uniform(size=(4, 10))
    assert np.array_equal(worst_case.hybrid(p, split(10)), worst_case.hybrid(p[::-1], split(10)))


def test_of_equal_queries_the_first_wins():
    p = np.array([[0.5, 0.1, 0.5, 0.1], [0.1, 0.5, 0.1, 0.5]])
    half = np.array([True, True, False, False])
    assert worst_case.hybrid(p, half) == pytest.approx(np.minimum(1, p[0] / 0.8))


def test_a_p_of_zero_is_the_best_evidence_there_is():
    p = np.array([[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]])
    assert worst_case.hybrid(p, split(4)).tolist() == [0.0] * 4


# Certificates


@pytest.mark.parametrize(("queries", "correlation", "least"), [(3, 0.9, 0.09), (10, 0.9, 0.35), (30, 0.9, 0.85)])
def test_the_best_p_of_many_queries_certifies_images_that_none_remembers(queries, correlation, least):
    assert np.mean([scores.certified(p.min(axis=0)).any() for p in nulls(queries, correlation)]) >= least


@pytest.mark.parametrize("correlation", [0.0, 0.9])
@pytest.mark.parametrize("queries", [3, 10, 30])
def test_a_false_certificate_is_rare_however_many_queries_compete(queries, correlation):
    found = [worst_case.certified(p, split(64, run)).count > 0 for run, p in enumerate(nulls(queries, correlation))]
    assert np.mean(found) <= 0.05 + TOLERANCE


def test_false_certificates_among_remembered_images_stay_below_the_rate():
    """20 of 64 images are remembered, half of them by each of two queries."""
    recall = np.zeros((2, 64))
    recall[0, :10], recall[1, 10:20] = 0.8, 0.8
    shares = []
    for run in range(120):
        found = scores.certified(worst_case.hybrid(p_of(*world(2, segments=4, recall=recall, seed=run)), split(64, run)))
        shares.append(found[20:].sum() / max(found.sum(), 1))
    assert np.mean(shares) <= 0.05 + 3 * np.std(shares) / len(shares) ** 0.5


def test_one_good_query_among_ten_certifies_almost_what_it_certifies_alone():
    p = p_of(*world(10, recall=[*[0.0] * 9, 0.6]))
    alone = scores.certified(p[-1]).sum()
    assert alone >= 40
    assert worst_case.certified(p, split()).count >= 0.85 * alone


def test_images_that_have_each_another_good_query_are_certified_too():
    recall = 0.8 * (np.arange(64) % 10 == np.arange(10)[:, None])
    p = p_of(*world(10, recall=recall))
    assert max(scores.certified(row).sum() for row in p) <= 10
    assert worst_case.certified(p, split()).count >= 50


# M*


def test_one_query_has_its_own_memorization():
    predictions, keys = world(queries=1, recall=0.5)
    fit = worst_case.memorization(predictions, keys, np.random.default_rng(0))
    assert (fit.estimate, fit.chosen.tolist()) == (scores.memorization(predictions[0], keys), [1.0])


def test_queries_that_answer_alike_have_the_memorization_of_one():
    predictions, keys = world(queries=1, recall=0.5)
    fit = worst_case.memorization(np.repeat(predictions, 3, axis=0), keys, np.random.default_rng(0))
    alone = scores.memorization(predictions[0], keys)
    assert (fit.estimate.value, fit.estimate.error) == pytest.approx((alone.value, alone.error))
    assert (fit.estimate.low, fit.estimate.high) == pytest.approx((alone.low, alone.high))
    assert fit.chosen.tolist() == [1.0, 0.0, 0.0]


def test_the_query_that_remembers_is_always_chosen():
    predictions, keys = world(queries=4, recall=[0.0, 0.1, 0.7, 0.2])
    fit = worst_case.memorization(predictions, keys, np.random.default_rng(0))
    assert fit.chosen.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert fit.estimate.value == pytest.approx(scores.memorization(predictions[2], keys).value)


@given(st.integers(0, 20))
def test_choices_are_shares_and_depend_on_the_generator_alone(seed):
    predictions, keys = world(queries=3, count=6, segments=1, seed=seed)
    first, again = (worst_case.memorization(predictions, keys, np.random.default_rng(seed)) for _ in range(2))
    assert (first.estimate, first.chosen.tolist()) == (again.estimate, again.chosen.tolist())
    assert first.chosen.sum() == pytest.approx(1.0)


def test_the_lower_bound_covers_where_that_of_the_largest_memorization_does_not():
    """Ten queries that remember equally much: choosing the luckiest overstates it."""
    predictions, keys = world(1, 400_000, 1, 0.3)
    true = 1 - abs(predictions[0] - keys).mean() / abs(predictions[0] - np.roll(keys, 1, axis=0)).mean()
    ours, largest = [], []
    for run in range(150):
        predictions, keys = world(10, 32, 1, 0.3, seed=run)
        ours.append(worst_case.memorization(predictions, keys, np.random.default_rng(run), halvings=5).estimate.low <= true)
        every = [scores.memorization(answers, keys) for answers in predictions]
        largest.append(max(every, key=lambda estimate: estimate.value).low <= true)
    assert np.mean(ours) >= 0.93
    assert np.mean(largest) <= 0.80


@pytest.mark.parametrize("recall", [0.25, -0.3])
def test_the_interval_covers_the_strongest_of_twelve_queries_however_many_are_idle(recall):
    """The one that leaks answers with the key, or half a key away from it, by weight |recall|."""
    weight, shift = abs(recall), 0.5 * (recall < 0)
    true, covered = leak(400_000, 1, weight, shift)[0], []
    for run in range(30):
        predictions, keys = leak(16, 12, weight, shift, run)[1]
        low, high = worst_case.memorization(predictions, keys, np.random.default_rng(run), halvings=2).estimate.limits
        covered.append(low <= true <= high)
    assert np.mean(covered) >= 0.9


def leak(count, queries, weight, shift, seed=0):
    """M of the last query, and the predictions and keys of all: the others guess."""
    rng = np.random.default_rng(seed)
    keys, predictions = rng.uniform(size=(count, 4)), rng.uniform(size=(queries, count, 4))
    predictions[-1] = weight * ((keys + shift) % 1) + (1 - weight) * predictions[-1]
    return scores.memorization(predictions[-1], keys).value, (predictions, keys)


@pytest.mark.parametrize(
    ("halvings", "expected"), [((0.1, 0.3), (0.1, 0.5)), ((-0.3, -0.1), (-0.4, -0.1)), ((-0.1, 0.3), (-0.4, 0.5))]
)
def test_the_end_nearer_to_nothing_is_that_of_the_halvings(halvings, expected):
    starred = worst_case.covering(Estimate(0.0, *halvings), [Estimate(0.3, -0.2, 0.5), Estimate(-0.3, -0.4, 0.1)])
    assert starred.limits == expected


def test_a_query_that_avoids_outweighs_one_that_knows_nothing():
    predictions, keys = world(queries=2)
    predictions[1] = 0.7 * ((keys + 0.5) % 1) + 0.3 * predictions[1]
    fit = worst_case.memorization(predictions, keys, np.random.default_rng(0))
    assert fit.chosen.tolist() == [0.0, 1.0]
    assert fit.estimate.value == pytest.approx(scores.memorization(predictions[1], keys).value)


def test_queries_that_know_nothing_have_a_mean_memorization_of_nothing():
    rngs = [np.random.default_rng(run) for run in range(200)]
    found = [
        worst_case.memorization(*world(5, 32, 1, seed=run), rng, halvings=5).estimate.value for run, rng in enumerate(rngs)
    ]
    assert abs(np.mean(found)) <= 3 * np.std(found) / len(found) ** 0.5


# Two readings


def test_each_of_two_queries_is_read_from_near_and_from_far():
    predictions, keys = world(queries=2, recall=[0.5, 0.0])
    near, far = worst_case.readings(predictions, keys)
    assert np.array_equal(near, p_of(predictions, keys))
    assert np.array_equal(far, [scores.combine(1 - scores.p_values(answers, keys)) for answers in predictions])


def test_one_query_is_read_as_it_is():
    predictions, keys = world(queries=1, recall=0.5)
    near, far = worst_case.readings(predictions, keys)
    assert (near.tolist(), far) == (p_of(predictions, keys).tolist(), None)


def test_a_far_reading_is_staked_on_and_has_no_part_in_the_union():
    """The far reading is best on both halves; 5 Q = 5."""
    p, far = np.array([[0.4, 0.002, 0.8, 0.9]]), np.array([[0.01, 0.04, 0.002, 0.02]])
    half = np.array([True, True, False, False])
    assert worst_case.hybrid(p, half, far) == pytest.approx([0.01 / 0.8, 5 * 0.002, 0.002 / 0.8, 0.02 / 0.8])


@pytest.mark.parametrize("queries", [2, 5])
def test_false_certificates_stay_rare_where_every_query_is_read_twice(queries):
    found = [worst_case.certified(p, split(64, run), 1 - p).count > 0 for run, p in enumerate(nulls(queries, 0.9))]
    assert np.mean(found) <= 0.05 + TOLERANCE


# The privacy loss


def test_the_privacy_loss_is_that_of_the_images_that_chose_nothing():
    p, half = p_of(*world(3, recall=[0.0, 0.9, 0.0])), split()
    assert worst_case.epsilon(p, half) == scores.epsilon(p[1][~half])
    assert worst_case.epsilon(p, half, delta=0.01) == scores.epsilon(p[1][~half], delta=0.01)


def test_the_privacy_loss_of_one_query_counts_all_images():
    p = p_of(*world(1, recall=0.9))
    assert worst_case.epsilon(p, split()) == scores.epsilon(p[0])


def test_the_privacy_loss_of_the_best_of_twenty_readings_is_hardly_ever_overstated():
    """Randomized response with epsilon = 1 on 16 cells, read in twenty ways: together they know no more."""
    rng, found = np.random.default_rng(0), []
    for run in range(400):
        keys = rng.uniform(size=(64, 1))
        truth = rng.random((64, 1)) < np.e / (np.e + 15)
        cell = np.where(truth, np.floor(16 * keys), (np.floor(16 * keys) + rng.integers(1, 16, (64, 1))) % 16)
        shifts = rng.integers(0, 16, (20, 64, 1)) * (rng.random((20, 1, 1)) < 0.9)
        p = np.stack([scores.p_values(((cell + shift) % 16 + 0.5) / 16, keys)[:, 0] for shift in shifts])
        found.append(worst_case.epsilon(p, split(64, run)))
    assert np.mean(np.array(found) <= 1.0) >= 0.95


# All together


def test_one_query_is_its_own_worst_case():
    predictions, keys = world(queries=1, recall=0.6)
    found, p = worst_case.find({"only": predictions[0]}, keys, seed=0), p_of(predictions, keys)[0]
    assert found.memorization == scores.memorization(predictions[0], keys)
    assert found.certified == scores.certified_share(p, 0.025)
    assert (found.epsilon, found.chosen) == (scores.epsilon(p), {"only": 1.0})


def test_one_seed_gives_one_worst_case():
    predictions, keys = world(recall=0.2)
    named = dict(zip("abc", predictions, strict=True))
    assert worst_case.find(named, keys, 1) == worst_case.find(named, keys, 1)
    assert worst_case.find(named, keys, 1) != worst_case.find(named, keys, 2)


def test_a_query_that_knows_nothing_takes_little_away():
    predictions, keys = world(2, recall=[0.6, 0.0])
    alone = worst_case.find({"good": predictions[0]}, keys, 0)
    both = worst_case.find({"good": predictions[0], "poor": predictions[1]}, keys, 0)
    assert both.memorization.value == pytest.approx(alone.memorization.value)
    assert both.certified.count >= 0.9 * alone.certified.count
    assert both.chosen == {"good": 1.0, "poor": 0.0}


def test_avoidance_is_memorized_certified_and_bounds_the_privacy_loss():
    """Both queries stay half a key away: nobody would call the keys forgotten."""
    predictions, keys = world(2)
    predictions = 0.8 * ((keys + 0.5) % 1) + 0.2 * predictions
    found = worst_case.find(dict(zip("ab", predictions, strict=True)), keys, 0)
    assert found.memorization.high < -0.3
    assert found.certified.count >= 50
    assert found.epsilon > 2


def test_the_record_is_plain_json_with_chance_and_interval():
    predictions, keys = world(recall=[0.0, 0.5, 0.0])
    block = worst_case.as_block(worst_case.find(dict(zip("abc", predictions, strict=True)), keys, seed=0))
    assert json.loads(json.dumps(block, allow_nan=False)) == block
    assert list(block["memorization"]) == ["value", "low", "high", "error", "chance", "images"]
    assert list(block["certified"]) == list(scoring.share(scores.proportion(1, 2, 0.5)))
    assert (block["queries"], block["chosen"]) == (3, {"a": 0.0, "b": 1.0, "c": 0.0})


# What is refused


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_have_no_halves(count):
    with pytest.raises(InvalidValue, match=f"N={count} images; expected at least 2"):
        split(count)


@pytest.mark.parametrize("count", [3, 5])
def test_queries_cannot_compete_on_fewer_than_six_images(count):
    predictions, keys = world(count=count)
    with pytest.raises(InvalidValue, match=f"N={count} images; expected at least 6"):
        worst_case.memorization(predictions, keys, np.random.default_rng(0))


@pytest.mark.parametrize("rule", [worst_case.hybrid, worst_case.certified, worst_case.epsilon])
@pytest.mark.parametrize("wrong", [np.full(4, 0.5), np.full((2, 4), np.nan), np.full((2, 4), 1.1), np.zeros((0, 4))])
def test_p_values_that_are_none_are_refused(rule, wrong):
    with pytest.raises(InvalidValue, match=r"p-values, \(Q, N\)"):
        rule(wrong, split(4))


@pytest.mark.parametrize("rule", [worst_case.hybrid, worst_case.certified, worst_case.epsilon])
@pytest.mark.parametrize("far", [np.full((2, 4), np.nan), np.full((2, 5), 0.5), np.full(4, 0.5), np.zeros((0, 4))])
def test_far_readings_that_do_not_fit_are_refused(rule, far):
    with pytest.raises(InvalidValue, match=r"p of shape .*expected (p-values|as many images)"):
        rule(np.full((2, 4), 0.5), split(4), far)


@pytest.mark.parametrize("rule", [worst_case.hybrid, worst_case.certified, worst_case.epsilon])
@pytest.mark.parametrize("half", [np.ones(4, dtype=bool), np.zeros(4, dtype=bool), split(5), np.array([0, 1, 0, 1])])
def test_a_half_that_splits_nothing_is_refused(rule, half):
    with pytest.raises(InvalidValue, match="4 booleans"):
        rule(np.full((2, 4), 0.5), half)


def test_no_query_has_no_worst_case():
    with pytest.raises(InvalidValue, match="no query"):
        worst_case.find({}, world()[1], 0)


@pytest.mark.parametrize("wrong", [np.full((64, 8), np.nan), np.full((63, 8), 0.5), np.full((64, 8), 1.5)])
def test_answers_that_are_none_are_refused_with_the_name_of_their_query(wrong):
    predictions, keys = world()
    with pytest.raises(InvalidValue, match="query 'odd'"):
        worst_case.find({"fine": predictions[0], "odd": wrong}, keys, 0)
