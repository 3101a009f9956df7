"""Two yardsticks against plain computations: the joint verdict and its words, one coin for both, measures."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from solidmark.leaderboard import measures, yardsticks
from solidmark.leaderboard.curves import Curve, Point
from solidmark.leaderboard.excess import RANGE, CurveVerdict, Excess
from solidmark.leaderboard.measures import AXES, CONTENT, KEYS, LEAD, Measure
from solidmark.leaderboard.yardsticks import JointVerdict
from solidmark.schema.numbers import Estimate
from solidmark.schema.row import NO_CONTENT, NO_WORST

REAL, EQUAL, UNDECIDED, WORSE = CurveVerdict.REAL, CurveVerdict.EQUAL, CurveVerdict.UNDECIDED, CurveVerdict.WORSE
RNG = np.random.default_rng(11)


def excess(measure, kind, reason="why", family="x", reference="stop", value=0.2):
    estimate = None if value is None else Estimate(value, 0.1, 0.3, 0.05, None, 4)
    return Excess(family, "training", reference, "accuracy", measure, (0, 1), estimate, 0.01, 3, kind, reason)


def alone(keys):
    return JointVerdict(keys, None, None, keys.verdict, "keys", keys.reason)


KINDS = [WORSE, UNDECIDED, EQUAL, REAL]
"""The worst first."""


@pytest.mark.parametrize(("keys", "content"), list(product(KINDS, KINDS)))
def test_the_worse_of_both_decides_and_says_by_which(keys, content):
    parts = [excess("worst", keys, "a"), excess("content", content, "b"), excess("together", REAL)]
    (found,) = yardsticks.joint_verdicts(*([part] for part in parts), ["x"])
    worse = "both" if keys is content else min((KINDS.index(keys), "keys"), (KINDS.index(content), "content"))[1]
    reason = f"by keys {keys.value}: a; by content {content.value}: b"
    if keys is content is REAL:
        reason = "below its reference in both"
    assert found == JointVerdict(*parts, KINDS[min(KINDS.index(keys), KINDS.index(content))], worse, reason)


@pytest.mark.parametrize(
    ("kinds", "reasons", "told"),
    [
        ((EQUAL, EQUAL), ("a", "a"), "a"),
        ((EQUAL, UNDECIDED), ("a", "a"), "by keys equal: a; by content undecided: a"),
    ],
)
def test_what_both_say_alike_is_said_once(kinds, reasons, told):
    keys, content = (excess(name, kind, why) for name, kind, why in zip(("worst", "content"), kinds, reasons))
    assert yardsticks.joint_verdicts([keys], [content], [], ["x"])[0].reason == told


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_real_in_each_is_real_only_where_it_is_real_together(kind):
    keys, content = excess("worst", REAL), excess("content", REAL)
    same = [] if kind is None else [excess("together", kind)]
    (found,) = yardsticks.joint_verdicts([keys], [content], same, ["x"])
    verdict = (REAL, "both", "below its reference in both")
    if kind is not REAL:
        verdict = (UNDECIDED, "both", "below its reference in each, but not shown for the same settings in both")
    assert found == JointVerdict(keys, content, same[0] if same else None, *verdict)


def test_each_family_and_reference_meets_its_own_and_what_was_not_measured_is_judged_by_keys():
    pairs = [("x", "r"), ("x", "s"), ("y", "r"), ("z", None), ("y", "s")]
    keys = [excess("worst", REAL, f"{pair}", *pair) for pair in pairs]
    content, same = ([excess(name, REAL, "", *pair) for pair in pairs[3::-1]] for name in ("content", "together"))
    found = yardsticks.joint_verdicts(keys, content, same, ["x", "y"])
    said = ("both", "below its reference in both")
    assert found[:3] == [JointVerdict(keys[n], content[3 - n], same[3 - n], REAL, *said) for n in range(3)]
    assert found[3:] == [alone(keys[3]), alone(keys[4])]
    assert [one.keys_only for one in found] == [False, False, False, True, True]


def test_a_verdict_as_json_has_what_its_excesses_have_not():
    keys, content, same = excess("worst", REAL), excess("content", EQUAL), excess("together", UNDECIDED)
    names = {"family": "x", "stage": "training", "reference": "stop", "axis": "accuracy"}
    estimate = {"value": 0.2, "low": 0.1, "high": 0.3, "error": 0.05, "chance": None, "count": 4}
    told = {**names, "verdict": "equal", "keys": "real", "content": "equal", "together": estimate, "worse": "content"}
    found = JointVerdict(keys, content, same, EQUAL, "content", "a reason")
    assert found.to_json() == {**told, "reason": "a reason", "reasons": {}}
    for without in (None, excess("together", REAL, value=None)):
        assert JointVerdict(keys, content, without, EQUAL, "", "").to_json()["together"] is None
    none = dict.fromkeys(("content", "together"), "keys only: its content was not measured")
    more = {"verdict": "real", "content": None, "together": None, "worse": "keys", "reason": "why", "reasons": none}
    assert alone(keys).to_json() == {**told, **more}


# One coin for both

LOSSES = (0.0, 0.1, 0.3)


def falling(seeds, *steps):
    """Settings by seeds: convex and falling in each."""
    return 0.9 - np.cumsum([[0.0] * seeds, *([step] * seeds for step in steps)], axis=0) + RNG.normal(0, 0.03, (1, seeds))


def curve(family, values, seeds, measure):
    each = zip(LOSSES, values, strict=True)
    points = tuple(Point(f"{family}{loss}", (loss,) * len(seeds), tuple(one)) for loss, one in each)
    return Curve(family, "training", False, family == "stop", "accuracy", measure, tuple(seeds), points)


SEEDS = {"x": ((0, 1, 2, 3, 9), (3, 2, 1, 0)), "stop": ((7, 2, 1, 0, 3), (5, 0, 1, 2, 3))}
STEPS = {"x": ((0.5, 0.2), (0.2, 0.1)), "stop": ((0.1, 0.02), (0.05, 0.04))}


def curves():
    return {
        (name, m): curve(name, falling(len(seeds), *steps), seeds, m)
        for name in SEEDS
        for m, seeds, steps in zip(("worst", "content"), SEEDS[name], STEPS[name], strict=True)
    }


def plain(each, seeds):
    """The area in the worse of both, the best coin by weights from 0 to 1; every curve is convex, so its own frontier."""

    def heights(name, m, few):
        one = each[name, m]
        return np.array([np.mean([point.memories[one.seeds.index(seed)] for seed in few]) for point in one.points])

    def area(few):
        gaps = []
        for share in np.arange(21) / 20:
            bar, own = (
                share * np.interp(RANGE, LOSSES, heights(name, "worst", few))
                + (1 - share) * np.interp(RANGE, LOSSES, heights(name, "content", few))
                for name in ("stop", "x")
            )
            gaps.append(bar - own)
        least = np.min(gaps, axis=0)
        return np.mean((least[1:] + least[:-1]) / 2)

    without = [area([seed for seed in seeds if seed != out]) for out in seeds]
    error = np.sqrt((len(seeds) - 1) * np.var(without))
    return area(seeds), error, stats.t.ppf(0.975, len(seeds) - 1) * error


def asked(each, *pairs):
    keys, content = ([one for (_, m), one in each.items() if m == name] for name in ("worst", "content"))
    return yardsticks.together(keys, content, [excess("worst", EQUAL, "", *pair) for pair in pairs])


def test_the_excess_in_both_is_over_the_seeds_of_all_four_curves():
    each = curves()
    (found,) = asked(each, ("x", "stop"))
    value, error, half = plain(each, (0, 1, 2, 3))
    told = found.estimate
    assert (told.value, told.low, told.high, told.error) == pytest.approx((value, value - half, value + half, error))
    assert (found.family, found.stage, found.reference) == ("x", "training", "stop")
    assert (found.axis, found.measure, found.seeds, found.comparisons) == ("accuracy", "together", (0, 1, 2, 3), 1)
    assert (found.verdict, found.reason) == (REAL, "below its reference")


def test_without_all_four_curves_or_a_common_seed_there_is_no_excess_in_both():
    whole = curves()
    lacking = [{name: one for name, one in whole.items() if name != out} for out in whole]
    empty = [whole | {out: curve(out[0], np.zeros((3, 1)), (), out[1])} for out in whole]
    for name, m in whole:
        empty.append(whole | {(name, m): Curve(name, "training", False, False, "accuracy", m, (0,), ())})
    others = whole | {("x", "worst"): curve("x", falling(2, 0.5, 0.2), (7, 5), "worst")}
    for each, pair in [*((one, ("x", "stop")) for one in [*lacking, *empty[4:], others]), (whole, ("x", None))]:
        (found,) = asked(each, pair)
        assert (found.estimate, found.seeds, found.p, found.comparisons, found.verdict) == (None, (), None, 0, UNDECIDED)
        assert found.reason == "it and its reference are not both read by both yardsticks"


def test_excesses_in_both_are_corrected_together():
    each = curves()
    found = asked(each, ("x", "stop"), ("stop", "x"), ("x", None))
    assert [one.comparisons for one in found] == [2, 2, 0]
    assert [one.verdict for one in found][::2] == [REAL, UNDECIDED]


# Measures


def attempt(seed, **numbers):
    return SimpleNamespace(seed=seed, **numbers)


def estimate(value, chance=None):
    return Estimate(value, value - 0.01, value + 0.01, chance=chance)


def test_measures_are_keys_the_leading_query_and_content_each_with_its_readings():
    assert measures.MEASURES == (KEYS, LEAD, CONTENT)
    assert [(one.name, one.title, one.readings, one.missing) for one in measures.MEASURES] == [
        ("worst", "M*", ("worst",), NO_WORST),
        ("lead", "M", ("memorization",), NO_WORST),
        ("content", "2 AUROC − 1", ("content_own", "content_any"), NO_CONTENT),
    ]


def test_utility_and_its_loss_are_of_the_field_that_an_axis_names():
    row = SimpleNamespace(attempts=[attempt(2, accuracy=0.5, frechet=3.0), attempt(0, accuracy=0.8, frechet=2.0)])
    accuracy, frechet = AXES
    assert [(axis.name, axis.title, axis.falling) for axis in AXES] == [
        ("accuracy", "accuracy", False),
        ("frechet", "Fréchet distance", True),
    ]
    assert [[axis.of(one) for one in row.attempts] for axis in AXES] == [[0.5, 0.8], [3.0, 2.0]]
    assert [axis.over(row, [0, 2]).tolist() for axis in AXES] == [[0.8, 0.5], [2.0, 3.0]]
    values, baseline = np.array([0.4, 0.9]), np.array([0.8, 0.6])
    assert accuracy.losses(values, baseline) == pytest.approx([0.5, -0.5])
    assert frechet.losses(values, baseline) == pytest.approx([-0.5, 0.5])


@pytest.mark.parametrize(
    ("stage", "field"),
    [
        ("sampling", "worst_service"),
        ("training+sampling", "worst_service"),
        ("training", "worst"),
        ("none", "worst"),
        ("resampling", "worst"),
    ],
)
def test_what_acts_at_sampling_is_judged_through_the_service(stage, field):
    assert measures.reach(stage) == field
    assert KEYS.within(stage) == Measure("worst", "M*", (field,), NO_WORST)
    assert (LEAD.within(stage), CONTENT.within(stage)) == (LEAD, CONTENT)
    row = SimpleNamespace(stage=stage, worst="worst", worst_service="worst_service", lead="lead")
    assert measures.judged_by(row) == field
    setattr(row, field, None)
    assert measures.judged_by(row) == "lead"


def shown(**fields):
    return SimpleNamespace(
        attempts=[attempt(seed, **{name: one[n] for name, one in fields.items()}) for n, seed in enumerate((1, 0))]
    )


def test_memorization_of_each_seed_is_by_the_one_reading_that_finds_most_in_their_mean():
    own, other = ([estimate(value, 0.5) for value in values] for values in ((0.9, 0.6), (0.7, 0.85)))
    assert CONTENT.over(shown(content_own=own, content_any=other), [0, 1]) == pytest.approx([0.7, 0.4])
    assert CONTENT.over(shown(content_own=own, content_any=other), [1]) == pytest.approx([0.8])
    for lacking in ([None, estimate(1.0, 0.5)], [estimate(1.0, 0.5), None]):
        assert CONTENT.over(shown(content_own=lacking, content_any=other), [0, 1]) == pytest.approx([0.7, 0.4])
    assert LEAD.over(shown(memorization=[estimate(0.3), estimate(-0.5)]), [1, 0]) == pytest.approx([0.3, 0.5])


def worst(*queries):
    return SimpleNamespace(chosen=dict.fromkeys(queries, 0.0)) if queries else None


OTHER_QUERIES = "it was asked other queries than the baseline"


@pytest.mark.parametrize(
    ("seeds", "queries", "baseline", "why"),
    [
        ((0.3, 0.4), ("a", "b"), ("b", "a"), ""),
        ((0.3, None), ("a",), ("a",), NO_WORST),
        ((None, 0.3), ("a",), ("a",), NO_WORST),
        ((0.3, 0.4), (), (), NO_WORST),
        ((0.3, 0.4), (), ("a",), NO_WORST),
        ((0.3, 0.4), ("a",), (), OTHER_QUERIES),
        ((0.3, 0.4), ("a",), ("a", "b"), OTHER_QUERIES),
        ((0.3, 0.4), ("a", "b"), ("a",), OTHER_QUERIES),
    ],
)
def test_a_worst_case_compares_with_that_of_the_baseline_where_both_were_asked_the_same(seeds, queries, baseline, why):
    for measure, field in ((KEYS, "worst"), (KEYS.within("sampling"), "worst_service")):
        row, other = shown(**{field: seeds}), shown(**{field: (None, None)})
        for one, asked_ in ((row, queries), (other, baseline)):
            vars(one).update({"worst": worst("z"), "worst_service": worst("z"), field: worst(*asked_)})
        assert measure.lacking(row, other) == why


def test_the_leading_query_and_content_need_no_equal_queries():
    bare = shown(memorization=(None, 0.1), content_own=(None, 0.1), content_any=(0.1, None))
    half = shown(memorization=(0.2, 0.1), content_own=(None, 0.1), content_any=(0.1, 0.2))
    assert [(LEAD.lacking(row, bare), CONTENT.lacking(row, bare)) for row in (bare, half)] == [
        (NO_WORST, NO_CONTENT),
        ("", ""),
    ]
