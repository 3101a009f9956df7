"""Utility: distances against closed forms and brute force, and a judge that can be believed."""

import time

import numpy as np
import pytest
from scipy import linalg
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from solidmark.errors import InvalidValue
from solidmark.metrics import utility
from solidmark.metrics.utility import Judge, frechet, kernel, recall


def normal(count, dimensions=4, mean=0.0, seed=0):
    return mean + np.random.default_rng(seed).normal(size=(count, dimensions))


def with_moments(mean, covariance, count=50):
    """A sample whose mean and covariance are exactly these."""
    drawn = normal(count, len(mean))
    drawn -= drawn.mean(axis=0)
    whitened = drawn @ linalg.inv(linalg.cholesky(np.cov(drawn, rowvar=False)))
    return mean + whitened @ linalg.cholesky(covariance)


def covariance(dimensions, seed):
    factor = normal(dimensions, dimensions, seed=seed)
    return factor @ factor.T + 0.1 * np.eye(dimensions)


@pytest.fixture(scope="module")
def digits():
    """Flat images in [0, 1] and labels, split at random: 900 for the judge, the others unseen."""
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images / 16, labels, train_size=900, random_state=0, stratify=labels)


@pytest.fixture(scope="module")
def judge(digits):
    return Judge(digits[0], digits[2])


# Fréchet distance


def test_the_frechet_distance_of_a_set_to_itself_is_zero():
    assert frechet(normal(100), normal(100)) == pytest.approx(0.0, abs=1e-9)


def test_the_frechet_distance_of_gaussians_with_one_covariance_is_that_of_their_means():
    c = covariance(3, seed=1)
    apart = frechet(with_moments(np.zeros(3), c), with_moments(np.array([1.0, 2.0, 2.0]), c))
    assert apart == pytest.approx(9.0, rel=1e-6)


def test_the_frechet_distance_of_diagonal_gaussians_is_that_of_their_standard_deviations():
    one, other = np.array([1.0, 2.0, 0.5]), np.array([3.0, 1.0, 0.5])
    apart = frechet(with_moments(np.zeros(3), np.diag(one**2)), with_moments(np.zeros(3), np.diag(other**2)))
    assert apart == pytest.approx(((one - other) ** 2).sum())


def test_the_frechet_distance_has_the_matrix_root_of_its_formula():
    c, d = covariance(4, seed=2), covariance(4, seed=3)
    expected = np.trace(c + d - 2 * linalg.sqrtm(c @ d).real)
    assert frechet(with_moments(np.zeros(4), c), with_moments(np.zeros(4), d)) == pytest.approx(expected)


def test_a_feature_that_is_always_zero_does_not_change_the_frechet_distance():
    one, other = normal(60), normal(60, mean=0.3, seed=1)
    silent = np.zeros((60, 20))
    assert frechet(np.hstack([one, silent]), np.hstack([other, silent])) == pytest.approx(frechet(one, other), abs=1e-6)


def test_the_frechet_distance_does_not_depend_on_the_order_of_the_sets():
    one, other = normal(40), normal(50, mean=0.5, seed=1)
    assert frechet(one, other) == pytest.approx(frechet(other, one))


def test_a_single_feature_is_enough_for_a_frechet_distance():
    assert frechet(with_moments(np.zeros(1), np.eye(1)), with_moments(np.ones(1), np.eye(1))) == pytest.approx(1.0)


# Kernel distance


def test_the_kernel_distance_is_the_double_loop_of_its_definition():
    one, other = normal(17), normal(19, mean=0.2, seed=1)

    def mean(a, b, pairs):
        return np.mean([(a[i] @ b[j] / 4 + 1) ** 3 for i, j in pairs])

    alone = [mean(x, x, [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]) for x in (one, other)]
    across = mean(one, other, [(i, j) for i in range(17) for j in range(19)])
    assert kernel(one, other).value == pytest.approx(sum(alone) - 2 * across)


def test_the_kernel_distance_of_equal_distributions_is_zero_on_average():
    values = np.array([kernel(normal(24, seed=2 * s), normal(24, seed=2 * s + 1)).value for s in range(400)])
    assert abs(values.mean()) < 4 * values.std() / 400**0.5
    assert (values < 0).any()


