"""The blocks of a record over the seeds of a row."""

import pytest
from record_samples import controls, cost, estimate, negative, scored, share, utility, worst

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
    starred = blocks.worst([worst(block) for block in seeds], seeds)
    expected = blocks.query([scored(0.9), scored(0.7)])
    assert starred.memorization.value == expected.memorization.value
    assert (starred.certified, starred.epsilon) == (expected.certified, expected.epsilon)
    assert (starred.queries, starred.chosen) == (2, {"a": 0.5, "b": 0.5})


def test_a_worst_case_reaches_from_what_is_shown_to_the_upper_limit_of_the_strongest_query() -> None:
    """Idle queries hide some of a leak: M* is 0.5, while the strongest query of each seed has 0.6 and 0.7."""
    seeds = [{"a": scored(0.6, 0.02), "b": scored(0.1, 0.02)}, {"a": scored(0.1, 0.02), "b": scored(0.7, 0.02)}]
    hidden = [{**worst(block), "memorization": estimate(0.5, 0.02)} for block in seeds]
    found = blocks.worst(hidden, seeds).memorization
    strongest = aggregate.memorization([estimate(0.6, 0.02), estimate(0.7, 0.02)], [64, 64])
    halvings = aggregate.memorization([estimate(0.5, 0.02)] * 2, [64, 64])
    assert (found.value, found.low, found.high) == (0.5, halvings.low, strongest.high)


@pytest.mark.parametrize(("error", "holds_0"), [(0.02, False), (0.3, True)])
def test_avoidance_that_is_shown_has_its_upper_limit_from_the_halvings(error: float, holds_0: bool) -> None:
    queries = {"a": scored(-0.4, error), "b": scored(0.0, 0.6)}
    found = blocks.worst([{**worst(queries), "memorization": estimate(-0.4, error)}], [queries]).memorization
    alone, other = (aggregate.memorization([estimate(m, e)], [64]) for m, e in ((-0.4, error), (0.0, 0.6)))
    assert (found.low, found.high) == (other.low, other.high if holds_0 else alone.high)


def test_a_query_that_the_perfect_memorizer_cannot_be_asked_has_no_power() -> None:
    perfect = {"value": 1.0, "low": 1.0, "high": 1.0}
    power = blocks.power([{"a": perfect, "b": None}, {"a": perfect, "b": None}], [64, 64])
    assert power["b"] is None
    assert power["a"] == aggregate.number([perfect, perfect], [64, 64])


def test_a_p_value_of_a_row_is_that_of_the_seed_that_shows_least() -> None:
    two = [{**scored(), "permutation_p": p} for p in (0.0002, 0.03)]
    assert blocks.query(two).permutation_p == 0.03


def test_a_control_of_a_row_is_that_of_the_seed_that_looks_worst() -> None:
    two = [
        {**negative(0.0, 0.01, 256), "chance_p": chance, "uniform_p": uniform}
        for chance, uniform in ((0.8, 0.1), (0.2, 0.6))
    ]
    whole = blocks.negative(two)
    assert (whole.chance_p, whole.uniform_p) == (0.2, 0.1)


def score(auroc: float, p: float, certified: int) -> dict[str, object]:
    area = {"value": auroc, "low": auroc - 0.1, "high": auroc + 0.1, "chance": 0.5}
    return {"auroc": area, "images": 64, "permutation_p": p, "certified": share(certified, 64), "least": 10}


def test_content_of_a_row_has_the_mean_auroc_the_largest_p_and_all_certified_images() -> None:
    seeds = [
        {"own": score(0.9, 0.001, 40), "any": score(0.7, 0.2, 5)},
        {"own": score(0.8, 0.01, 20), "any": score(0.6, 0.1, 6)},
    ]
    whole = blocks.content(seeds)
    assert whole.own is not None
    assert (whole.own.auroc.value, whole.own.permutation_p, whole.own.certified.count) == (pytest.approx(0.85), 0.01, 60)
    assert (whole.any.auroc.value, whole.any.permutation_p, whole.any.certified.count) == (pytest.approx(0.65), 0.2, 11)
    assert whole.any.certified.of == 128


