"""Ranking at matched utility: Holm's correction, groups that do not differ, ranges of ranks."""

import itertools

import numpy as np
import pytest
from curve_samples import curve
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from solidmark.leaderboard.curves import Curve
from solidmark.leaderboard.paired import groups, holm
from solidmark.leaderboard.ranking import Ranking, letter, ranking


def at(family: str, matched: float, noise: float = 0.01, seeds: int = 8, seed: int = 0) -> Curve:
    """A family whose M at a loss of 5 % is known."""
    return curve(family, (0.8, matched), (0.0, 0.05), seeds=seeds, noise=noise, seed=seed)


def ranked(*curves: Curve) -> Ranking:
    """The ranking, which there is."""
    result = ranking(curves)
    assert result is not None
    return result


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_is_that_of_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_no_p_values_are_corrected_to_none() -> None:
    assert holm([]) == []


def test_without_differences_all_are_one_group() -> None:
    assert groups(4, []) == [(0, 1, 2, 3)]


def test_two_that_are_apart_share_the_others() -> None:
    assert groups(3, [(0, 2)]) == [(0, 1), (1, 2)]


@given(st.integers(1, 7), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=10))
def test_a_group_holds_no_two_that_are_apart_and_all_others_share_one(count: int, drawn: set[tuple[int, int]]) -> None:
    apart = {(a, b) for a, b in drawn if a < b < count}
    sets = groups(count, sorted(apart))
    for pair in itertools.combinations(range(count), 2):
        assert any({*pair} <= {*members} for members in sets) == (pair not in apart)


def test_families_far_apart_have_one_rank_each_and_a_letter_each() -> None:
    result = ranked(at("b", 0.5, seed=1), at("c", 0.7, seed=2), at("a", 0.2, seed=3))
    assert [(family.family, family.ranks, family.groups) for family in result.families] == [
        ("a", "1", ("a",)),
        ("b", "2", ("b",)),
        ("c", "3", ("c",)),
    ]
    assert (result.apart, result.pairs) == (3, 3)


def test_families_that_do_not_differ_share_a_group_and_a_range_of_ranks() -> None:
    result = ranked(at("a", 0.40, seed=1), at("b", 0.405, seed=2), at("c", 0.7, seed=3))
    assert [family.ranks for family in result.families] == ["1-2", "1-2", "3"]
    assert result.families[0].groups == result.families[1].groups != result.families[2].groups


def test_with_two_seeds_nothing_differs_and_the_ranking_says_so() -> None:
    result = ranked(at("a", 0.1, seeds=2), at("b", 0.7, seeds=2))
    assert {family.ranks for family in result.families} == {"1-2"}
    assert "fewer than 3 seeds" in result.reason


def test_matched_utility_is_read_between_settings() -> None:
    (family,) = ranked(curve("a", (0.8, 0.4), (0.0, 0.1))).families
    assert family.matched.value == pytest.approx(0.6)
    assert family.setting == ""


def test_the_setting_is_the_least_memory_among_those_that_lose_at_most_a_twentieth() -> None:
    (family,) = ranked(curve("a", (0.8, 0.5, 0.6, 0.1), (0.0, 0.03, 0.05, 0.2))).families
    assert family.setting == "a(0.03)"


def test_only_seeds_of_both_are_compared() -> None:
    ranking = ranked(at("a", 0.2, seeds=4), at("b", 0.6, seeds=8))
    assert (ranking.pairs, ranking.apart) == (1, 1)


def test_twins_rarely_differ() -> None:
    """Ten twins in 100 worlds: a family-wise rate of 5 % gives more than nine once in forty times."""
    worlds = [[at(f"t{n}", 0.5, 0.05, 8, seed=100 * world + n) for n in range(10)] for world in range(100)]
    assert sum(ranked(*world).apart > 0 for world in worlds) <= 9


def test_families_without_numbers_are_not_ranked() -> None:
    assert ranking([Curve("a", "training", False, False, "accuracy", "worst", reason="no room")]) is None


@pytest.mark.parametrize(("number", "letters"), [(0, "a"), (25, "z"), (26, "aa"), (53, "bb")])
def test_groups_have_letters(number: int, letters: str) -> None:
    assert letter(number) == letters


def test_a_rank_is_never_bare_where_others_could_have_it() -> None:
    result = ranked(*(at(f"f{n}", 0.5 + 0.05 * n, 0.1, seed=n) for n in range(5)))
    assert all(family.first <= number <= family.last for number, family in enumerate(result.families, start=1))
    assert any(family.first < family.last for family in result.families)
    assert np.diff([family.matched.value for family in result.families]).min() >= 0
