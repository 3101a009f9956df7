"""Ranking at matched utility: Holm's correction, groups that do not differ, ranges of ranks."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from curve_samples import curve
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from solidmark.leaderboard.curves import Curve, Point
from solidmark.leaderboard.paired import groups, holm, p_value
from solidmark.leaderboard.ranking import AT, Ranking, _difference, letter, ranking


def at(family: str, matched: float, noise: float = 0.01, seeds: int = 8, seed: int = 0) -> Curve:
    """A family whose M at a loss of 5 % is known."""
    return curve(family, (0.8, matched), (0.0, 0.05), seeds=seeds, noise=noise, seed=seed)


def ranked(*curves: Curve) -> Ranking:
    """The ranking, which there is."""
    result = ranking(curves)
    assert result is not None
    return result


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holms_correction_is_the_closed_test_by_bonferroni(p: list[float]) -> None:
    """What is rejected is so in every set that holds it: p adjusted is the largest of all sets' Bonferroni p."""
    sets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]
    whole = {s: min(1.0, len(s) * min(p[one] for one in s)) for s in sets}
    assert holm(p) == pytest.approx([max(whole[s] for s in sets if one in s) for one in range(len(p))])


def test_holms_correction_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).uniform(size=12) ** 3
    assert holm([*p, p[3]]) == pytest.approx(multipletests([*p, p[3]], method="holm")[1])


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
    (family,) = ranked(curve("a", (0.8, 0.75, 0.35), (0.0, 0.02, 0.1))).families
    assert family.matched.value == pytest.approx(0.575)  # on the chord from the baseline
    assert family.setting == "a(0.02)"


def test_a_family_that_was_measured_at_no_such_utility_and_the_gold_standard_have_no_rank() -> None:
    beyond, gold = curve("beyond", (0.8, 0.1), (0.0, 0.1)), replace(at("gold", 0.0), gold=True)
    result = ranked(at("a", 0.5), beyond, gold)
    assert [family.family for family in result.families] == ["a"]
    assert {name: why.split(",")[0] for name, why in result.unranked.items()} == {
        "beyond": "no setting of it loses at most 5 % of the utility",
        "gold": "the gold standard",
    }
    assert ranking([beyond]) is None


def test_a_rank_counts_the_families_whose_whole_interval_is_elsewhere() -> None:
    matched = [at(f"f{n}", 0.2 + 0.08 * n, 0.08, seed=n) for n in range(8)]
    limits = {curve.family: curve.at(0.05).limits for curve in matched}
    for family in ranked(*matched).families:
        low, high = limits[family.family]
        assert family.first == 1 + sum(other[1] < low for other in limits.values())
        assert family.last == 8 - sum(other[0] > high for other in limits.values())


def test_the_setting_is_the_least_memory_among_those_that_lose_at_most_a_twentieth() -> None:
    (family,) = ranked(curve("a", (0.8, 0.5, 0.6, 0.1), (0.0, 0.03, 0.05, 0.2))).families
    assert family.setting == "a(0.03)"


@pytest.mark.parametrize(("few", "many"), [("less", "more"), ("more", "less")])
def test_families_of_unequal_seeds_are_told_apart_in_the_right_order(few: str, many: str) -> None:
    matched = {"less": 0.2, "more": 0.6}
    ranking = ranked(at(few, matched[few], seeds=4, seed=1), at(many, matched[many], seeds=8, seed=2))
    assert [(family.family, family.ranks) for family in ranking.families] == [("less", "1"), ("more", "2")]
    assert (ranking.pairs, ranking.apart) == (1, 1)


@pytest.mark.parametrize("seeds", [4, 8])
def test_the_difference_of_two_families_is_that_of_a_paired_t_test_over_the_seeds_of_both(seeds: int) -> None:
    one, other = at("one", 0.2, 0.05, seeds=seeds, seed=1), at("other", 0.25, 0.05, seeds=8, seed=2)
    whole = {curve.family: curve.frontiers(AT, curve.seeds)[:, 0] for curve in (one, other)}
    difference = _difference(one, other, whole)
    test = stats.ttest_rel(one.points[1].memories, other.points[1].memories[:seeds])
    assert difference is not None
    assert (difference.value, p_value(difference)) == pytest.approx((test._estimate, test.pvalue))
    assert (difference.low, difference.high) == pytest.approx(test.confidence_interval())


def test_families_without_a_seed_in_common_are_not_tested() -> None:
    other = replace(at("b", 0.6, seeds=3), seeds=(5, 6, 7))
    assert ranked(at("a", 0.2, seeds=3), other).pairs == 0


