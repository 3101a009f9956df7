"""How two testbeds agree, by small cases: which rankings are compared, in what order, how many verdicts are the same."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from solidmark.leaderboard import agreement
from solidmark.leaderboard.agreement import Agreement, agreements, rank_correlation
from solidmark.leaderboard.excess import CurveVerdict
from solidmark.schema.numbers import Estimate


def ranked(left):
    """A ranking of families by what is left; None of none."""
    families = [SimpleNamespace(family=name, matched=Estimate(value), reference=name == "r") for name, value in left.items()]
    return SimpleNamespace(families=families) if left else None


def comparison(leading, keys=None, *, keys_only=False, **verdicts):
    """A comparison on the axis `frechet` with a ranking by the worse of both, another by keys, and verdicts of families."""
    by = {("frechet", "worst"): ranked(keys or {})}
    return SimpleNamespace(
        axis="frechet",
        keys_only=keys_only,
        verdicts={name: SimpleNamespace(verdict=verdict) for name, verdict in verdicts.items()},
        leading_ranking={"frechet": ranked(leading)}.get,
        ranking_on=lambda axis, measure: by[axis, measure],
    )


@pytest.fixture(autouse=True)
def _verdicts_as_stated(monkeypatch):
    monkeypatch.setattr(agreement, "hardest", lambda one: one.verdicts)


FIVE = {"a": 0.5, "b": 0.1, "c": 0.3, "d": 0.2, "e": 0.4}
OTHER = {"e": 0.3, "d": 0.1, "c": 0.9, "x": 0.7, "b": 0.2, "a": 0.6}


def test_families_of_both_are_paired_in_the_order_of_the_first_and_verdicts_counted():
    first = comparison(FIVE, a="real", b="equal", c="worse", gone="real")
    second = comparison(OTHER, b="equal", c="real", a="real", other="real")
    found = agreement.agreement("one", "two", first, second)
    left = (("a", 0.5, 0.6), ("b", 0.1, 0.2), ("c", 0.3, 0.9), ("d", 0.2, 0.1), ("e", 0.4, 0.3))
    expected = rank_correlation([0.5, 0.1, 0.3, 0.2, 0.4], [0.6, 0.2, 0.9, 0.1, 0.3])
    assert found == Agreement("one", "two", left, expected, 2, 3, "", 0, expected)
    assert found.to_json()["reasons"] == {}
    assert (found.to_json()["correlation"]["value"], found.to_json()["judged"]) == (expected.value, 3)


def test_families_that_do_nothing_on_either_are_counted_and_the_others_have_a_correlation_of_their_own():
    idle = {"u": 1.0, "v": 0.995, "w": 1.0}
    sides = (comparison({**left, **idle, "r": 0.0}) for left in (FIVE, OTHER))  # r is a reference
    found = agreement.agreement("one", "two", *sides)
    assert (len(found.left), found.idle) == (8, 3)
    assert found.moving == rank_correlation([0.5, 0.1, 0.3, 0.2, 0.4], [0.6, 0.2, 0.9, 0.1, 0.3])
    few = agreement.agreement("one", "two", *(comparison({"a": 0.5, **idle, "b": 1.0}) for _ in range(2)))
    assert few.moving is None
    assert few.to_json()["reasons"] == {"moving": "families that do something on either: 1, of at least 5"}


@pytest.mark.parametrize(("one", "other", "values"), [(False, False, 0.1), (True, True, 0.1), (True, False, 0.9)])
def test_rankings_by_both_yardsticks_are_compared_where_both_know_both_or_neither_does(one, other, values):
    sides = [comparison({"a": 0.1}, {"a": 0.9}, keys_only=keys_only) for keys_only in (one, other)]
    found = agreement.agreement("one", "two", *sides)
    assert found.left == (("a", values, values),)


def test_what_both_leave_undecided_is_no_agreement():
    sides = [comparison(FIVE, a=CurveVerdict.UNDECIDED, b=CurveVerdict.REAL, c=one) for one in CurveVerdict]
    counted = [(found.same, found.judged) for side in sides for found in [agreement.agreement("one", "two", sides[0], side)]]
    assert counted == [(2, 2), (1, 2), (1, 2), (1, 1)]


def test_few_families_or_equal_ones_have_no_correlation_but_a_reason():
    four = comparison({name: value for name, value in FIVE.items() if name != "e"})
    found = agreement.agreement("one", "two", four, comparison(OTHER, b="real"))
    assert found.correlation is None
    assert (len(found.left), found.same, found.judged) == (4, 0, 0)
    assert found.reason == "4 families are ranked on both, of at least 5"
    equal = agreement.agreement("one", "two", comparison(FIVE), comparison(dict.fromkeys(FIVE, 0.5)))
    assert (equal.correlation, equal.reason) == (None, "on one of them all families are equal")
    assert equal.to_json()["reasons"]["correlation"] == equal.reason
    nothing = agreement.agreement("one", "two", comparison({}), comparison(FIVE))
    assert (nothing.left, nothing.reason[:10]) == ((), "0 families")


def test_every_two_testbeds_are_compared_in_their_order():
    titles = ["first", "second", "third"]
    found = agreements(titles, [comparison({"a": value}) for value in (0.1, 0.2, 0.3)])
    assert [(one.one, one.other, one.left) for one in found] == [
        ("first", "second", (("a", 0.1, 0.2),)),
        ("first", "third", (("a", 0.1, 0.3),)),
        ("second", "third", (("a", 0.2, 0.3),)),
    ]
    with pytest.raises(ValueError, match="shorter"):
        agreements(titles, [comparison({"a": 0.1})])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_correlation_has_an_interval_that_all_but_touches_it(sign):
    found = rank_correlation([1.0, 2.0, 3.0, 4.0, 5.0], [sign * value for value in (2.0, 3.0, 5.0, 7.0, 11.0)])
    bent = sign * (1 - 1e-9)
    ends = np.tanh(np.arctanh(bent) + np.array([-1, 1]) * stats.norm.ppf(0.975) * np.sqrt(1.5 / 2))
    assert found == Estimate(pytest.approx(sign), pytest.approx(ends[0]), pytest.approx(ends[1]), None, 0.0, 5)
    assert 1 - abs(np.array(found.limits)).min() == pytest.approx(1 - abs(ends).min(), rel=1e-6)


def test_a_correlation_has_both_limits_on_the_scale_of_atanh():
    one, other = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [0.2, 0.1, 0.5, 0.3, 0.4, 0.9, 0.6]
    found, rho = rank_correlation(one, other), stats.spearmanr(one, other).statistic
    margin = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / 4)
    low, high = np.tanh(np.arctanh(rho) - margin), np.tanh(np.arctanh(rho) + margin)
    assert found == Estimate(pytest.approx(rho), pytest.approx(low), pytest.approx(high), None, 0.0, 7)
    assert rank_correlation([0.1, 0.2, 0.3], [0.5, 0.5, 0.5]) is None
    assert rank_correlation([0.5, 0.5, 0.5], [0.1, 0.2, 0.3]) is None
