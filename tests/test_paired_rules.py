"""Numbers over seeds against plain computations: the jackknife, p-values and their correction, groups that do not differ."""

from dataclasses import astuple
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from solidmark.leaderboard.paired import groups, holm, jackknife, p_value
from solidmark.schema.numbers import Estimate


def test_the_jackknife_of_any_statistic_is_that_of_the_textbook():
    rng = np.random.default_rng(1)
    for count in (3, 4, 7):
        drawn = rng.normal(1.0, 2.0, count)
        each = np.array([np.exp(drawn.mean()), *(np.exp(np.delete(drawn, one).mean()) for one in range(count))])
        error = np.sqrt((count - 1) * np.var(each[1:]))
        half = stats.t.ppf(0.975, count - 1) * error
        expected = (each[0], each[0] - half, each[0] + half, error, None, count)
        assert astuple(jackknife(each)) == pytest.approx(expected)


def test_below_three_seeds_the_jackknife_has_no_interval():
    assert jackknife(np.array([0.3])) == Estimate(0.3, count=1)
    assert jackknife(np.array([0.3, 0.2])) == Estimate(0.3, count=1)
    assert jackknife(np.array([0.3, 0.2, 0.4])) == Estimate(0.3, count=2)


def spread(error, value):
    """Three seeds whose jackknife has this error: two thirds of the squares of (1, 0, -1) are 4 / 3."""
    return jackknife(np.array([value, *(error * np.array([1.0, 0.0, -1.0]) / np.sqrt(4 / 3))])).error


@pytest.mark.parametrize(
    ("error", "value", "kept"),
    [(1.2e-12, 0.5, True), (0.9e-12, 0.5, False), (1.2e-9, 1000.0, True), (0.9e-9, -1000.0, False), (1.1e-12, -0.5, True)],
)
def test_a_spread_that_rounding_makes_is_none(error, value, kept):
    assert spread(error, value) == (pytest.approx(error, rel=1e-6) if kept else 0.0)


def test_a_p_value_is_that_of_students_t():
    values = np.array([0.3, -0.1, 0.5, 0.2, 0.4])
    without = [np.delete(values, one).mean() for one in range(5)]
    for sign in (1, -1):
        found = p_value(jackknife(sign * np.array([values.mean(), *without])))
        assert found == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


@pytest.mark.parametrize(
    ("estimate", "p"),
    [
        (Estimate(0.2), None),
        (Estimate(0.2, error=0.1), None),
        (Estimate(0.2, count=3), None),
        (Estimate(0.2, error=0.0, count=3), 0.0),
        (Estimate(0.0, error=0.0, count=3), 1.0),
        (Estimate(0.0, error=0.1, count=3), 1.0),
    ],
)
def test_a_p_value_needs_an_error_and_a_count(estimate, p):
    assert p_value(estimate) == p


def stepped_down(p):
    """Each p-value times the number of those that are no smaller, no less than that of any smaller one, and at most 1."""
    return [min(1.0, max(one * np.sum(p >= one) for one in p if one <= own)) for own in p]


def test_holms_correction_steps_down():
    rng = np.random.default_rng(2)
    for count in (1, 2, 5, 9):
        p = np.round(rng.random(count) ** 3, 2)  # some are equal
        assert holm(list(p)) == pytest.approx(stepped_down(p))
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def largest(count, apart):
    """All sets of things of which no two are apart, without those that lie in another."""
    free = [
        set(few)
        for size in range(1, count + 1)
        for few in combinations(range(count), size)
        if not any({*pair} <= {*few} for pair in apart)
    ]
    return sorted(tuple(sorted(few)) for few in free if not any(few < more for more in free))


def test_groups_are_the_largest_sets_of_which_no_two_are_apart():
    rng = np.random.default_rng(3)
    for count in [*range(6), 12]:
        for share in (0.0, 0.3, 0.6, 1.0):
            apart = [pair for pair in combinations(range(count), 2) if rng.random() < share]
            rng.shuffle(apart)
            apart = [tuple(pair)[:: rng.choice([-1, 1])] for pair in apart]
            if count < 8 or share > 0.3:
                assert groups(count, apart) == largest(count, apart)
