"""The permutation p-value of a rank sum: against resampling, enumeration by hand, and another library."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from solidmark.metrics.permutation import rank_sum_p


def scores(count, seed, shift=0.0, levels=None):
    values = np.random.default_rng(seed).normal(size=count) - shift
    return values if levels is None else np.round(values * levels)


@pytest.mark.parametrize("levels", [None, 1, 2])
@pytest.mark.parametrize(("count", "others"), [(12, 40), (64, 64)])
def test_it_is_the_share_of_orders_with_no_larger_rank_sum(levels, count, others):
    trained, held_out = scores(count, 0, 0.3, levels), scores(others, 1, 0.0, levels)
    ranks, rng = stats.rankdata(np.concatenate([trained, held_out])), np.random.default_rng(2)
    drawn = rng.permuted(np.tile(ranks, (20_000, 1)), axis=1)[:, :count].sum(axis=1)
    expected = (drawn <= ranks[:count].sum()).mean()
    assert rank_sum_p(trained, held_out) == pytest.approx(expected, abs=4 * np.sqrt(expected / 20_000) + 0.002)


def test_of_five_scores_with_a_tie_it_counts_the_ten_pairs():
    trained, held_out = np.array([0.0, 1.0]), np.array([1.0, 2.0, 3.0])
    ranks = [1.0, 2.5, 2.5, 4.0, 5.0]
    assert rank_sum_p(trained, held_out) == pytest.approx(np.mean([a + b <= 3.5 for a, b in combinations(ranks, 2)]))


def test_without_ties_it_is_that_of_mann_and_whitney():
    trained, held_out = scores(64, 3, 0.5), scores(256, 4)
    expected = stats.mannwhitneyu(trained, held_out, alternative="less", method="exact").pvalue
    assert rank_sum_p(trained, held_out) == pytest.approx(expected)


def test_scores_that_are_all_alike_say_nothing():
    assert rank_sum_p(np.zeros(8), np.zeros(16)) == pytest.approx(1.0)
    assert rank_sum_p(np.zeros(64), np.zeros(256)) == pytest.approx(1.0)


def test_complete_separation_has_the_least_p_there_is_and_never_zero():
    assert rank_sum_p(np.zeros(2), np.ones(3)) == pytest.approx(0.1)
    assert 0 < rank_sum_p(np.arange(256) - 1000.0, np.arange(256.0)) < 1e-100