def test_a_seed_without_captions_leaves_a_row_without_the_score_of_own_captions() -> None:
    seeds = [{"own": None, "any": score(0.7, 0.2, 5)}, {"own": score(0.8, 0.01, 20), "any": score(0.6, 0.1, 6)}]
    assert blocks.content(seeds).own is None


def test_an_older_record_calls_its_p_value_by_its_first_name() -> None:
    older = score(0.7, 0.2, 5)
    older["rank_p"] = older.pop("permutation_p")
    assert blocks.content([{"own": None, "any": older}]).any.permutation_p == 0.2


def test_a_denoising_loss_keeps_held_out_and_trained_apart() -> None:
    def loss(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.01, "high": value + 0.01, "error": 0.005, "images": 256}

    whole = blocks.denoising_loss(
        [{"held_out": loss(0.2), "trained": loss(0.1)}, {"held_out": loss(0.4), "trained": loss(0.2)}]
    )
    assert (whole.held_out.value, whole.trained) == (pytest.approx(0.3), pytest.approx(0.15))


def test_marks_are_valid_and_active_only_where_those_of_every_seed_are() -> None:
    broken = controls()
    broken["mark_valid"] = {**broken["mark_valid"], "valid": False, "spread": 0.04}
    whole = blocks.controls([controls(), {**broken, "active": False}])
    assert (whole.mark_valid, whole.active) == (False, False)
    assert (whole.marks.spread, whole.baseline_marks.spread) == (pytest.approx(0.14), pytest.approx(0.24))


def test_a_distance_and_its_floor_are_both_averaged() -> None:
    two = [utility(100), utility(100)]
    two[1]["frechet"], two[1]["kernel"], two[1]["diversity_real"] = (
        {"value": 4.9, "real": 1.0},
        {"value": 0.2, "real": 0.0},
        0.83,
    )
    whole = blocks.utility(two)
    assert (whole.frechet.value, whole.frechet_real) == (pytest.approx(3.9), pytest.approx(0.8))
    assert (whole.kernel.value, whole.kernel_real) == (pytest.approx(0.16), pytest.approx(-0.01))
    assert (whole.diversity_real, whole.judge_accuracy) == (pytest.approx(0.88), pytest.approx(0.9))


def test_seconds_and_evaluations_of_a_row_are_means_and_its_memory_the_largest() -> None:
    two = [cost(100), cost(300)]
    two[1]["training"]["seconds"], two[1]["editing"]["forward"], two[1]["sampling"]["images"] = 75.0, 10, 128
    whole = blocks.cost(two, [5, 9])
    assert (whole.training.seconds, whole.editing.forward, whole.sampling.images) == (50.0, 5.0, 192.0)
    assert whole.peak_bytes == 9


def test_a_way_to_generate_that_a_seed_lacks_is_left_out() -> None:
    both, one = utility(200), utility(100)
    both["ways"] = {"fresh": both["ways"]["fresh captions"], "own": both["ways"]["fresh captions"]}
    one["ways"] = {"own": one["ways"]["fresh captions"]}
    assert list(blocks.utility([both, one]).ways) == ["own"]
    assert list(blocks.utility([both, both]).ways) == ["fresh", "own"]
    assert list(blocks.utility([one, both]).ways) == ["own"]


def test_a_frechet_distance_is_not_below_zero_and_a_kernel_distance_may_be() -> None:
    seeds = [utility() for _ in range(3)]
    for block, value in zip(seeds, (0.0, 0.0, 0.3), strict=True):
        block["frechet"], block["kernel"] = ({"value": value, "real": 0.1} for _ in range(2))
    found = blocks.utility(seeds)
    assert found.frechet.low == 0 > found.kernel.low
    assert (found.frechet.value, found.frechet.high) == (found.kernel.value, found.kernel.high)
