"""Excesses, comparisons and ranks of stated curves, whole and by hand: gaps, corrections, reasons, intervals."""

import itertools
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from test_curve_rules import NONE, X1, X3, row

from solidmark.leaderboard import excess, matched, ranking
from solidmark.leaderboard.curves import Curve, Point
from solidmark.leaderboard.excess import CurveVerdict, Excess
from solidmark.leaderboard.joint_curve import JointCurve, joint_curve
from solidmark.schema.numbers import Estimate


def curve(family, by=0.0, seeds=(0, 1, 2, 3, 4, 5), noise=0.01, **more):
    """A family that remembers less by so much at every loss, with numbers of each seed."""
    drawn = noise * np.random.default_rng(sum(map(ord, family))).standard_normal((3, len(seeds)))
    whole = zip((0.0, 0.1, 0.4), (0.9, 0.6, 0.5), drawn, strict=True)
    points = tuple(Point(f"{family}({x})", (x,) * len(seeds), tuple(m - by + d)) for x, m, d in whole)
    known = {"stage": "training", "control": False, "reference": False, "axis": "accuracy", "measure": "worst", **more}
    return Curve(family=family, seeds=seeds, points=points, **known)


STOP = curve("stop", reference=True, control=True)


def test_each_family_is_compared_with_each_reference_of_its_stages_and_corrected_for_all():
    guide = curve("guide", 0.1, stage="sampling", reference=True)
    few = curve("few", 0.3, seeds=(4, 5, 6))
    none = replace(curve("none"), points=(), seeds=(), reason="no room")
    gold = curve("gold", gold=True)
    both = curve("both", 0.3, stage="training+sampling")
    alone = curve("alone", 0.2, stage="post-hoc")
    found = excess.excesses([STOP, guide, both, few, none, gold, alone])
    assert [(one.family, one.stage, one.reference) for one in found] == [
        ("both", "training+sampling", "stop"), ("both", "training+sampling", "guide"), ("few", "training", "stop"),
        ("none", "training", "stop"), ("alone", "post-hoc", None),
    ]  # fmt: skip
    assert [one.seeds for one in found] == [STOP.seeds, STOP.seeds, (4, 5), (), ()]
    assert {(one.axis, one.measure) for one in found} == {("accuracy", "worst")}
    raw = [stats.ttest_1samp(gaps(both, other), 0).pvalue for other in (STOP, guide)]
    order = np.argsort(raw)
    adjusted = np.empty(2)
    adjusted[order] = np.maximum.accumulate(np.array(raw)[order] * (2, 1))
    assert [one.p for one in found] == [pytest.approx(adjusted[0]), pytest.approx(adjusted[1]), None, None, None]
    assert [one.comparisons for one in found] == [2, 2, 2, 0, 0]
    assert [one.verdict.value for one in found] == ["real", "real", "undecided", "undecided", "undecided"]
    assert [one.reason for one in found] == [
        "below its reference", "below its reference", "2 seeds: an interval over seeds needs 3", "no room",
        "no reference of stage post-hoc is among the records",
    ]  # fmt: skip


def gaps(family, reference):
    """The area between two falling convex curves, of each seed, over its width: by hand, along their chords."""
    at = np.linspace(0, 0.25, 26)

    def areas(one):
        return np.array([np.interp(at, [0.0, 0.1, 0.4], m) for m in np.array([p.memories for p in one.points]).T])

    return np.trapezoid(areas(reference) - areas(family), at, axis=1) / 0.25


def test_an_excess_is_the_mean_gap_with_students_interval_over_its_seeds():
    family = curve("x", 0.2)
    found, each = excess.between(family, STOP), gaps(family, STOP)
    interval = stats.ttest_1samp(each, 0).confidence_interval()
    assert (found.value, found.low, found.high, found.count) == pytest.approx((each.mean(), *interval, 6))
    assert excess.between(family, curve("other", seeds=(9,))) is None


@pytest.mark.parametrize(
    ("estimate", "p", "reasons"),
    [
        (Estimate(0.1), None, {"p": "too few seeds for a p-value: 2, of at least 6"}),
        (Estimate(0.1), 0.5, {}),
        (None, None, {"p": "why"}),
    ],
)
def test_an_excess_without_a_p_value_says_why(estimate, p, reasons):
    one = Excess("x", "training", None, "accuracy", "worst", (0, 1), estimate, p, 3, CurveVerdict.EQUAL, "why")
    assert one.to_json() == {**asdict(one), "verdict": "equal", "reasons": reasons}


