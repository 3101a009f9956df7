"""One number from those of several seeds: against closed forms and SciPy."""

import numpy as np
import pytest
from record_samples import estimate, scored, share
from scipy import stats

from solidmark.leaderboard import aggregate


def test_one_seed_gives_back_its_own_interval() -> None:
    block = estimate(0.5, error=0.02, images=64)
    whole = aggregate.number([block], [64])
    assert (whole.value, whole.low, whole.high) == pytest.approx((0.5, block["low"], block["high"]))


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_trainings_that_differ_are_as_uncertain_as_their_spread(count: int) -> None:
    values = np.random.default_rng(count).uniform(0.2, 0.8, count).tolist()
    whole = aggregate.number([estimate(value, 0.001) for value in values], [64] * count)
    assert (whole.low, whole.high) == pytest.approx(stats.t.interval(0.95, count - 1, np.mean(values), stats.sem(values)))
    assert whole.error == pytest.approx(stats.sem(values))


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_trainings_that_agree_by_luck_keep_the_error_of_their_images(count: int) -> None:
    values = np.linspace(0.499, 0.501, count).tolist()
    whole = aggregate.number([estimate(value, 0.3) for value in values], [64] * count)
    margin = stats.t.ppf(0.975, count * 63) * 0.3 / count**0.5
    assert (whole.value, whole.low, whole.high) == pytest.approx((0.5, 0.5 - margin, 0.5 + margin))
    assert whole.error == pytest.approx(0.3 / count**0.5)


def test_an_error_that_was_not_recorded_is_read_off_the_interval() -> None:
    block = {name: value for name, value in estimate(0.5, 0.02).items() if name != "error"}
    assert aggregate.standard_error(block, 63) == pytest.approx(0.02)


def test_memorization_is_at_most_one_and_so_is_its_limit() -> None:
    whole = aggregate.memorization([estimate(0.4), estimate(0.9)], [64, 64])
    assert (whole.high, whole.low) == (1.0, pytest.approx(stats.t.interval(0.95, 1, 0.65, 0.25)[0]))


def test_an_auroc_of_one_keeps_the_limit_that_its_images_allow() -> None:
    whole = aggregate.area([{"value": 1.0, "low": 0.94, "high": 1.0, "chance": 0.5}] * 6, [64] * 6)
    assert (whole.value, whole.low, whole.high, whole.chance) == pytest.approx((1.0, 0.94, 1.0, 0.5))


@pytest.mark.parametrize("count", [3, 5])
def test_an_auroc_that_varies_between_seeds_is_as_uncertain_as_they_are(count: int) -> None:
    values = [0.5, 0.6, 0.7, 0.6, 0.5][:count]
    blocks = [{"value": value, "low": value - 0.01, "high": value + 0.01} for value in values]
    whole, expected = (
        aggregate.area(blocks, [64] * count),
        stats.t.interval(0.95, count - 1, np.mean(values), stats.sem(values)),
    )
    assert (whole.low, whole.high) == pytest.approx(expected)


def test_counts_are_summed_with_the_exact_interval_of_the_sums() -> None:
    whole = aggregate.share([share(15, 64), share(15, 64)])
    low, high = stats.beta.ppf(0.025, 30, 99), stats.beta.ppf(0.975, 31, 98)
    assert (whole.count, whole.of) == (30, 128)
    assert (whole.low, whole.high) == pytest.approx((low, high))


def test_counts_that_differ_between_seeds_are_as_uncertain_as_they_are() -> None:
    whole = aggregate.share([share(count, 100) for count in (40, 50, 60)])
    assert (whole.low, whole.high) == pytest.approx(stats.t.interval(0.95, 2, 0.5, 0.1 / 3**0.5))


def test_a_share_stays_between_nothing_and_all() -> None:
    whole = aggregate.share([share(0, 64), share(64, 64)])
    assert (whole.share, whole.low, whole.high) == (0.5, 0.0, 1.0)


def test_keys_of_an_image_do_not_count_as_independent() -> None:
    blocks = [{"count": 256, "of": 512, "low": low, "high": 0.7, "chance": 0.2} for low in (0.3, 0.4)]
    whole = aggregate.clustered_share(blocks)
    assert (whole.count, whole.of) == (512, 1024)
    assert (whole.low, whole.high) == pytest.approx((0.35, 0.7))


def test_a_distance_has_no_interval_below_three_seeds() -> None:
    few, real = aggregate.distance([{"value": 2.0, "real": 1.0}] * 2)
    assert (few.value, real, few.low, few.high) == (2.0, 1.0, None, None)


def test_a_distance_has_the_interval_of_its_seeds_from_three_on() -> None:
    values = [1.0, 2.0, 4.0]
    whole, _ = aggregate.distance([{"value": value, "real": 1.0} for value in values])
    assert (whole.low, whole.high) == pytest.approx(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)))


def test_a_chance_level_that_all_seeds_share_stays_exact() -> None:
    assert aggregate.share([share(1, 10, 0.1)] * 3).chance == 0.1


def test_a_bound_is_the_smallest_of_any_seed() -> None:
    assert aggregate.least([scored(epsilon=3.0)["epsilon"], scored(epsilon=2.0)["epsilon"]])["low"] == 2.0
