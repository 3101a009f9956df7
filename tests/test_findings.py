"""Findings: intervals over seeds, verdicts, and crossings that say when they are bounds only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from solidmark.errors import InvalidValue
from solidmark.findings import Crossing, Verdict, all_of, crossing, decide, decide_passed, over_seeds
from solidmark.metrics.scores import Estimate

HOLDS, FAILS, UNDECIDED = Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=8).filter(lambda values: np.std(values) > 1e-6))
def test_the_interval_over_seeds_is_students(values):
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    found = over_seeds(values)
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), low, high))


def test_two_seeds_are_no_interval():
    with pytest.raises(InvalidValue, match="2 seeds"):
        over_seeds([0.1, 0.2])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.3, 0.6, HOLDS), (0.1, 0.3, UNDECIDED), (0.0, 0.1, FAILS), (0.9, 1.0, FAILS), (0.6, 0.9, UNDECIDED)],
)
def test_a_verdict_asks_where_the_whole_interval_lies(low, high, verdict):
    assert decide(Estimate((low + high) / 2, low, high, 0.1), above=0.2, below=0.8) is verdict


def test_a_rule_that_fails_outweighs_one_that_is_undecided():
    assert all_of([HOLDS, UNDECIDED, FAILS]) is FAILS
    assert all_of([HOLDS, UNDECIDED]) is UNDECIDED
    assert all_of([HOLDS, HOLDS]) is HOLDS


def test_a_crossing_lies_between_its_points_in_log_steps():
    found = crossing({100: 0.0, 400: 1.0}, 0.5)
    assert (found.at, found.passed) == (pytest.approx(200), True)


@pytest.mark.parametrize(("curve", "end"), [({100: 0.0, 400: 0.49}, 400), ({100: 0.6, 400: 0.9}, 100)])
def test_a_level_that_is_not_passed_in_between_is_a_bound_and_decides_nothing(curve, end):
    found = crossing(curve, 0.5)
    assert (found.at, found.passed) == (pytest.approx(end), False)
    for verdict in Verdict:
        assert decide_passed([Crossing(200, True), found], verdict) is UNDECIDED
        assert decide_passed([Crossing(200, True)], verdict) is verdict


def test_a_dip_after_the_rise_does_not_move_the_crossing():
    assert crossing({100: 0.0, 200: 0.8, 400: 0.4, 800: 0.9}, 0.5) == crossing({100: 0.0, 200: 0.8, 400: 0.8, 800: 0.9}, 0.5)
