"""One number from those of several seeds, whole and by hand: drawn blocks of one to four seeds against plain formulas."""

from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from solidmark.leaderboard import aggregate
from solidmark.schema.numbers import Estimate, Share

CASES = [(seeds, spread) for seeds in (1, 2, 3, 4) for spread in (0.001, 0.3)]
"""How many seeds, and how far they lie from each other: either interval is the wider one."""


def same(found, expected):
    """Whether all fields are alike, to rounding."""
    assert type(found) is type(expected)
    assert list(astuple(found)) == [pytest.approx(value, abs=1e-12) for value in astuple(expected)]


def drawn(seeds, spread):
    """Blocks with limits and errors, and the images of each seed; chance levels differ where there are four seeds."""
    rng = np.random.default_rng([seeds, int(1000 * spread)])
    values, errors = 0.5 + spread * rng.uniform(-1, 1, seeds), rng.uniform(0.02, 0.1, seeds)
    chances = [0.1, 0.1, 0.1, 0.3][:seeds]
    keys = {"value": values, "low": values - errors, "high": values + 2 * errors, "error": errors, "chance": chances}
    blocks = [dict(zip(keys, map(float, one), strict=True)) for one in zip(*keys.values(), strict=True)]
    return blocks, rng.integers(5, 40, seeds).tolist(), np.mean(chances)


def column(blocks, name):
    return np.array([block[name] for block in blocks])


def between(values):
    """Standard error and half the interval of a mean over trainings; nothing for one."""
    if len(values) == 1:
        return 0.0, 0.0
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return error, stats.t.ppf(0.975, len(values) - 1) * error


@pytest.mark.parametrize(("seeds", "spread"), CASES)
def test_a_mean_has_the_wider_interval_the_larger_error_and_the_fewest_images(seeds, spread):
    blocks, images, chance = drawn(seeds, spread)
    values, errors = column(blocks, "value"), column(blocks, "error")
    within = np.sqrt((errors**2).sum()) / seeds
    margin = max(stats.t.ppf(0.975, sum(images) - seeds) * within, between(values)[1])
    error, value = max(within, between(values)[0]), values.mean()
    same(aggregate.number(blocks, images), Estimate(value, value - margin, value + margin, error, chance, min(images)))
    most = [{**block, "value": block["value"] + 0.45} for block in blocks]
    high = min(value + 0.45 + margin, max(1.0, value + 0.45))
    found = aggregate.memorization(most, images)
    same(found, Estimate(value + 0.45, value + 0.45 - margin, high, error, chance, min(images)))


def test_a_mean_above_one_is_its_own_upper_limit():
    blocks = [{"value": value, "error": 0.1, "chance": 0.0} for value in (1.0, 1.5)]
    assert aggregate.memorization(blocks, [9, 9]).high == 1.25


@pytest.mark.parametrize(("seeds", "spread"), CASES)
def test_an_auroc_lies_between_the_mean_limits_or_as_far_apart_as_its_seeds(seeds, spread):
    blocks, images, chance = drawn(seeds, spread)
    values = column(blocks, "value")
    value, margin = values.mean(), between(values)[1]
    low = max(min(column(blocks, "low").mean(), value - margin), 0.0)
    high = min(max(column(blocks, "high").mean(), value + margin), 1.0)
    same(aggregate.area(blocks, images), Estimate(value, low, high, None, chance, min(images)))


@pytest.mark.parametrize(("seeds", "spread"), CASES)
def test_shares_of_images_and_of_keys_are_counted_over_all_seeds(seeds, spread):
    blocks, images, chance = drawn(seeds, spread)
    for block, of in zip(blocks, images, strict=True):
        block.update(count=round(block["value"] * of), of=of)
    count, of = int(column(blocks, "count").sum()), sum(images)
    shares = column(blocks, "count") / column(blocks, "of")
    exact = stats.binomtest(count, of).proportion_ci(0.95, "exact")
    low, high = (shares.mean() + side * between(shares)[1] for side in (-1, 1))
    bounds = [(exact.low, exact.high), (column(blocks, "low").mean(), column(blocks, "high").mean())]
    for found, (least, most) in zip((aggregate.share(blocks), aggregate.clustered_share(blocks)), bounds, strict=True):
        same(found, Share(count, of, max(min(least, low), 0.0), min(max(most, high), 1.0), chance))


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_a_distance_has_its_floor_and_from_three_seeds_on_an_interval(seeds):
    blocks, *_ = drawn(seeds, 0.3)
    values = column(blocks, "value")
    error, margin = between(values)
    whole = (values.mean() - margin, values.mean() + margin, error) if seeds >= 3 else (None, None, None)
    found, real = aggregate.distance([{**block, "real": block["error"]} for block in blocks])
    same(found, Estimate(values.mean(), *whole, None, seeds))
    assert real == pytest.approx(column(blocks, "error").mean())


def test_what_one_seed_lacks_the_whole_lacks():
    assert aggregate.of_all(sum, iter([1, 2])) == 3
    assert aggregate.of_all(sum, iter([1, None])) is None
    assert aggregate.of_all(len, []) == 0


def test_an_error_is_the_stated_one_or_that_of_the_width_with_its_degrees_of_freedom():
    limits = {"value": 0.5, "low": 0.4, "high": 0.7}
    expected = 0.15 / stats.t.ppf(0.975, 6)
    assert aggregate.standard_error({**limits, "error": 0}, 6) == 0.0
    assert aggregate.standard_error(limits, 6) == aggregate.standard_error({**limits, "error": None}, 6)
    assert aggregate.standard_error(limits, 6) == pytest.approx(expected)
    found = aggregate.number([limits, limits], [4, 7])
    errors = [0.15 / stats.t.ppf(0.975, freedom) for freedom in (3, 6)]
    assert found.error == pytest.approx(np.hypot(*errors) / 2)
    assert found.chance == 0.0
    with pytest.raises(ValueError, match="shorter"):
        aggregate.number([limits, limits], [4])
