"""One model, many metrics: a copier and an ignorant model, read by every metric and by key distances that are known."""

import json

import numpy as np
import pytest
from scipy import stats

from solidmark.errors import InvalidValue
from solidmark.metrics import comparison
from solidmark.metrics.comparison import Generations, Metric, Reading

COUNT, DRAWS = 32, 3
METRICS = comparison.metrics(lambda images: images.reshape(len(images), -1), tile=4)


def images(seed=0, count=COUNT):
    return np.random.default_rng(seed).uniform(size=(count, 1, 8, 8))


def answers(content, remembered, seed=5):
    """K answers that are the content with weight `remembered`, (N,), and another image with the rest."""
    foreign = np.random.default_rng(seed).uniform(size=(DRAWS, *content.shape))
    weight = np.broadcast_to(remembered, len(content)).reshape(-1, 1, 1, 1)
    return Generations(weight * content + (1 - weight) * foreign, content)


def table(remembered):
    """The table of a model that remembers its training images so well, by key distances that follow it."""
    training = images()
    readings = comparison.readings(answers(training, remembered), answers(images(1), 0.0, seed=6), training, METRICS)
    forgotten = 1 - np.broadcast_to(remembered, COUNT)
    jitter = 0.001 * np.random.default_rng(7).uniform(size=(2, COUNT))
    return comparison.block(readings, Reading(0.3 * forgotten + jitter[0], 0.3 + jitter[1]))


@pytest.fixture(scope="module")
def copier():
    return table(0.8)


@pytest.fixture(scope="module")
def ignorant():
    return table(0.0)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_finds_the_training_images_of_a_copier(copier, name):
    assert copier[name]["auroc"]["value"] > 0.95
    assert copier[name]["trained"]["high"] < copier[name]["held_out"]["low"]


@pytest.mark.parametrize("name", METRICS)
def test_no_metric_finds_the_training_images_of_an_ignorant_model(ignorant, name):
    assert ignorant[name]["auroc"]["low"] <= ignorant[name]["auroc"]["chance"] <= ignorant[name]["auroc"]["high"]


@pytest.mark.parametrize("name", [name for name in METRICS if name != "closest_record"])
def test_metrics_agree_with_keys_where_some_images_are_remembered_better(name):
    agreement = table(np.linspace(0, 0.9, COUNT))[name]["spearman_with_solidmark"]
    assert agreement["low"] > 0.5
    assert (agreement["count"], agreement["chance"], agreement["reason"]) == (COUNT, 0.0, None)


def test_agreement_over_all_rises_where_both_know_which_images_were_trained(copier, ignorant):
    for name in METRICS:
        assert copier[name]["spearman_over_all"]["low"] > 0.4
        assert abs(ignorant[name]["spearman_over_all"]["value"]) < 0.4
    assert copier["l2"]["spearman_over_all"]["count"] == 2 * COUNT


def test_the_keys_are_in_the_same_table(copier):
    assert list(copier) == ["solidmark", *METRICS]
    assert copier["solidmark"]["auroc"]["value"] == 1
    assert copier["solidmark"]["spearman_with_solidmark"]["reason"] == "it is itself"


def test_copies_are_counted_with_those_of_held_out_images_as_chance(copier, ignorant):
    assert (copier["calibrated_l2"]["copies"]["count"], copier["calibrated_l2"]["copies"]["chance"]) == (COUNT, 0)
    assert ignorant["calibrated_l2"]["copies"]["count"] == 0
    assert copier["l2"]["copies"] is None


def test_the_nearest_of_the_answers_counts():
    content = images()
    generated = np.stack([images(1), content, images(2)])
    metric = METRICS["calibrated_l2"]
    assert metric.nearest(Generations(generated, content), content).tolist() == [0] * COUNT


def test_more_noise_in_the_answers_is_less_memory_by_every_metric(copier):
    weaker = table(0.5)
    assert all(weaker[name]["trained"]["value"] > copier[name]["trained"]["value"] for name in METRICS)


def test_the_block_is_json(copier, ignorant):
    for block in (copier, ignorant):
        assert json.loads(json.dumps(block, allow_nan=False)) == block


def test_a_metric_of_one_s_own_can_be_read():
    darkness = Metric(lambda generated, content, training: generated.mean(axis=(1, 2, 3)))
    readings = comparison.readings(answers(images(), 0.5), answers(images(1), 0.0), images(), {"darkness": darkness})
    assert readings["darkness"].trained.shape == (COUNT,)


def test_readings_of_other_images_are_refused():
    few = Reading(np.arange(9.0), np.arange(9.0))
    with pytest.raises(InvalidValue, match="Read the same images"):
        comparison.block({"few": few}, Reading(np.arange(10.0), np.arange(10.0)))


def test_answers_without_the_axis_of_draws_are_refused():
    with pytest.raises(InvalidValue, match="Stack the K answers"):
        Generations(images(), images())


def test_the_level_of_a_metric_has_the_t_interval_of_its_images():
    distances = np.random.default_rng(0).uniform(size=5)
    level, interval = comparison._level(distances), stats.ttest_1samp(distances, 0).confidence_interval()
    assert (level["value"], level["low"], level["high"]) == pytest.approx((distances.mean(), interval.low, interval.high))
    assert level["images"] == 5
