import pytest
from record_samples import controls, cost, scored, utility, worst

from solidmark.leaderboard import aggregate, blocks


def test_the_privacy_loss_is_the_smallest_of_any_seed() -> None:
    assert blocks.scored([scored(epsilon=3.0), scored(epsilon=2.0)]).epsilon.low == 2.0


def test_controls_are_sound_only_when_those_of_every_seed_are() -> None:
    found = blocks.controls([controls(), controls(faults=("held out leaks",))])
    assert not found.sound
    assert found.faults == ("held out leaks",)


def test_retained_images_are_pooled_only_where_every_seed_has_them() -> None:
    forgetting = {**scored(0.2), "retained": scored(0.8)}
    both, one = blocks.scored([forgetting, forgetting]), blocks.scored([forgetting, scored(0.2)])
    assert both.retained is not None
    assert both.retained.memorization.value == pytest.approx(0.8)
    assert one.retained is None


def test_evaluations_are_counted_forward_and_backward_an_image() -> None:
    found = blocks.cost([cost(100), cost(300)], [5, None])
    assert found.training.evaluations == 400
    assert found.sampling.per_image == 50
    assert found.peak_bytes == 5


def test_utility_pools_accuracy_and_keeps_its_chance() -> None:
    found = blocks.utility([utility(100), utility(156)])
    assert found.accuracy is not None
    assert (found.accuracy.count, found.accuracy.of, found.accuracy.chance) == (256, 512, pytest.approx(0.1))


def test_a_row_without_classes_has_no_accuracy_and_keeps_its_other_numbers() -> None:
    found = blocks.utility([utility(None), utility(None)])
    assert found.accuracy is None
    assert found.diversity.count == 322


def test_a_query_keeps_its_access_and_its_own_held_out_images() -> None:
    found = blocks.scored([scored(), scored()])
    assert found.access == "api"
    assert found.held_out is not None
    assert (found.held_out.memorization.value, found.held_out.certified.of) == (pytest.approx(-0.003), 512)


def test_a_record_older_than_its_held_out_images_has_none() -> None:
    old = {name: block for name, block in scored().items() if name not in ("held_out", "access")}
    assert (blocks.scored([old]).held_out, blocks.scored([old]).access) == (None, None)


def test_the_worst_case_is_pooled_like_a_query() -> None:
    blocks = [{"a": scored(0.9), "b": scored(0.2)}, {"a": scored(0.4), "b": scored(0.7)}]
    found = blocks.worst([worst(block) for block in blocks])
    expected = blocks.scored([scored(0.9), scored(0.7)])
    assert (found.memorization, found.certified, found.epsilon) == (
        expected.memorization,
        expected.certified,
        expected.epsilon,
    )
    assert (found.queries, found.chosen) == (2, {"a": 0.5, "b": 0.5})


def test_a_query_that_the_perfect_memorizer_cannot_be_asked_has_no_power() -> None:
    known = {"value": 1.0, "low": 1.0, "high": 1.0}
    power = blocks.power([{"a": known, "b": None}, {"a": known, "b": None}], [64, 64])
    assert power["b"] is None
    assert power["a"] == aggregate.number([known, known], [64, 64])
