"""Where a row lies, by hand-made curves: its point, the gap to its reference, the hardest one, what it wears, its order."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from solidmark.leaderboard import answer, placing, standing
from solidmark.leaderboard.curves import Curve, Point
from solidmark.leaderboard.excess import CurveVerdict, Excess
from solidmark.leaderboard.matched import MatchedComparison
from solidmark.leaderboard.placing import Place, Role
from solidmark.leaderboard.yardsticks import JointVerdict
from solidmark.schema.numbers import Estimate

REAL, EQUAL, UNDECIDED, WORSE = CurveVerdict.REAL, CurveVerdict.EQUAL, CurveVerdict.UNDECIDED, CurveVerdict.WORSE
WORDS = {REAL: "below", EQUAL: "within", UNDECIDED: "open", WORSE: "above"}
LOSSES = (0.0, 0.1, 0.2, 0.4)
RNG = np.random.default_rng(7)


def memories(seeds):
    """Settings by seeds, (4, S): convex and falling in each seed."""
    return np.cumsum([[0.9] * seeds, [-0.3] * seeds, [-0.2] * seeds, [-0.1] * seeds], axis=0) + RNG.normal(
        0, 0.02, (1, seeds)
    )


def curve(family, values, seeds, measure="worst", axis="accuracy", stage="training", losses=LOSSES, left_out=None):
    points = [Point("none", (0.0,) * len(seeds), tuple(values[0]))] if len(values) else []
    points += (
        [
            Point(f"{family}({n})", (loss,) * len(seeds), tuple(each))
            for n, (loss, each) in enumerate(zip(losses[1:], values[1:], strict=True), 1)
        ]
        if len(values)
        else []
    )
    return Curve(family, stage, False, family == "stop", axis, measure, tuple(seeds), tuple(points), left_out or {})


def excess(family, value, kind=REAL, reference="stop", measure="worst", axis="accuracy"):
    estimate = None if value is None else Estimate(value)
    return Excess(family, "training", reference, axis, measure, (0,), estimate, None, 0, kind, "")


def joint(family, kind, keys=0.3, content=None, reference="stop", axis="accuracy"):
    shown = None if content is None else excess(family, content, kind, reference, "content", axis)
    return JointVerdict(excess(family, keys, kind, reference, axis=axis), shown, None, kind, "keys", WORDS[kind])


def row(name, stage="training", reason="", **more):
    fields = {"control": False, "reference_curve": name.startswith("stop"), "needs": (), "baseline": stage == "none"}
    fields |= {"mitigation": name, "family": name.partition("(")[0], "stage": stage, "reason": reason}
    return SimpleNamespace(**{**fields, **more})


def compared(*curves, verdicts=(), axis="accuracy"):
    return MatchedComparison("digits", {}, curves, (), (), tuple(verdicts))


def expected_gap(bar, own, seeds, loss):
    """The bar at a loss less a setting, over seeds, with the jackknife; `bar` and `own` by seed."""

    def at(few):
        heights = np.mean([bar[seed] for seed in few], axis=0)
        return np.interp(loss, LOSSES, heights) - np.mean([own[seed] for seed in few])

    without = np.array([at([seed for seed in seeds if seed != out]) for out in seeds]) if len(seeds) > 1 else np.array([])
    if len(seeds) < 3:
        return Estimate(at(seeds), count=len(seeds))
    error = np.sqrt((len(seeds) - 1) * np.var(without))
    half = stats.t.ppf(0.975, len(seeds) - 1) * error
    return Estimate(at(seeds), at(seeds) - half, at(seeds) + half, error, count=len(seeds))


@pytest.mark.parametrize(
    ("seeds", "losses"),
    [((0, 1, 2, 3), LOSSES), ((5, 2, 1, 0), (0.0, -0.1, 0.15, 0.3)), ((9, 1), LOSSES), ((2, 1), LOSSES), ((7, 8), LOSSES)],
)
def test_a_gap_is_the_references_frontier_at_the_loss_of_a_setting_less_the_setting_over_the_seeds_of_both(seeds, losses):
    bars, each = memories(4), memories(len(seeds)) - 0.2
    reference, own = curve("stop", bars, range(4)), curve("x", each, seeds, losses=losses)
    other = curve("stop", bars + 1, range(4), axis="frechet")
    empty, beside = curve("stop", [], ()), curve("beside", bars + 1, range(4))
    comparison = compared(beside, other, empty, reference, own)
    common = [seed for seed in seeds if seed < 4]
    for place, point in enumerate(own.points):
        found = placing._below(comparison, "worst", "stop", own, point)
        if not common:
            assert found is None
            continue
        loss = min(max(losses[place], 0.0), 0.25)
        told = expected_gap(bars.T, dict(zip(seeds, each[place])), common, loss)
        assert [*vars(found).values()] == pytest.approx([*vars(told).values()])
    assert placing._below(comparison, "worst", "absent", own, own.points[1]) is None
    assert placing._below(comparison, "content", "stop", own, own.points[1]) is None


KEYS, SHOWN = memories(3), memories(3)
STOP = [curve("stop", KEYS, range(3)), curve("stop", SHOWN + 0.05, range(3), "content")]
OWN = [curve("x", KEYS - 0.3, range(3)), curve("x", SHOWN - 0.1, range(3), "content")]
LAX = [*STOP, *OWN]


def gap(measures, n=1):
    each = {"worst": (KEYS, KEYS - 0.3), "content": (SHOWN + 0.05, SHOWN - 0.1)}
    found = [
        expected_gap(bars.T, dict(enumerate(own[n])), range(3), min(LOSSES[n], 0.25))
        for bars, own in (each[m] for m in measures)
    ]
    return min(found, key=lambda one: one.value)


def near(found, expected):
    """Whether a place is as expected, numbers to rounding."""
    one, other = ({**vars(place), "gap": place.gap and tuple(vars(place.gap).values())} for place in (found, expected))
    gaps = one.pop("gap"), other.pop("gap")
    assert one == pytest.approx(other)
    assert gaps[0] == (gaps[1] and pytest.approx(gaps[1]))


@pytest.mark.parametrize(
    ("curves", "verdict", "gaps"),
    [
        (LAX, joint("x", REAL, 0.3, 0.1), ("worst", "content")),
        (LAX, joint("x", WORSE, 0.3), ("worst",)),
        (LAX, joint("x", REAL, reference=None), ()),
        ([*STOP, OWN[0]], joint("x", REAL, 0.3, 0.1), ()),
        ([*STOP, OWN[1]], joint("x", REAL, 0.3, 0.1), ()),
        ([STOP[0], *OWN], joint("x", REAL, 0.3, 0.1), ()),
        ([STOP[1], *OWN], joint("x", REAL, 0.3), ()),
        (LAX, joint("y", REAL), None),
    ],
)  # fmt: skip
def test_a_place_has_what_is_left_by_each_yardstick_and_the_gap_by_the_one_that_says_less(curves, verdict, gaps):
    for n, loss in ((1, 0.1), (2, 0.2), (3, 0.4)):
        (found,) = placing.places(compared(*curves, verdicts=[verdict]), [row(f"x({n})")]).values()
        keys, content = [values[n].mean() if one in curves else None for values, one in zip((KEYS - 0.3, SHOWN - 0.1), OWN)]
        below = gap(gaps, n) if gaps else None
        judged = None if gaps is None else verdict
        worn, reason = placing._worn(judged, loss, below)
        near(found, Place(Role.FAMILY, 1 - loss, keys, content, below, judged, worn, reason))


@pytest.mark.parametrize(
    ("verdict", "loss", "value", "worn", "words"),
    [
        (None, 0.1, 0.3, None, ""),
        (REAL, 0.1, None, None, "below"),
        (REAL, 0.25, 0.3, REAL, "below"),
        (REAL, 0.251, 0.3, None, "loses 25 % of the utility: families are compared up to 25 %"),
        (REAL, 0.1, 0.05, REAL, "below"),
        (
            REAL,
            0.1,
            0.049,
            None,
            "its family is real, but this setting leaves no less than the reference at the same utility",
        ),
        (WORSE, 0.1, -0.05, WORSE, "above"),
        (
            WORSE,
            0.1,
            -0.049,
            None,
            "its family is worse, but this setting leaves no more than the reference at the same utility",
        ),
        (
            WORSE,
            0.1,
            0.2,
            None,
            "its family is worse, but this setting leaves no more than the reference at the same utility",
        ),
        (EQUAL, 0.1, 0.0, EQUAL, "within"),
        (EQUAL, 0.1, -0.3, EQUAL, "within"),
        (UNDECIDED, 0.1, 0.01, UNDECIDED, "open"),
    ],
)
def test_a_row_wears_the_verdict_that_is_about_it(verdict, loss, value, worn, words):
    judged = None if verdict is None else joint("x", verdict)
    assert placing._worn(judged, loss, None if value is None else Estimate(value)) == (worn, words)


def test_the_baseline_is_the_first_point_of_a_curve_that_asks_all_queries_if_there_is_one():
    inner, outer = curve("x", KEYS, range(3)), curve("s", KEYS + 0.5, range(3), stage="training+sampling")
    empty = curve("e", [], ())
    none = row("none", "none")
    for curves, found in (
        ([empty, outer, inner, curve("z", KEYS + 0.1, range(3))], inner),
        ([empty, outer, curve("t", KEYS, range(3), stage="sampling")], outer),
    ):
        assert placing._find(compared(*curves), none, "worst") == (found, found.points[0])
    assert placing._find(compared(empty), none, "worst") is None
    near(placing.places(compared(*LAX), [none])["none"], Place(Role.BASELINE, 1.0, KEYS[0].mean(), SHOWN[0].mean() + 0.05))


def test_a_row_is_found_on_the_curve_of_its_family_among_its_settings():
    for n in (1, 2, 3):
        assert placing._find(compared(*LAX), row(f"x({n})"), "content") == (OWN[1], OWN[1].points[n])
    for name in ("x(9)", "y(1)"):
        assert placing._find(compared(*LAX), row(name), "worst") is None
    assert placing._find(compared(*LAX), row("none", family="x"), "worst") is None
    found = placing.places(compared(*LAX, verdicts=[joint("stop", REAL)]), [row("stop(2)"), row("x(1)")])
    near(found["stop(2)"], Place(Role.REFERENCE, 0.8, KEYS[2].mean(), SHOWN[2].mean() + 0.05))
    assert list(found) == ["stop(2)", "x(1)"]


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("x(8)", "broke", "too few"),
        ("x(9)", "broke", "broke"),
        ("x(9)", "", "not compared"),
        ("y(8)", "", "not compared"),
        ("y(8)", "late", "late"),
    ],
)
def test_a_row_that_lies_nowhere_has_its_reason(name, reason, words):
    curves = [curve("stop", KEYS, range(3), left_out={"x(8)": "not this", "x(9)": "nor this"})]
    curves += [
        curve("x", KEYS, range(3), left_out={"x(8)": "too few"}),
        curve("x", [], (), axis="frechet", left_out={"x(9)": "no"}),
    ]
    assert placing.places(compared(*curves), [row(name, reason=reason)]) == {name: Place(Role.FAMILY, reason=words)}


def test_the_hardest_reference_is_that_of_the_worse_verdict_then_of_the_least_excess():
    ways = [
        joint("x", WORSE, 0.9, reference="r0"),
        joint("x", UNDECIDED, None, reference="r1"),
        joint("x", UNDECIDED, 0.5, -0.2, reference="r2"),
        joint("x", UNDECIDED, -0.1, 0.5, reference="r3"),
        joint("x", UNDECIDED, 0.0, reference="r4"),
        joint("x", EQUAL, -0.9, reference="r5"),
        joint("x", REAL, 0.1, reference="r6"),
        joint("x", REAL, 0.2, 0.3, reference="r7"),
    ]
    shown = [curve("x", KEYS, range(3)), curve("x", KEYS, range(3), axis="frechet")]
    aside = [joint("y", REAL, -0.5, axis="frechet"), joint("x", WORSE, -5.0, axis="frechet")]
    for one, other in product(range(len(ways)), repeat=2):
        found = placing.hardest(compared(*shown, verdicts=[*aside, ways[one], joint("z", REAL), ways[other]]))
        assert {name: each.keys.reference for name, each in found.items()} == {"z": "stop", "x": f"r{min(one, other)}"}
    assert [placing.least(each) for each in ways[:4]] == [0.9, -np.inf, -0.2, -0.1]
    assert placing.least(joint("x", REAL, 0.5, None)) == 0.5


def test_a_row_is_baseline_gold_standard_reference_or_family():
    gold = {"control": True, "needs": ("forget list",)}
    given = [row("none", "none", **gold), row("x", **gold), row("stop"), row("x"), row("x", control=True)]
    assert [placing.role(one) for one in given] == [Role.BASELINE, Role.GOLD, Role.REFERENCE, Role.FAMILY, Role.FAMILY]
    assert placing.role(row("stop", control=True, needs=("forget list",))) is Role.REFERENCE
    gone = curve("again", KEYS, range(3))
    found = placing.places(compared(gone, verdicts=[joint("again", REAL)]), [row("again(1)", **gold)])["again(1)"]
    near(found, Place(Role.GOLD, 0.9, KEYS[1].mean()))


# What is shown


def test_rows_stand_in_their_order(monkeypatch):
    rows, comparison, facts = [row("b"), row("a"), row("none", "none"), row("c")], object(), object()
    left = {"b": 0.3, "a": 0.2, "none": None, "c": 0.25}
    placed = {name: Place(Role.BASELINE if name == "none" else Role.FAMILY, keys=keys) for name, keys in left.items()}
    monkeypatch.setattr(standing, "places", lambda *given: placed if given == (comparison, rows) else None)
    board = SimpleNamespace(
        of=lambda one: rows if one is facts else None, comparison=lambda one: comparison if one is facts else None
    )
    found = standing.standings(board, facts)
    assert [(one.row.mitigation, one.place) for one in found] == [(name, placed[name]) for name in ("none", "a", "c", "b")]


def test_an_answer_has_every_family_once_and_all_places_by_name(monkeypatch):
    comparison, none, gold = SimpleNamespace(unmeasured=()), row("none", "none"), row("gold(1)")
    rows = [row("b(1)"), gold, row("b(2)"), row("a(1)"), none, row("c(1)"), row("gold(2)"), row("a(2)")]
    left = {"b(1)": 0.3, "b(2)": 0.4, "a(1)": 0.35, "a(2)": 0.1, "gold(1)": 0.0, "gold(2)": 0.0, "none": 0.9, "c(1)": None}
    roles = {"gold": Role.GOLD, "none": Role.BASELINE}
    kept = {"b(1)": 0.9, "b(2)": 0.8, "a(1)": 0.6, "a(2)": None}
    placed = {n: Place(roles.get(n.partition("(")[0], Role.FAMILY), kept.get(n, 1.0), keys) for n, keys in left.items()}
    judged = {"a": joint("a", EQUAL), "b": joint("b", REAL, 0.1), "c": joint("c", REAL, 0.2)}
    monkeypatch.setattr(answer, "places", lambda *given: placed if given == (comparison, rows) else None)
    monkeypatch.setattr(answer, "hardest", lambda given: judged if given is comparison else None)
    found = answer.answer(comparison, rows)
    assert found == answer.Answer(
        (judged["c"], judged["b"], judged["a"]),
        tuple(answer.Shown(rows[n], placed[rows[n].mitigation]) for n in (0, 3)),
        tuple(answer.Shown(rows[n], placed[rows[n].mitigation]) for n in (1, 6)),
        answer.Shown(none, placed["none"]),
        placed,
        (1, 1),
    )
    assert [found.of(kind) for kind in (REAL, WORSE)] == [[judged["c"], judged["b"]], []]
