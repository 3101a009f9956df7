"""Agreement of testbeds: the rank correlation of what families leave, and its interval."""

import numpy as np
import pytest
from record_samples import case, utility
from scipy import stats

from solidmark.leaderboard import Leaderboard, build_leaderboard
from solidmark.leaderboard.agreement import rank_correlation


def records(testbed: str, memories: dict[str, float]) -> list[dict]:
    """A baseline and families of one setting each, which keep all utility."""
    rows = {"none": (0.9, "none"), **{name: (m, "training") for name, m in memories.items()}}
    return [
        case(name, m + 0.01 * seed, seed, stage, testbed=testbed, utility=utility(200), case_id=f"{testbed}-{name}-{seed}")
        for name, (m, stage) in rows.items()
        for seed in range(3)
    ]


def board(other: dict[str, float]) -> Leaderboard:
    one = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5, "alone": 0.6}
    return build_leaderboard([*records("one", one), *records("two", other)])


def test_testbeds_that_rank_alike_have_a_correlation_of_one() -> None:
    (found,) = board({"a": 0.5, "b": 0.55, "c": 0.6, "d": 0.65, "e": 0.7}).agreements
    assert (found.one, found.other) == ("one", "two")
    assert [name for name, *_ in found.left] == ["a", "b", "c", "d", "e"]
    assert found.correlation is not None
    assert found.correlation.value == pytest.approx(1.0)


def test_a_correlation_is_spearmans_and_its_interval_that_of_bonett_and_wright() -> None:
    one, other = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [0.2, 0.1, 0.5, 0.3, 0.4, 0.9, 0.6]
    found, rho = rank_correlation(one, other), stats.spearmanr(one, other).statistic
    assert found is not None
    assert found.value == pytest.approx(rho)
    assert np.arctanh(found.limits[1]) - np.arctanh(rho) == pytest.approx(1.96 * np.sqrt((1 + rho**2 / 2) / 4), rel=1e-3)


def test_the_interval_covers_the_truth_in_nineteen_worlds_of_twenty() -> None:
    rng, covered = np.random.default_rng(0), 0
    truth = 6 / np.pi * np.arcsin(0.7 / 2)  # Spearman's of normal pairs with a correlation of 0.7
    for _ in range(400):
        a, b = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 30).T
        found = rank_correlation(a.tolist(), b.tolist())
        covered += found is not None and found.limits[0] <= truth <= found.limits[1]
    assert 0.92 <= covered / 400 <= 0.98


def test_few_families_in_common_have_no_correlation_but_a_reason() -> None:
    (found,) = board({"a": 0.5, "b": 0.4}).agreements
    assert found.correlation is None
    assert found.reason == "2 families are ranked on both, of at least 5"
    assert found.to_json()["reasons"]["correlation"] == found.reason


def test_where_all_families_are_equal_there_is_no_rank() -> None:
    assert rank_correlation([0.5] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) is None


def test_one_testbed_agrees_with_nobody() -> None:
    assert build_leaderboard(records("one", {"a": 0.1})).agreements == ()