@pytest.mark.parametrize(
    ("estimate", "p", "reason"),
    [
        (Estimate(0.1, count=1), None, "1 seed: an interval over seeds needs 3"),
        (Estimate(0.1, count=2), None, "2 seeds: an interval over seeds needs 3"),
        (Estimate(0.01, -0.05, 0.05), 0.9, "within ±0.05"),
        (Estimate(0.2, 0.0, 0.4), 0.9, "its interval holds 0"),
        (Estimate(-0.2, -0.4, 0.0), 0.9, "its interval holds 0"),
        (Estimate(0.2, 0.1, 0.3), 0.06, "not significant among so many comparisons"),
        (Estimate(0.04, 0.01, 0.07), 0.01, "not 0, but less than 0.05"),
        (Estimate(0.2, 0.1, 0.3), 0.05, "below its reference"),
        (Estimate(-0.2, -0.3, -0.1), 0.05, "above its reference"),
    ],
)
def test_a_verdict_has_the_first_reason_that_applies(estimate, p, reason):
    assert excess.judge(estimate, p)[1] == reason


# The comparison, and ranks


def test_a_comparison_has_all_axes_and_measures_and_content_where_a_row_was_read_by_it():
    stop = row("stop", {0: (0.5, 2.0, 0.6), 1: (1.0, 5.0, 0.5)}, control=True, reference_curve=True)
    rows = [NONE, X1, stop]
    found = matched.matched_comparison("digits", {"name": "fast"}, rows)
    pairs = [(axis, measure) for axis in ("accuracy", "frechet") for measure in ("worst", "lead")]
    assert [(one.axis, one.measure) for one in found.curves] == [pair for pair in pairs for _ in range(2)]
    assert [(one.axis, one.measure) for one in found.excesses] == pairs
    assert [one.keys.axis for one in found.verdicts] == ["accuracy", "frechet"]
    assert [(one.axis, one.measure) for one in found.rankings] == [("accuracy", "lead"), ("frechet", "lead")]
    assert (found.testbed, found.solver, found.axis, found.keys_only) == ("digits", {"name": "fast"}, "accuracy", True)
    assert [one.family for one in found.curves_on("frechet", "lead")] == ["x", "stop"]
    shown = matched.matched_comparison("digits", {}, [*rows, replace(X3, family="z", content=1)])
    assert [one.measure for one in shown.curves_on("accuracy", "content")] == ["content"] * 3


def test_the_worse_of_both_leads_where_a_family_was_read_by_both():
    keys, content = curve("x", 0.5), curve("x", 0.1, measure="content")
    alone = curve("y", 0.3)
    apart = curve("z"), curve("z", seeds=(9,), measure="content")
    one = matched.MatchedComparison("digits", {}, (keys, alone, content, *apart), (), ())
    (worse,) = one.worse_on("accuracy")
    assert isinstance(worse, JointCurve)
    assert (worse.keys, worse.content, worse.family) == (keys, content, "x")
    assert one.worse_on("frechet") == []
    assert matched.MatchedComparison("digits", {}, (keys, alone), (), ()).worse_on("accuracy") == [keys, alone]
    by_keys, by_both = (SimpleNamespace(axis="accuracy", measure=measure) for measure in ("worst", "both"))
    for rankings, first in (((by_keys, by_both), by_both), ((by_keys,), by_keys), ((), None)):
        assert replace(one, rankings=rankings).leading_ranking("accuracy") is first
    assert replace(one, rankings=(by_keys, by_both)).leading_ranking("frechet") is None


def at(family, m, seeds=(0, 1, 2, 3), noise=0.02, loss=0.04, **more):
    """A family whose one setting loses as much and leaves `m`, with noise of each seed."""
    left = m + noise * np.random.default_rng(ord(family[0])).standard_normal(len(seeds))
    points = (
        Point("none", (0.0,) * len(seeds), (0.9,) * len(seeds)),
        Point(f"{family}(1)", (loss,) * len(seeds), tuple(left)),
    )
    return Curve(**{"family": family, "stage": "training", "control": False, "reference": False, "axis": "accuracy",
                    "measure": "lead", "seeds": seeds, "points": points, **more})  # fmt: skip


def test_a_ranking_is_that_of_intervals_and_paired_tests_by_hand():
    each = [at("a", 0.5, control=True), at("b", 0.1), at("c", 0.14, reference=True), at("d", 0.8, stage="sampling"),
            at("e", 0.11, seeds=(2, 3)), at("f", 0.47), at("g", 0.0, gold=True), at("h", 0.0, loss=0.051),
            replace(at("i", 0.0), points=())]  # fmt: skip
    found = ranking.ranking(each)
    settings = {one.family: np.array(one.points[1].memories) for one in each[:6]}
    order = sorted(settings, key=lambda name: settings[name].mean())
    assert [one.family for one in found.families] == order
    ends = {name: stats.t.interval(0.95, 3, m.mean(), stats.sem(m)) for name, m in settings.items() if len(m) > 2}
    clear = {(a, b) for a, b in itertools.permutations(ends, 2) if ends[a][1] < ends[b][0]}
    pairs = list(itertools.combinations(ends, 2))
    raw = [stats.ttest_rel(settings[a], settings[b]).pvalue for a, b in pairs]
    apart = sum(bool(p <= 0.05) for p in stats_holm(raw))
    for one in found.families:
        above, below = (sum(pair[side] == one.family for pair in clear) for side in (1, 0))
        source = next(curve for curve in each if curve.family == one.family)
        assert (one.first, one.last) == (1 + above, 6 - below)
        assert (one.stage, one.control, one.reference) == (source.stage, source.control, source.reference)
        assert (one.matched.value, one.setting) == (pytest.approx(settings[one.family].mean()), f"{one.family}(1)")
    assert (found.axis, found.measure, found.pairs, found.clear, found.apart) == ("accuracy", "lead", 10, len(clear), apart)
    assert 0 < len(clear) < apart < 10
    assert found.reason.startswith(f"the intervals of {len(clear)} of 10 pairs of families are apart, of {apart} after")
    assert found.unranked == {
        "g": "the gold standard, which never saw the images", "h": "no setting of it loses at most 5 % of the utility",
    }  # fmt: skip
    assert found.to_json()["families"][-1]["ranks"] == "5-6"


