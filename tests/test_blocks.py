"""The blocks of a record over the seeds of a row."""

import pytest
from record_samples import controls, cost, scored, utility, worst

from solidmark.leaderboard import Estimate, aggregate, blocks


def test_the_privacy_loss_is_the_smallest_of_any_seed() -> None:
    assert blocks.query([scored(epsilon=3.0), scored(epsilon=2.0)]).epsilon == Estimate(2.0, 2.0, chance=0.0)


def test_controls_are_sound_only_when_those_of_every_seed_are() -> None:
    whole = blocks.controls([controls(), controls(faults=("held out leaks",))])
    assert not whole.sound
    assert whole.faults == ("held out leaks",)


def test_retained_images_are_scored_only_where_every_seed_has_them() -> None:
    forgetting = {**scored(0.2), "retained": scored(0.8)}
    both, half = blocks.query([forgetting, forgetting]), blocks.query([forgetting, scored(0.2)])
    assert both.retained is not None
    assert both.retained.memorization.value == pytest.approx(0.8)
    assert half.retained is None


def test_evaluations_are_counted_forward_and_backward_an_image() -> None:
    whole = blocks.cost([cost(100), cost(300)], [5, None])
    assert whole.training.evaluations == 400
    assert whole.sampling.per_image == 50
    assert whole.peak_bytes == 5


def test_utility_sums_accuracy_and_keeps_its_chance() -> None:
    whole = blocks.utility([utility(100), utility(156)])
    assert whole.accuracy is not None
    assert (whole.accuracy.count, whole.accuracy.of, whole.accuracy.chance) == (256, 512, pytest.approx(0.1))


def test_a_row_without_classes_has_no_accuracy_and_keeps_its_other_numbers() -> None:
    whole = blocks.utility([utility(None), utility(None)])
    assert whole.accuracy is None
    assert whole.diversity.count == 322


def test_a_query_keeps_its_access_and_its_own_held_out_images() -> None:
    query = blocks.query([scored(), scored()])
    assert query.access == "black-box"
    assert query.held_out is not None
    assert (query.held_out.memorization.value, query.held_out.certified.of) == (pytest.approx(-0.003), 512)


def test_a_record_older_than_its_held_out_images_has_none() -> None:
    old = {name: block for name, block in scored().items() if name not in ("held_out", "access")}
    assert (blocks.query([old]).held_out, blocks.query([old]).access) == (None, None)


def test_the_worst_case_is_taken_over_seeds_like_a_query() -> None:
    seeds = [{"a": scored(0.9), "b": scored(0.2)}, {"a": scored(0.4), "b": scored(0.7)}]
    starred = blocks.worst([worst(block) for block in seeds])
    expected = blocks.query([scored(0.9), scored(0.7)])
    assert (starred.memorization, starred.certified, starred.epsilon) == (
        expected.memorization,
        expected.certified,
        expected.epsilon,
    )
    assert (starred.queries, starred.chosen) == (2, {"a": 0.5, "b": 0.5})


def test_a_query_that_the_perfect_memorizer_cannot_be_asked_has_no_power() -> None:
    perfect = {"value": 1.0, "low": 1.0, "high": 1.0}
    power = blocks.power([{"a": perfect, "b": None}, {"a": perfect, "b": None}], [64, 64])
    assert power["b"] is None
    assert power["a"] == aggregate.number([perfect, perfect], [64, 64])
