"""Curves, excesses and ranks of stated rows, whole and by an independent computation: points, seeds, reasons, verdicts."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from test_report_rules import BARE

from solidmark.errors import InvalidValue
from solidmark.leaderboard import curves, measures
from solidmark.schema.numbers import Estimate
from solidmark.schema.row import Attempt

ACCURACY, FRECHET = measures.AXES


def row(mitigation, seeds, stage="training", ok=True, **more):
    """A row whose seeds, in this order, have (accuracy, Fréchet distance, M)."""
    attempts = tuple(
        Attempt(seed, "ok", "", "", "", Estimate(m, m - 0.1, m + 0.1), accuracy=accuracy, frechet=frechet)
        for seed, (accuracy, frechet, m) in seeds.items()
    )
    known = {"queries": {}, "reason": "", "status": "ok"} if ok else {}
    family = mitigation.partition("(")[0]
    return replace(BARE, mitigation=mitigation, family=family, stage=stage, attempts=attempts, **{**known, **more})


NONE = row("none", {2: (0.8, 4.0, 0.9), 0: (0.5, 2.0, 0.8), 1: (1.0, 5.0, 0.7)}, "none")
X1 = row("x(a=1)", {1: (0.6, 6.0, 0.1), 2: (0.4, 4.0, 0.2), 0: (0.5, 3.0, 0.3)})
X2 = row("x(a=2)", {0: (0.25, 8.0, 0.15), 2: (0.2, 6.0, 0.05), 3: (0.1, 9.0, 0.6)})
X3 = row("x(a=3)", {1: (0.2, 2.0, 0.6)})
Y = row("y", {7: (0.2, 2.0, 0.6)}, "sampling")


def made(*rows, axis=ACCURACY):
    return curves.curves(rows, axis, measures.LEAD)


@pytest.mark.parametrize(("axis", "losses"), [(ACCURACY, [(0.0, 0.5), (0.5, 0.75)]), (FRECHET, [(0.5, 0.0), (3.0, 0.5)])])
def test_points_are_losses_against_the_baseline_of_the_same_seed_over_the_seeds_of_most_rows(axis, losses):
    first, second = made(X1, Y, NONE, X2, X3, axis=axis)
    assert [point.mitigation for point in first.points] == ["none", "x(a=1)", "x(a=2)"]
    assert [point.losses for point in first.points] == [pytest.approx(loss) for loss in [(0.0, 0.0), *losses]]
    assert [point.memories for point in first.points] == [(0.8, 0.9), (0.3, 0.2), (0.15, 0.05)]
    assert (first.family, first.stage, first.axis, first.measure, first.seeds) == (
        "x",
        "training",
        axis.name,
        "lead",
        (0, 2),
    )
    assert (first.left_out, first.reason) == ({"x(a=3)": "it was not measured with every seed of the others"}, "")
    lost = (second.family, second.stage, second.points, second.seeds, second.left_out, second.reason)
    assert lost == ("y", "sampling", (), (), {}, "no seed in common")


def test_seeds_of_a_curve_come_in_order():
    each = {9: (0.8, 4.0, 0.9), 8: (0.5, 2.0, 0.8), 1: (1.0, 5.0, 0.7)}  # a set of these is not in order
    (found,) = made(row("none", each, "none"), row("x", each))
    assert (found.seeds, found.points[1].memories) == ((1, 8, 9), (0.7, 0.8, 0.9))


def test_what_is_no_point_has_its_reason_and_a_family_of_such_rows_all_of_them_once():
    broken = [row(f"x(a={n})", {0: (0.5, 2.0, 0.5)}, ok=False, reason=why) for n, why in ((4, "no room"), (5, "late"))]
    broken.append(replace(broken[0], mitigation="x(a=6)"))
    silent = replace(broken[0], mitigation="x(a=7)", reason="", status="timeout")
    without = row("x(a=8)", {0: (None, 2.0, 0.5), 1: (0.5, 2.0, 0.5)})
    told = {"x(a=4)": "no room", "x(a=5)": "late", "x(a=6)": "no room", "x(a=7)": "timeout", "x(a=8)": curves.NO_CLASS}
    (alone,) = made(NONE, *broken, silent, without)
    assert (alone.left_out, alone.points) == (told, ())
    assert alone.reason == f"no room; late; timeout; {curves.NO_CLASS}"
    (both,) = made(NONE, X1, *broken, silent, without)
    assert (both.left_out, both.reason, both.seeds) == (told, "", (0, 1, 2))
    (distance,) = made(NONE, without, axis=FRECHET)
    assert (distance.seeds, distance.left_out) == ((0, 1), {})


@pytest.mark.parametrize(
    ("baseline", "reason"),
    [
        ([], "the baseline has no numbers"),
        ([replace(NONE, queries=None, reason="it broke")], "the baseline: it broke"),
        ([row("none", {0: (0.0, 2.0, 0.9), 1: (0.5, 2.0, 0.9)}, "none")],
         "the baseline: its accuracy is 0, so that there is no relative loss"),
        ([row("none", {0: (None, 2.0, 0.9)}, "none")], f"the baseline: {curves.NO_CLASS}"),
    ],
)  # fmt: skip
def test_without_a_baseline_that_has_numbers_every_family_says_why(baseline, reason):
    stop = replace(X1, family="stop", control=True, reference_curve=True)
    gold = replace(X1, family="gold", control=True, needs=("forget list",))
    found = made(*baseline, X1, stop, gold)
    assert [(one.family, one.control, one.reference, one.gold) for one in found] == [
        ("x", False, False, False), ("stop", True, True, False), ("gold", True, False, True),
    ]  # fmt: skip
    assert {(one.reason, one.points, tuple(one.left_out)) for one in found} == {(reason, (), ())}


@pytest.mark.parametrize(
    ("offered", "seeds"),
    [
        ([{0, 1, 2}, {0, 1, 2}, {0}], {0, 1, 2}),
        ([{0, 1, 2, 3}, {0, 1}, {0, 1}], {0, 1}),
        ([{0, 1, 9}, {0, 9}], {0, 1}),
        ([{0, 1}, {2, 3}], {0, 1}),
        ([{5}], set()),
        ([], set()),
    ],
)
def test_seeds_of_a_family_keep_most_of_it_and_are_those_of_the_baseline(offered, seeds):
    rows = [SimpleNamespace(seeds=tuple(one)) for one in offered]
    assert curves._paired_seeds(rows, SimpleNamespace(seeds=(0, 1, 2, 3))) == seeds


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_frontier_is_the_least_of_any_point_or_coin(count):
    rng = np.random.default_rng(count)
    losses, memories = np.r_[0.0, rng.uniform(-0.1, 0.5, count - 1)], rng.uniform(0, 1, count)
    at = np.r_[0.0, losses[losses > 0], 0.3, 0.7]

    def least(most):
        """Every coin between two points, at the share of the second that loses no more than this."""
        best = min(m for loss, m in zip(losses, memories) if loss <= most)
        for a, b in itertools.permutations(range(count), 2):
            if losses[a] <= most < losses[b]:
                share = (most - losses[a]) / (losses[b] - losses[a])
                best = min(best, (1 - share) * memories[a] + share * memories[b])
        return best

    assert curves.frontier(losses, memories, at) == pytest.approx([least(most) for most in at])


def test_each_loss_needs_a_point_that_loses_as_little_and_every_number_is_finite():
    for losses, at in (([0.05, 0.2], [0.1, 0.04]), ([0.05], [0.0])):
        with pytest.raises(InvalidValue, match=r"losses .*one of at most 0(\.04)?\. Put"):
            curves.frontier(np.array(losses), np.array(losses), np.array(at))
    assert curves.frontier(np.array([0.05]), np.array([0.3]), np.array([0.05])) == pytest.approx([0.3])
