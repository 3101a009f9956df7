"""Scores: each against a closed form, a brute-force count, a simulation, or another library."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from solidmark.errors import InvalidValue
from solidmark.metrics import scores

UNIT = st.floats(0, 1)
PREDICTORS = {
    "constant": lambda keys, rng: np.full_like(keys, 0.37),
    "black": lambda keys, rng: np.zeros_like(keys),
    "white": lambda keys, rng: np.ones_like(keys),
    "uniform": lambda keys, rng: rng.uniform(size=keys.shape),
    "extreme": lambda keys, rng: rng.integers(0, 2, keys.shape).astype(float),
    "central": lambda keys, rng: np.clip(0.5 + 0.1 * rng.normal(size=keys.shape), 0, 1),
}
"""Predictions that cannot know the keys."""


def arrays_of(*shape):
    return arrays(np.float64, shape, elements=UNIT)


def world(count=64, segments=8, recall=0.0, seed=0):
    """Keys, and predictions that are the key with weight `recall` and a uniform number with the rest."""
    rng = np.random.default_rng(seed)
    keys = rng.uniform(size=(count, segments))
    return recall * keys + (1 - recall) * rng.uniform(size=keys.shape), keys


def mixed(memorized, nulls, runs, seed):
    """p-values, one row a run, of images that are remembered well, then of images that are not."""
    rng = np.random.default_rng(seed)
    keys, guesses = rng.uniform(size=(2, runs, memorized + nulls, 8))
    recalled = np.clip(keys + 0.1 * rng.normal(size=keys.shape), 0, 1)
    predictions = np.where(np.arange(memorized + nulls)[:, None] < memorized, recalled, guesses)
    return scores.combine(scores.p_values(predictions.reshape(-1, 8), keys.reshape(-1, 8))).reshape(runs, -1)


def brute_chance(predictions, keys):
    count = len(keys)
    return np.mean([abs(predictions[i] - keys[j]).mean() for i in range(count) for j in range(count) if i != j])


def brute_memorization(predictions, keys):
    return 1 - abs(predictions - keys).mean() / brute_chance(predictions, keys)


def near(value, expected, error, width=4.0):
    """Whether a simulated value lies within `width` standard errors of what it should be."""
    return abs(value - expected) <= width * error


# The chance level and M


@given(st.integers(2, 9).flatmap(lambda n: st.tuples(arrays_of(n, 3), arrays_of(n, 3))))
def test_the_chance_distance_is_the_mean_over_all_other_pairs(pair):
    assert scores.chance_distance(*pair) == pytest.approx(brute_chance(*pair), abs=1e-12)


def test_distances_are_absolute_differences():
    assert scores.distances([[0.25, 1.0]], [[0.5, 0.0]]).tolist() == [[0.25, 1.0]]


def test_memorization_is_one_minus_own_over_chance_distance():
    predictions, keys = world(9, 3, 0.5)
    assert scores.memorization(predictions, keys).value == pytest.approx(brute_memorization(predictions, keys), abs=1e-12)


@given(st.integers(0, 100), st.integers(3, 20), st.integers(1, 4))
def test_perfect_predictions_have_memorization_one_exactly(seed, count, segments):
    _, keys = world(count, segments, seed=seed)
    perfect = scores.memorization(keys, keys)
    assert (perfect.value, perfect.low, perfect.high, perfect.error) == (1.0, 1.0, 1.0, 0.0)


@given(st.integers(0, 100), st.floats(0, 1))
def test_memorization_does_not_depend_on_the_order_of_images(seed, recall):
    predictions, keys = world(12, 3, recall, seed)
    order = np.random.default_rng(seed).permutation(12)
    first, second = scores.memorization(predictions, keys), scores.memorization(predictions[order], keys[order])
    assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-9)


@given(st.integers(0, 100))
def test_memorization_does_not_change_when_black_and_white_are_swapped(seed):
    predictions, keys = world(12, 3, 0.4, seed)
    assert scores.memorization(1 - predictions, 1 - keys).value == pytest.approx(
        scores.memorization(predictions, keys).value, abs=1e-9
    )


@pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS)
def test_memorization_of_predictions_that_cannot_know_is_zero_on_average(predictor):
    rng = np.random.default_rng(1)
    drawn = (rng.uniform(size=(16, 2)) for _ in range(600))
    values = np.array([scores.memorization(predictor(keys, rng), keys).value for keys in drawn])
    assert near(values.mean(), 0.0, max(values.std() / len(values) ** 0.5, 1e-12))


def test_predictions_far_from_their_own_keys_are_avoidance():
    _, keys = world(64, 4)
    assert scores.memorization((keys < 0.5).astype(float), keys).high < 0


@pytest.mark.parametrize("recall", [0.0, 0.6])
def test_the_jackknife_deletes_one_image_from_numerator_and_denominator(recall):
    predictions, keys = world(10, 3, recall)
    left = [brute_memorization(np.delete(predictions, i, 0), np.delete(keys, i, 0)) for i in range(10)]
    error = np.sqrt(9 / 10 * np.sum((np.array(left) - np.mean(left)) ** 2))
    found = scores.memorization(predictions, keys)
    assert found.error == pytest.approx(error, rel=1e-9)
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 9) * error, rel=1e-9)


def test_the_jackknife_interval_covers_the_true_value():
    def drawn(rng, count):
        keys = rng.uniform(size=(count, 4))
        recall = rng.beta(1, 1, size=(count, 1))  # some images are remembered well, some hardly
        return recall * keys + (1 - recall) * rng.uniform(size=keys.shape), keys

    rng = np.random.default_rng(0)
    predictions, keys = drawn(rng, 400_000)
    true = 1 - abs(predictions - keys).mean() / abs(predictions - np.roll(keys, 1, axis=0)).mean()
    found = [scores.memorization(*drawn(rng, 48)) for _ in range(800)]
    assert 0.90 <= np.mean([estimate.low <= true <= estimate.high for estimate in found]) <= 0.97


@pytest.mark.parametrize("count", [3, 5, 64])
@given(UNIT)
def test_keys_that_are_all_alike_have_no_chance_level(count, gray):
    same = np.full((count, 2), gray)
    with pytest.raises(InvalidValue, match="keys that are all alike"):
        scores.memorization(same, same)


@pytest.mark.parametrize("count", [1, 2])
def test_memorization_of_one_or_two_images_is_refused(count):
    with pytest.raises(InvalidValue, match=f"N={count} images; expected at least 3"):
        scores.memorization(*world(count))


# p-values


@given(UNIT, st.floats(1e-3, 1))
def test_keys_with_p_at_most_tau_fill_exactly_tau_whatever_the_prediction(prediction, tau):
    cells = 20_000
    keys = (np.arange(cells)[:, None] + 0.5) / cells
    share = (scores.p_values(np.full_like(keys, prediction), keys) <= tau).mean()
    assert share == pytest.approx(tau, abs=2.01 / cells)


@pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS)
def test_p_values_of_predictions_that_cannot_know_are_uniform(predictor):
    rng = np.random.default_rng(2)
    keys = rng.uniform(size=(4000, 4))
    p = scores.p_values(predictor(keys, rng), keys)
    assert stats.kstest(p.ravel(), "uniform").pvalue > 1e-3
    assert scores.uniformity_p(scores.combine(p)) > 1e-3


@given(arrays_of(3, 2), arrays_of(3, 2))
def test_p_values_are_probabilities_and_never_below_the_resolution(predictions, keys):
    p = scores.p_values(predictions, keys)
    assert p.min() >= scores.RESOLUTION
    assert p.max() <= 1


@given(arrays_of(3, 2), arrays_of(3, 2))
def test_the_resolution_only_ever_raises_a_p_value(predictions, keys):
    distance = abs(predictions - keys)
    unfloored = np.minimum(predictions + distance, 1) - np.maximum(predictions - distance, 0)
    p = scores.p_values(predictions, keys)
    assert (p >= unfloored).all()
    assert np.array_equal(p[distance > scores.RESOLUTION], unfloored[distance > scores.RESOLUTION])


@given(UNIT, UNIT)
def test_a_combined_p_of_one_key_is_that_key_s_p(prediction, key):
    p = scores.p_values([[prediction]], [[key]])
    assert scores.combine(p)[0] == pytest.approx(p[0, 0], abs=1e-15)


@pytest.mark.parametrize("segments", [1, 2, 8, 80])
def test_the_combined_p_is_scipy_s_irwin_hall_probability_bit_for_bit(segments):
    p = np.random.default_rng(4).uniform(size=(50, segments))
    assert np.array_equal(scores.combine(p), stats.irwinhall.cdf(p.sum(axis=1), segments))


@pytest.mark.parametrize("segments", [2, 3, 8, 36])
def test_the_combined_p_of_uniform_p_values_is_uniform(segments):
    p = np.random.default_rng(3).uniform(size=(5000, segments))
    assert stats.kstest(scores.combine(p), "uniform").pvalue > 1e-3


@given(st.integers(1, 12), st.floats(1e-6, 1))
def test_a_sum_below_one_has_the_volume_of_a_simplex(segments, total):
    p = np.full((1, segments), total / segments)
    volume = np.prod(np.full(segments, p.sum()) / np.arange(1, segments + 1))
    assert scores.combine(p)[0] == pytest.approx(volume, rel=1e-9)


@given(st.integers(1, 12).flatmap(lambda segments: arrays_of(4, segments)))
def test_combined_p_values_of_p_and_its_mirror_add_up_to_one(p):
    assert scores.combine(p) + scores.combine(1 - p) == pytest.approx(np.ones(4), abs=1e-9)


@pytest.mark.parametrize("segments", [8, 64, 200])
def test_the_combined_p_stays_a_positive_probability_at_both_ends(segments):
    ends = np.array([1e-12, 1 - 1e-4 / segments, 0.9, 1.0])
    p = scores.combine(np.repeat(ends[:, None], segments, axis=1))
    assert p.min() > 0
    assert p.max() <= 1
    assert np.isfinite(scores.leaked_bits(p).value)


# Certificates


@given(st.lists(UNIT, min_size=1, max_size=30))
def test_certificates_are_those_of_benjamini_and_hochberg(p):
    assert scores.certified(np.array(p)).tolist() == (stats.false_discovery_control(p) <= 0.05).tolist()


def test_a_certificate_by_hand():
    """Thresholds 0.01, 0.02, 0.03, 0.04, 0.05: the third smallest lies below its own, so the second is certified too."""
    p = np.array([0.9, 0.025, 0.001, 0.045, 0.03])
    assert scores.certified(p).tolist() == [False, True, True, False, True]


def test_a_false_certificate_is_rare_where_all_images_are_at_chance():
    found = np.array([scores.certified(p).any() for p in mixed(0, 64, 600, seed=4)])
    assert found.mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)


def test_false_certificates_among_memorized_and_forgotten_images_stay_below_the_rate():
    certificates = [scores.certified(p) for p in mixed(30, 70, 400, seed=5)]
    shares = [chosen[30:].sum() / max(chosen.sum(), 1) for chosen in certificates]
    assert np.mean(shares) <= 0.05 + 3 * np.std(shares) / len(shares) ** 0.5
    assert np.mean(shares) > 0.02  # and the rate is used: 0.05 x 70 %


def test_perfect_recall_certifies_every_image():
    _, keys = world(16)
    share = scores.certified_share(scores.combine(scores.p_values(keys, keys)))
    assert (share.count, share.of, share.share, share.chance) == (16, 16, 1.0, 0.0)


def test_one_constant_key_for_all_images_would_certify_held_out_images_in_masses():
    rng = np.random.default_rng(6)
    painted = np.clip(0.5 + 0.02 * rng.normal(size=(256, 8)), 0, 1)  # a model that has learned "the mark is gray"
    p = scores.combine(scores.p_values(painted, np.full((256, 8), 0.5)))
    assert scores.certified_share(p).share == 1.0
    assert scores.uniformity_p(p) < 1e-100


# Leaked bits and the privacy loss


def test_leaked_bits_are_zero_at_chance():
    bits = scores.leaked_bits(np.random.default_rng(7).uniform(size=20_000))
    assert near(bits.value, 0.0, bits.error)
    assert bits.error == pytest.approx(1 / np.log(2) / 20_000**0.5, rel=0.05)  # of an exponential with mean 1 / ln 2


@given(st.floats(0, 60))
def test_leaked_bits_are_the_logarithm_less_its_expectation(bits):
    found = scores.leaked_bits(np.full(3, 2.0**-bits)).value
    assert found == pytest.approx(bits - 1 / np.log(2), abs=1e-9)


def test_leaked_bits_have_a_t_interval_over_images():
    p = np.random.default_rng(8).uniform(size=50)
    bits = -np.log2(p) - 1 / np.log(2)
    low, high = stats.t.interval(0.95, 49, bits.mean(), stats.sem(bits))
    assert (scores.leaked_bits(p).low, scores.leaked_bits(p).high) == pytest.approx((low, high))


@pytest.mark.parametrize(("cells", "true", "least"), [(16, 0.0, 0.0), (16, 1.0, 0.2), (16, 3.0, 2.0), (256, 6.0, 5.0)])
def test_the_privacy_loss_of_randomized_response_is_hardly_ever_overstated(cells, true, least):
    """K-ary randomized response on the cell of the key is exactly epsilon-DP; it answers the centre of a cell."""
    rng, count = np.random.default_rng(9), 200
    honest = np.exp(true) / (np.exp(true) + cells - 1)
    keys = rng.uniform(size=(1000, count, 1))
    cell, others = np.floor(keys * cells), rng.integers(1, cells, keys.shape)
    response = np.where(rng.random(keys.shape) < honest, cell, (cell + others) % cells)
    answers = (response + 0.5) / cells
    bounds = np.array([scores.epsilon(scores.p_values(a, k)[:, 0]) for a, k in zip(answers, keys, strict=True)])
    assert (bounds <= true).mean() >= 0.95
    assert np.median(bounds) >= least


def test_the_privacy_loss_is_the_stated_formula():
    """Against Clopper and Pearson of statsmodels: 40 of 64 images below every level."""
    p = np.r_[np.full(40, 1e-9), np.full(24, 0.5)]
    q, tau = proportion_confint(40, 64, alpha=2 * 0.05 / 3, method="beta")[0], 1 / 65536
    assert scores.epsilon(p) == pytest.approx(np.log(q * (1 - tau) / (tau * (1 - q))))


@given(st.integers(1, 80))
def test_the_privacy_loss_grows_with_the_number_of_remembered_images(count):
    def bound(found):
        return scores.epsilon(np.r_[np.full(found, 1e-9), np.ones(80 - found)])

    assert bound(count) >= bound(count - 1)


@pytest.mark.parametrize("tau", scores.LEVELS)
def test_a_p_value_at_a_level_counts_for_it(tau):
    assert scores.epsilon(np.full(64, tau)) > scores.epsilon(np.full(64, np.nextafter(tau, 1)))


def test_the_privacy_loss_is_zero_where_nothing_came_back():
    assert scores.epsilon(np.ones(64)) == 0.0


# The paper's counts


@pytest.mark.parametrize("delta", scores.DELTAS)
def test_the_chance_of_a_count_is_that_of_random_keys(delta):
    rng = np.random.default_rng(10)
    predictions = rng.beta(0.5, 0.5, size=(40, 4))
    shares = np.array([(abs(predictions - rng.uniform(size=(40, 4))) <= delta).mean() for _ in range(4000)])
    chance = scores.within(predictions, rng.uniform(size=(40, 4)), delta).chance
    assert near(shares.mean(), chance, shares.std() / 4000**0.5)


@pytest.mark.parametrize("delta", scores.DELTAS)
def test_the_chance_of_uniform_guesses_is_two_delta_less_its_square(delta):
    grid = (np.arange(10_000)[:, None] + 0.5) / 10_000
    assert scores.within(grid, grid, delta).chance == pytest.approx(2 * delta - delta**2, abs=1e-6)


def test_the_chance_of_a_constant_guess_is_two_delta():
    assert scores.within(np.full((5, 2), 0.4), world(5, 2)[1], 0.1).chance == pytest.approx(0.2)


@pytest.mark.parametrize("alike", [False, True], ids=["keys alone", "keys of an image alike"])
def test_keys_within_delta_have_the_wider_interval_of_images_and_of_keys(alike):
    predictions, keys = world(30, 4, 0.8)
    if alike:
        predictions, keys = (np.repeat(numbers[:, :1], 4, axis=1) for numbers in (predictions, keys))
    hits = abs(predictions - keys) <= 0.05
    found = scores.within(predictions, keys, 0.05)
    over_images = stats.t.interval(0.95, 29, hits.mean(), stats.sem(hits.mean(axis=1)))
    over_keys = proportion_confint(hits.sum(), 120, method="beta")
    assert (found.count, found.of) == (hits.sum(), 120)
    assert found.low == pytest.approx(min(over_images[0], over_keys[0]))
    assert found.high == pytest.approx(max(over_images[1], over_keys[1]))


@pytest.mark.parametrize("count", [4, 16, 64])
@pytest.mark.parametrize("delta", scores.DELTAS)
def test_the_interval_of_a_count_covers_its_chance_where_nothing_is_remembered(count, delta):
    found = [scores.within(*world(count, 8, seed=seed), delta) for seed in range(300)]
    assert np.mean([estimate.low <= 2 * delta - delta**2 <= estimate.high for estimate in found]) >= 0.93


def test_a_key_exactly_delta_away_is_within():
    assert scores.within([[0.5], [0.5], [0.5]], [[0.25], [0.75], [0.76]], 0.25).count == 2


# AUROC and TPR

DISTANCES = st.lists(st.integers(0, 6), min_size=2, max_size=15).map(lambda numbers: np.array(numbers) / 6)


@given(DISTANCES, DISTANCES)
def test_auroc_is_that_of_sklearn_ties_and_all(trained, held_out):
    truth = np.r_[np.ones(len(trained)), np.zeros(len(held_out))]
    assert scores.auroc(trained, held_out).value == pytest.approx(roc_auc_score(truth, -np.r_[trained, held_out]))


@given(DISTANCES, DISTANCES)
def test_auroc_of_swapped_groups_is_its_mirror(trained, held_out):
    auroc, mirror = scores.auroc(trained, held_out), scores.auroc(held_out, trained)
    assert auroc.value + mirror.value == pytest.approx(1.0)
    assert auroc.error == pytest.approx(mirror.error)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_standard_error_of_auroc_is_its_spread_over_repetitions(shift):
    rng = np.random.default_rng(11)
    found = [scores.auroc(rng.normal(size=40) - shift, rng.normal(size=60)) for _ in range(2000)]
    true = stats.norm.cdf(shift / 2**0.5)
    assert np.std([estimate.value for estimate in found]) == pytest.approx(
        np.mean([estimate.error for estimate in found]), rel=0.06
    )
    assert near(np.mean([estimate.low <= true <= estimate.high for estimate in found]), 0.945, 0.005)


@pytest.mark.parametrize("shift", [0.0, 2.0, 4.0, 5.0])
def test_the_interval_of_auroc_covers_the_truth_near_one_too(shift):
    rng = np.random.default_rng(14)
    found = [scores.auroc(rng.normal(size=64) - shift, rng.normal(size=256)) for _ in range(600)]
    true = stats.norm.cdf(shift / 2**0.5)
    assert np.mean([estimate.low <= true <= estimate.high for estimate in found]) >= 0.90


@pytest.mark.parametrize(("held_out", "value", "low", "high"), [(1.0, 1.0, 0.025 ** (1 / 12), 1.0), (0.0, 0.0, 0.0, None)])
def test_complete_separation_is_no_certainty(held_out, value, low, high):
    found = scores.auroc(np.linspace(0.4, 0.6, 12), np.full(30, held_out))
    assert (found.value, found.error) == (value, 0.0)
    assert (found.low, found.high) == pytest.approx((low, high or 1 - 0.025 ** (1 / 12)))


@given(DISTANCES, DISTANCES, st.sampled_from([0.0, 0.01, 0.1, 0.5]))
def test_true_positives_are_counted_at_the_widest_threshold_that_keeps_the_false_positive_rate(trained, held_out, rate):
    thresholds = np.unique(np.r_[held_out, trained, 2.0])
    allowed = [threshold for threshold in thresholds if (held_out < threshold).mean() <= rate + 1e-12]
    best = max((trained < threshold).sum() for threshold in allowed if threshold in held_out)
    assert scores.true_positive_rate(trained, held_out, rate).count == best


@pytest.mark.parametrize(("held_out", "rate"), [(256, 0.01), (64, 0.01), (100, 0.1)])
def test_the_chance_of_a_true_positive_is_that_of_simulated_null_models(held_out, rate):
    rng = np.random.default_rng(12)
    found = [scores.true_positive_rate(rng.uniform(size=50), rng.uniform(size=held_out), rate) for _ in range(800)]
    shares = np.array([estimate.share for estimate in found])
    assert near(shares.mean(), found[0].chance, shares.std() / 800**0.5)


# Model-level p-values


def test_the_permutation_p_of_few_images_is_exact():
    predictions, keys = world(5, 2, 0.5)
    means = [abs(predictions - keys[list(order)]).mean() for order in permutations(range(5))]
    own = abs(predictions - keys).mean()
    one_sided = min(np.mean([m <= own + 1e-12 for m in means]), np.mean([m >= own - 1e-12 for m in means]))
    assert scores.permutation_p(predictions, keys, np.random.default_rng(0)) == pytest.approx(min(1, 2 * one_sided))


def test_the_permutation_p_of_a_model_that_remembers_nothing_is_seldom_small():
    rng = np.random.default_rng(13)
    p = np.array([scores.permutation_p(*world(20, 2, 0.0, seed), rng, 99) for seed in range(400)])
    for level in (0.1, 0.3, 0.6):
        assert near((p <= level).mean(), level, np.sqrt(level * (1 - level) / 400))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_permutation_p_is_small_for_recall_and_for_avoidance(sign):
    predictions, keys = world(30, 4, 0.5)
    shown = predictions if sign == 1 else 1 - predictions
    assert scores.permutation_p(shown, keys, np.random.default_rng(0), 999) == pytest.approx(2 / 1000)


def test_the_permutation_p_of_constant_predictions_is_one():
    assert scores.permutation_p(np.full((20, 2), 0.3), world(20, 2)[1], np.random.default_rng(0), 99) == 1.0


def test_chance_p_crosses_five_percent_where_the_interval_crosses_zero():
    for seed in range(200):
        found = scores.memorization(*world(24, 2, 0.15, seed))
        assert (scores.chance_p(found, 24) < 0.05) == (found.low > 0 or found.high < 0)


@given(st.integers(0, 400), UNIT)
def test_constant_predictions_are_never_taken_for_memory(seed, gray):
    _, keys = world(8 + seed % 200, 8, seed=seed)
    assert scores.chance_p(scores.memorization(np.full_like(keys, gray), keys), len(keys)) == 1.0


def test_chance_p_of_perfect_recall_is_zero():
    _, keys = world(8)
    assert scores.chance_p(scores.memorization(keys, keys), 8) == 0.0


@pytest.mark.parametrize(
    ("value", "error", "p"), [(0.9, 0.9, 1.0), (-0.9, 0.9, 1.0), (1.0, 0.9, 0.0), (-1.0, 0.9, 0.0), (1.0, 1.0, 0.351)]
)
def test_chance_p_takes_rounding_for_nothing_and_no_more(value, error, p):
    one, value = scores.RESOLUTION, value * scores.RESOLUTION
    assert scores.chance_p(scores.Estimate(value, value, value, error * one), 8) == pytest.approx(p, abs=1e-3)


def test_chance_p_wants_a_standard_error():
    with pytest.raises(InvalidValue, match="without standard error"):
        scores.chance_p(scores.Estimate(0.0, -1.0, 1.0), 8)


@given(st.integers(1, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_proportions_have_the_interval_of_clopper_and_pearson(numbers):
    found = scores.proportion(*numbers, chance=0.1)
    low, high = proportion_confint(*numbers, method="beta")
    assert (found.share, found.chance) == (numbers[0] / numbers[1], 0.1)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


# What is refused

PAIRED = [
    scores.distances,
    scores.chance_distance,
    scores.memorization,
    scores.p_values,
    lambda predictions, keys: scores.within(predictions, keys, 0.1),
    lambda predictions, keys: scores.permutation_p(predictions, keys, np.random.default_rng(0), 9),
]
OF_P = [scores.certified, scores.certified_share, scores.leaked_bits, scores.epsilon, scores.uniformity_p]


@pytest.mark.parametrize("score", PAIRED)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1.1])
def test_predictions_and_keys_outside_the_unit_range_are_refused(score, wrong):
    good, bad = np.full((4, 2), 0.5), np.full((4, 2), wrong)
    with pytest.raises(InvalidValue, match="predictions: found"):
        score(bad, good)
    with pytest.raises(InvalidValue, match="keys: found"):
        score(good, bad)


@pytest.mark.parametrize("score", PAIRED)
@pytest.mark.parametrize("shape", [(3, 2), (4, 3), (4,), (0, 2), (4, 0)])
def test_predictions_that_do_not_fit_the_keys_are_refused(score, shape):
    with pytest.raises(InvalidValue, match="shape"):
        score(np.full(shape, 0.5), np.full((4, 2), 0.5))


@pytest.mark.parametrize("score", OF_P)
@pytest.mark.parametrize("wrong", [np.array([]), np.array([0.5, np.nan]), np.array([-0.1, 1.0]), np.ones((4, 2))])
def test_p_values_that_are_none_are_refused(score, wrong):
    with pytest.raises(InvalidValue, match=r"p-values, \(N,\)"):
        score(wrong)


@pytest.mark.parametrize("wrong", [np.zeros((0, 2)), np.zeros((2, 0)), np.ones(4), np.array([[0.5, np.nan]])])
def test_p_values_that_cannot_be_combined_are_refused(wrong):
    with pytest.raises(InvalidValue, match=r"p-values, \(N, S\)"):
        scores.combine(wrong)


@pytest.mark.parametrize("score", [scores.auroc, scores.true_positive_rate])
def test_distances_that_are_missing_or_no_numbers_are_refused(score):
    for wrong, message in (([], "N=0"), ([0.1, np.nan], "NaN"), ([0.1, np.inf], "infinity")):
        with pytest.raises(InvalidValue, match=message):
            score(np.array(wrong), np.array([0.1, 0.2]))
        with pytest.raises(InvalidValue, match=message):
            score(np.array([0.1, 0.2]), np.array(wrong))


@pytest.mark.parametrize("score", [lambda: scores.leaked_bits(np.ones(1)), lambda: scores.within([[0.1]], [[0.2]], 0.1)])
def test_the_interval_of_a_single_image_is_refused(score):
    with pytest.raises(InvalidValue, match="N=1 images; expected at least 2"):
        score()


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(delta):
    with pytest.raises(InvalidValue, match="delta="):
        scores.within(*world(4, 2), delta)


@pytest.mark.parametrize("rate", [-0.01, 1.0, float("nan")])
def test_a_false_positive_rate_out_of_range_is_refused(rate):
    with pytest.raises(InvalidValue, match="false_positive_rate="):
        scores.true_positive_rate(np.ones(3), np.ones(3), rate)


def test_a_proportion_of_nothing_is_refused():
    with pytest.raises(InvalidValue, match="N=0"):
        scores.proportion(0, 0, 0.5)


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.99]))
def test_clopper_pearson_limits_are_those_of_scipys_search(of, share, confidence):
    count = round(share * of)
    expected = stats.binomtest(count, of).proportion_ci(confidence, method="exact")
    assert scores.clopper_pearson(count, of, confidence) == pytest.approx((expected.low, expected.high), abs=1e-10)