def test_the_kernel_interval_holds_zero_for_equal_distributions_and_not_for_others():
    same, apart = kernel(normal(400), normal(400, seed=1)), kernel(normal(400), normal(400, mean=1.0, seed=1))
    assert same.low < 0 < same.high
    assert 0 < apart.low < apart.value < apart.high


def test_one_pair_of_sets_has_one_kernel_distance():
    assert kernel(normal(40), normal(40, seed=1)) == kernel(normal(40), normal(40, seed=1))


# Recall


def test_every_image_lies_among_copies_of_itself():
    assert recall(normal(30), normal(30)).all()


def test_no_image_lies_among_images_far_away():
    assert not recall(normal(30), normal(30, mean=100.0)).any()


def test_recall_counts_the_modes_that_were_generated():
    real = np.vstack([normal(20), normal(20, mean=100.0)])
    assert recall(real, real[:20]).tolist() == [True] * 20 + [False] * 20


def test_recall_is_the_double_loop_of_its_definition():
    real, generated = normal(15, mean=1.0), normal(12, seed=1)
    radii = [sorted(linalg.norm(generated - g, axis=1))[2] for g in generated]
    expected = [any(linalg.norm(r - g) <= radius for g, radius in zip(generated, radii, strict=True)) for r in real]
    assert recall(real, generated, neighbours=2).tolist() == expected
    assert 0 < sum(expected) < 15


def test_recall_takes_what_neighbours_there_are():
    assert recall(normal(5), normal(2, seed=1)).shape == (5,)


# Judge


def test_the_judge_reads_digits_that_it_has_not_seen(digits, judge):
    assert judge.accuracy >= 0.93
    assert (judge.classify(digits[1]) == digits[3]).mean() >= 0.95


def test_the_judge_s_stated_accuracy_is_that_on_the_images_it_kept_back(digits, judge):
    assert judge.accuracy == (judge.classify(digits[0][:180]) == digits[2][:180]).mean()


def test_the_judge_does_not_learn_from_what_it_keeps_back(digits):
    shuffled = np.r_[np.random.default_rng(0).permutation(digits[2][:180]), digits[2][180:]]
    assert Judge(digits[0], shuffled).accuracy < 0.3


def test_the_judge_s_features_are_its_hidden_layer(digits, judge):
    features = judge.features(digits[1])
    assert features.shape == (len(digits[1]), 64)
    scores = features @ judge._network.coefs_[1] + judge._network.intercepts_[1]
    assert np.array_equal(scores.argmax(axis=1), judge.classify(digits[1]))


def test_the_judge_is_the_same_for_one_seed_and_quickly_there(digits, judge):
    began = time.process_time()
    again = Judge(digits[0], digits[2])
    assert time.process_time() - began < 1.5
    assert np.array_equal(again.features(digits[1]), judge.features(digits[1]))


# All together


def measured(digits, judge, generated):
    labels = np.resize(np.arange(10), len(generated))
    return utility.measure(generated, labels, digits[1][:200], digits[1][200:400], judge)