@pytest.mark.parametrize(("first", "ranks"), [(2, ["1", "2"]), (3, ["1-2", "1-2"])])
def test_ranks_part_where_three_seeds_are_in_common_and_not_with_two(first: int, ranks: list[str]) -> None:
    other = replace(at("b", 0.6, seeds=5, seed=2), seeds=tuple(range(first, first + 5)))
    assert [family.ranks for family in ranked(at("a", 0.2, seeds=5, seed=1), other).families] == ranks


def test_families_of_equal_memory_come_by_name() -> None:
    assert [family.family for family in ranked(at("b", 0.5, noise=0), at("a", 0.5, noise=0)).families] == ["a", "b"]


def test_the_reason_counts_what_could_be_tested_and_what_differs() -> None:
    result = ranked(at("a", 0.2, seed=1), at("b", 0.6, seed=2), at("c", 0.6, seed=3))
    assert result.reason == "the intervals of 2 of 3 pairs of families are apart, of 2 after correction for all pairs"
    assert ranked(at("a", 0.1, seeds=2), at("b", 0.7, seeds=2)).reason.endswith("no two families can be told apart")


def test_a_written_ranking_has_its_families_with_their_ranks() -> None:
    written = ranked(at("a", 0.2, seed=1), at("b", 0.6, seed=2)).to_json()
    assert (written["axis"], written["measure"], written["pairs"], written["apart"]) == ("accuracy", "worst", 1, 1)
    assert [(family["family"], family["ranks"], family["setting"]) for family in written["families"]] == [
        ("a", "1", "a(0.05)"),
        ("b", "2", "b(0.05)"),
    ]


def at_a_cliff(family: str, luck: float) -> Curve:
    """A family whose memory falls from 0.8 to 0.2 near a loss of 5 %, which varies by 0.05 between its 6 seeds."""
    losses = tuple(0.05 + luck + np.array([-0.05, 0.05, -0.03, 0.03, -0.01, 0.01]))
    memories = (0.19, 0.21) * 3
    points = Point("none", (0.0,) * 6, (0.79, 0.81) * 3), Point(f"{family}(1)", losses, memories)
    return Curve(family, "training", False, False, "accuracy", "worst", tuple(range(6)), points)


def test_luck_in_the_losses_sets_no_two_of_five_families_apart() -> None:
    """All are one family, but for a loss that is one standard error better in the first and three worse in the last."""
    luck = {"a": -0.015, "b": 0.0, "c": 0.01, "d": 0.02, "e": 0.045}
    lucky, *others, unlucky = (at_a_cliff(*family) for family in luck.items())
    difference = _difference(lucky, unlucky, {c.family: c.frontiers(AT, c.seeds)[:, 0] for c in (lucky, unlucky)})
    assert difference is not None
    assert 10 * (p_value(difference) or 1.0) < 0.05  # ten pairs: the t test alone calls it a difference
    assert (ranked(lucky, *others, unlucky).apart, ranked(lucky, *others, unlucky).clear) == (0, 0)


def test_no_luck_in_the_losses_explains_families_that_differ_at_every_loss() -> None:
    assert ranked(at("a", 0.2, 0.05), at("b", 0.79, 0.05)).apart == 1


def test_twins_rarely_differ() -> None:
    """Ten twins in 100 worlds: a family-wise rate of 5 % gives more than nine once in forty times."""
    worlds = [[at(f"t{n}", 0.5, 0.05, 8, seed=100 * world + n) for n in range(10)] for world in range(100)]
    assert sum(ranked(*world).apart > 0 for world in worlds) <= 9


def test_families_without_numbers_are_not_ranked() -> None:
    assert ranking([Curve("a", "training", False, False, "accuracy", "worst", reason="no room")]) is None


@pytest.mark.parametrize(("number", "letters"), [(0, "a"), (25, "z"), (26, "aa"), (53, "bb"), (701, "zz"), (702, "aaa")])
def test_groups_have_letters(number: int, letters: str) -> None:
    assert letter(number) == letters


def test_a_rank_is_never_bare_where_others_could_have_it() -> None:
    result = ranked(*(at(f"f{n}", 0.5 + 0.05 * n, 0.1, seed=n) for n in range(5)))
    assert all(family.first <= number <= family.last for number, family in enumerate(result.families, start=1))
    assert any(family.first < family.last for family in result.families)
    assert np.diff([family.matched.value for family in result.families]).min() >= 0