def stats_holm(p):
    """Holm's step-down by its words: reject the smallest at level / m, the next at level / (m - 1), until one stands."""
    adjusted, most = dict.fromkeys(range(len(p)), 0.0), 0.0
    for step, index in enumerate(sorted(adjusted, key=lambda one: p[one])):
        adjusted[index] = most = max(most, (len(p) - step) * p[index])
    return list(adjusted.values())


def test_losses_are_moved_by_half_to_a_hundred_standard_errors():
    assert pytest.approx(0.5 * 200 ** (np.arange(40) / 39)) == ranking.MOVES
    assert pytest.approx(np.arange(26) / 100) == excess.RANGE


def test_luck_in_the_losses_is_taken_against_the_finding_and_counts_at_its_level(monkeypatch):
    less, more = at("a", 0.1, seeds=(0, 1, 2, 3)), at("b", 0.5, seeds=(1, 2, 3, 4))
    asked, by_losses = [], [0.05]
    monkeypatch.setattr(ranking, "_moved", lambda curve, seeds, sign: asked.append((curve.family, seeds, sign)) or sign)
    monkeypatch.setattr(ranking, "_p_of_losses", lambda one, other, seeds: by_losses[0] + (one, other, seeds).count(-9))
    ordered = [(one, one.at(0.05)) for one in (less, more)]
    assert ranking._clear(ordered) == [(0, 1)]
    assert asked == [("a", (1, 2, 3), 1), ("b", (1, 2, 3), -1)]
    asked.clear()
    assert ranking._apart([more, less]) == ([(1, 0)], 1)
    assert asked == [("a", (1, 2, 3), 1), ("b", (1, 2, 3), -1)]
    by_losses[0] = 0.0501
    assert (ranking._clear(ordered), ranking._apart([less, more])) == ([], ([], 1))
    touching = [(one, replace(found, low=0.2, high=0.2)) for one, found in ordered]
    by_losses[0] = 0.0
    assert ranking._clear(touching) == []


@pytest.mark.parametrize(("p", "by_losses", "apart"), [(0.05, 0.05, 1), (0.05, 0.06, 0), (0.0501, 0.0, 0), (0.01, 0.04, 1)])
def test_a_pair_is_apart_where_both_tests_say_so_at_five_percent(monkeypatch, p, by_losses, apart):
    monkeypatch.setattr(ranking, "p_value", lambda estimate: p)
    monkeypatch.setattr(ranking, "_p_of_losses", lambda one, other, seeds: by_losses)
    pairs, tested = ranking._apart([at("a", 0.1), at("b", 0.5)])
    assert (pairs, tested) == ([(0, 1)] * apart, 1)


def test_a_joint_curve_needs_a_seed_in_common_and_has_what_its_keys_are():
    keys, content = (
        curve("x", 0.2, seeds=(0, 1, 2), control=True, reference=True),
        curve("x", seeds=(2, 1, 7), measure="content"),
    )
    found = joint_curve(keys, content)
    assert JointCurve("x", "", False, False, "", "").keys == Curve("", "", False, False, "", "")
    assert (found.seeds, found.measure, found.control, found.reference) == ((1, 2), "both", True, True)
    assert joint_curve(keys, replace(content, seeds=(7, 8, 9))) is None
    at_ = np.array([0.0, 0.05, 0.1, 0.3])
    whole = found.frontiers(at_, (1, 2))
    k, c = (np.array([[p.memories[one.seeds.index(s)] for s in (1, 2)] for p in one.points]) for one in (keys, content))
    for row_, few in zip(whole, ([0, 1], [1], [0]), strict=True):
        mixed = [
            np.interp(at_, [0.0, 0.1, 0.4], (share * k + (1 - share) * c)[:, few].mean(axis=1))
            for share in np.linspace(0, 1, 21)
        ]
        assert row_ == pytest.approx(np.max(mixed, axis=0))