def by_label(digits, count=200):
    """Unseen real images in the order 0, 1, …, 9, 0, …"""
    indices = [np.flatnonzero(digits[3] == label) for label in range(10)]
    return digits[1][[indices[number % 10][number // 10] for number in range(count)]]


def test_real_images_have_the_utility_of_real_images(digits, judge):
    cost = measured(digits, judge, by_label(digits))
    assert cost.accuracy.share >= 0.93
    assert (cost.accuracy.chance, cost.judge_accuracy) == (0.1, judge.accuracy)
    assert cost.frechet < 2 * cost.frechet_real
    assert abs(cost.diversity.share - cost.diversity_real) < 0.2


def test_a_refused_image_shows_no_class_whatever_the_judge_says(digits, judge):
    shown, refused = by_label(digits), np.arange(200) < 50
    labels = np.resize(np.arange(10), 200)
    cost = utility.measure(shown, labels, digits[1][:200], digits[1][200:400], judge, refused)
    right = judge.classify(shown) == labels
    assert (cost.accuracy.count, cost.accuracy.of) == (right[50:].sum(), 200)


def test_noise_has_no_utility(digits, judge):
    cost = measured(digits, judge, np.random.default_rng(0).uniform(size=(200, 64)))
    assert cost.accuracy.low <= cost.accuracy.chance <= cost.accuracy.high
    assert cost.frechet > 5 * cost.frechet_real
    assert cost.kernel > 5 * abs(cost.kernel_real)


def test_one_image_again_and_again_has_no_diversity(digits, judge):
    cost = measured(digits, judge, np.repeat(by_label(digits, 10), 20, axis=0))
    assert cost.diversity.share < 0.1 < cost.diversity_real


def test_real_images_of_the_wrong_class_do_not_adhere(digits, judge):
    assert measured(digits, judge, np.roll(by_label(digits), 1, axis=0)).accuracy.share < 0.1


# What is refused


def test_images_without_a_label_each_are_refused(digits, judge):
    with pytest.raises(InvalidValue, match="20 images, 19 labels"):
        utility.measure(digits[1][:20], digits[3][:19], digits[1], digits[1], judge)


@pytest.mark.parametrize(("distance", "least"), [(frechet, 2), (kernel, 16), (recall, 2)])
def test_too_few_images_for_a_distance_are_refused(distance, least):
    for few in (0, least - 1):
        with pytest.raises(InvalidValue, match=f"{few} and {least} images; expected at least {least}"):
            distance(normal(few), normal(least))
        with pytest.raises(InvalidValue, match=f"{least} and {few} images"):
            distance(normal(least), normal(few))


@pytest.mark.parametrize("distance", [frechet, kernel, recall])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(distance, wrong):
    with pytest.raises(InvalidValue, match="NaN or infinity"):
        distance(normal(20), np.where(np.arange(20)[:, None] == 3, wrong, normal(20)))


def way(right, frechet, kernel, covered, of=10):
    accuracy = None if right is None else utility.proportion(right, of, chance=0.1)
    diversity = utility.proportion(covered, 10, chance=0.0)
    return utility.Utility(accuracy, frechet, 0.5, kernel, 0.25, diversity, 0.75, 0.9)


def test_the_least_useful_of_several_ways_is_taken_number_by_number():
    ways = {"a": way(5, 1.0, 0.3, 9), "b": way(4, 2.0, 0.1, 8), "c": way(6, 0.5, 0.2, 10)}
    found = utility.least(list(ways.values()))
    assert (found.accuracy.count, found.frechet, found.kernel, found.diversity.count) == (4, 2.0, 0.3, 8)
    assert utility.least([*ways.values(), way(None, 0.0, 0.0, 10)]).accuracy is None
    assert utility.least([*ways.values(), way(6, 1.0, 0.1, 10, of=20)]).accuracy.of == 20  # 6 of 20 is less than 4 of 10


def test_the_block_of_utility_has_each_way_with_its_work_behind_the_least():
    ways, work = {"a": way(5, 1.0, 0.3, 9), "b": way(4, 2.0, 0.1, 8)}, {"a": {"forward": 1}, "b": {"forward": 2}}
    block = utility.as_block(ways, work)
    assert (block["accuracy"]["count"], block["frechet"], block["kernel"]) == (
        4,
        {"value": 2.0, "real": 0.5},
        {"value": 0.3, "real": 0.25},
    )
    assert (block["diversity"]["count"], block["diversity_real"], block["judge_accuracy"]) == (8, 0.75, 0.9)
    assert [(name, one["frechet"]["value"], one["evaluations"]) for name, one in block["ways"].items()] == [
        ("a", 1.0, {"forward": 1}),
        ("b", 2.0, {"forward": 2}),
    ]


def test_a_judge_of_thumbnails_sees_the_means_of_blocks(digits):
    images, labels = digits[0], digits[2]
    small = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    one, other = Judge(images, labels, shape=(1, 8, 8), block=2), Judge(small, labels)
    assert np.allclose(one.features(images), other.features(small))
    assert np.array_equal(one.classify(images), other.classify(small))
    assert one.accuracy == other.accuracy
