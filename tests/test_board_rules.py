"""Rules of a leaderboard by small cases: what is shown of a family, orders, limits of changes, phrases, what is missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from solidmark.errors import InvalidValue, UnknownName
from solidmark.leaderboard import answer, curves, differences, disagreement, hours, measures
from solidmark.leaderboard.curves import Curve, Point
from solidmark.leaderboard.excess import CurveVerdict, Excess
from solidmark.leaderboard.matched import MatchedComparison
from solidmark.leaderboard.placing import Place, Role, order
from solidmark.leaderboard.standing import Standing, tally
from solidmark.leaderboard.yardsticks import JointVerdict
from solidmark.schema.numbers import Estimate, Share

REAL, EQUAL, UNDECIDED, WORSE = CurveVerdict.REAL, CurveVerdict.EQUAL, CurveVerdict.UNDECIDED, CurveVerdict.WORSE


def excess(family, value, kind=REAL, seeds=(0, 1, 2)):
    estimate = None if value is None else Estimate(value)
    return Excess(family, "training", "stop", "accuracy", "worst", seeds, estimate, None, 0, kind, "")


def joint(family, kind, keys, content=None, seeds=(0, 1, 2)):
    shown = None if content is None else excess(family, content, kind)
    return JointVerdict(excess(family, keys, kind, seeds), shown, None, kind, "keys", "")


def row(name, **more):
    return SimpleNamespace(mitigation=name, family=name.partition("(")[0], **more)


VERDICTS = [
    joint("least alone", REAL, 0.4),
    joint("least in content", REAL, 0.5, 0.3),
    joint("least in keys", REAL, 0.2, 0.9),
    joint("unknown", REAL, None),
    joint("equal", EQUAL, 0.01),
    joint("open", UNDECIDED, 0.6),
    joint("worse", WORSE, -0.2),
]
"""In the order in which they are told."""


@pytest.mark.parametrize("start", range(len(VERDICTS)))
def test_verdicts_come_by_their_kind_and_then_by_the_worse_of_their_excesses(start):
    given = [*VERDICTS[start:], *VERDICTS[:start]][::-1]
    assert sorted(given, key=answer._by_verdict) == VERDICTS


@pytest.mark.parametrize(
    ("settings", "real", "shown"),
    [
        ([(0.9, None), (0.95, None)], False, 1),
        ([(0.9, None), (0.8, 0.1)], False, 1),
        ([(0.75, 0.2), (0.74, 0.5)], False, 0),
        ([(0.7, 0.2), (0.6, 0.5)], False, 1),
        ([(0.9, -0.2), (0.9, -0.1)], False, 1),
        ([(0.9, 0.04), (0.5, 0.3)], True, 1),
        ([(0.9, 0.04), (0.5, 0.3)], False, 0),
        ([(0.9, 0.05), (0.5, 0.3)], True, 0),
        ([(0.9, 0.04), (0.5, 0.3)], None, 0),
        ([(None, 0.5), (0.8, 0.1)], False, 1),
        ([(None, None), (0.1, None), (None, None)], False, 1),
    ],
)
def test_a_family_is_shown_at_its_useful_setting_that_is_furthest_below(settings, real, shown):
    family = None if real is None else joint("x", REAL if real else UNDECIDED, 0.2)
    each = [
        answer.Shown(
            row(f"x({n})"), Place(Role.FAMILY, kept, 0.3, gap=None if gap is None else Estimate(gap), family=family)
        )
        for n, (kept, gap) in enumerate(settings)
    ]
    assert answer._furthest(each) is each[shown]


def answered(monkeypatch, placed, judged):
    monkeypatch.setattr(answer, "places", lambda comparison, rows: placed)
    monkeypatch.setattr(answer, "hardest", lambda comparison: {found.keys.family: found for found in judged})
    return answer.answer(SimpleNamespace(unmeasured=()), [row(name) for name in placed])


def test_an_answer_shows_families_by_what_they_leave_and_counts_the_seeds_of_what_was_compared(monkeypatch):
    kinds = {"none": (Role.BASELINE, 0.9), "again": (Role.GOLD, 0.0), "stop": (Role.REFERENCE, 0.1)}
    kinds |= {"more(1)": (Role.FAMILY, 0.5), "less(1)": (Role.FAMILY, 0.2), "lost(1)": (Role.FAMILY, None)}
    placed = {name: Place(kind, 1.0, keys) for name, (kind, keys) in kinds.items()}
    judged = [joint("a", WORSE, -1.0, seeds=(0,)), joint("b", REAL, 0.5, seeds=(0, 1, 2)), joint("c", EQUAL, None, seeds=())]
    found = answered(monkeypatch, placed, judged)
    assert [one.row.family for one in found.families] == ["less", "more"]
    assert [one.row.family for one in found.gold] == ["again"]
    assert found.baseline is not None
    assert found.baseline.row.mitigation == "none"
    assert [one.keys.family for one in found.verdicts] == ["b", "c", "a"]
    assert (found.seeds, found.decides, found.of(EQUAL)) == ((1, 3), True, [judged[2]])


def test_an_answer_of_nothing_decides_nothing(monkeypatch):
    found = answered(monkeypatch, {}, [])
    assert (found.seeds, found.decides, found.baseline, found.families) == ((0, 0), False, None, ())
    assert not answered(monkeypatch, {}, [joint("a", REAL, 0.5, seeds=(0, 1))]).decides


def test_rows_come_by_their_role_their_verdict_and_what_they_leave():
    places = [
        Place(Role.BASELINE),
        Place(Role.GOLD, keys=0.9),
        Place(Role.FAMILY, keys=0.8, verdict=REAL),
        Place(Role.FAMILY, keys=0.9, verdict=REAL),
        Place(Role.FAMILY, keys=0.1, verdict=EQUAL),
        Place(Role.FAMILY, keys=0.1, verdict=UNDECIDED),
        Place(Role.FAMILY, keys=0.1, verdict=WORSE),
        Place(Role.FAMILY, keys=0.0),
        Place(Role.REFERENCE, keys=0.0),
        Place(Role.GOLD),
    ]
    given = places[::-1]
    assert sorted(given, key=order) == places
    assert order(Place(Role.GOLD)) == (4, 4, 2.0)


@pytest.mark.parametrize(
    ("keys", "content", "worst", "worse"),
    [
        (0.3, 0.2, 0.3, "keys"),
        (0.2, 0.3, 0.3, "content"),
        (0.2, 0.2, 0.2, "keys"),
        (None, 0.1, 0.1, "content"),
        (0.1, None, 0.1, "keys"),
        (None, None, None, ""),
        (None, -0.1, -0.1, "keys"),
        (None, 0.0, 0.0, "keys"),
    ],
)
def test_the_worse_yardstick_is_the_one_that_leaves_most(keys, content, worst, worse):
    place = Place(Role.FAMILY, 1.0, keys, content)
    assert (place.worst, place.worse) == (worst, worse)


def test_verdicts_are_tallied_in_their_order_without_those_that_nobody_has():
    each = [("a(1)", WORSE), ("b(1)", REAL), ("a(2)", WORSE), ("c(1)", REAL), ("d", None)]
    found = [
        Standing(row(name), Place(Role.FAMILY, family=None if kind is None else joint(name[0], kind, 0.1)))
        for name, kind in each
    ]
    assert list(tally(found).items()) == [("real", ["b", "c"]), ("worse", ["a"])]


@pytest.mark.parametrize(
    ("status", "role", "verdict", "word"),
    [
        ("error", Role.FAMILY, REAL, "error"),
        ("ok", Role.GOLD, None, "gold standard"),
        ("ok", Role.BASELINE, REAL, "baseline"),
        ("ok", Role.FAMILY, REAL, "real"),
        ("ok", Role.FAMILY, None, "–"),
    ],
)
def test_a_row_wears_one_word(status, role, verdict, word):
    assert Standing(row("x", ok=status == "ok", status=status), Place(role, verdict=verdict)).word == word


WORSTS = {
    "worst": SimpleNamespace(memorization=1, certified=2),
    "worst_service": SimpleNamespace(memorization=3, certified=4),
}
LEAD = SimpleNamespace(memorization=5, certified=6)


@pytest.mark.parametrize(
    ("stage", "has", "lead", "memory", "certified"),
    [
        ("training", WORSTS, LEAD, 1, 2),
        ("training+sampling", WORSTS, LEAD, 3, 4),
        ("training", {}, LEAD, 5, 6),
        ("sampling", {"worst": WORSTS["worst"]}, LEAD, 5, 6),
        ("training", {}, None, None, None),
    ],
)
def test_what_a_row_remembers_is_its_worst_case_or_its_leading_query(stage, has, lead, memory, certified):
    found = Standing(row("x", stage=stage, lead=lead, **{"worst": None, "worst_service": None, **has}), Place(Role.FAMILY))
    assert (found.memory, found.certified) == (memory, certified)


# Differences of two runs


def difference(value, low, high, measure="M"):
    return differences.Difference("digits", "x", measure, 0.0, value, Estimate(value, low, high, 0.01, count=5), "")


CHANGES = [
    (0.0, -0.05, 0.05, 1.0, "same"),
    (0.0, -0.051, 0.05, 0.001, "undecided"),
    (0.0, -0.05, 0.051, 0.001, "undecided"),
    (0.05, 0.01, 0.09, 0.05, "worse"),
    (0.05, 0.01, 0.09, 0.051, "undecided"),
    (0.049, 0.01, 0.09, 0.01, "undecided"),
    (-0.05, -0.09, -0.01, 0.05, "better"),
    (-0.049, -0.09, -0.01, 0.01, "undecided"),
    (0.5, 0.4, 0.6, None, "undecided"),
]


@pytest.mark.parametrize(("value", "low", "high", "p", "change"), CHANGES)
def test_a_change_is_one_up_to_its_limits(value, low, high, p, change):
    turned = {"worse": "better", "better": "worse"}.get(change, change)
    assert differences._change(difference(value, low, high), p, 0.05).value == change
    assert differences._change(difference(value, low, high, "accuracy"), p, 0.05).value == turned


def test_the_error_of_a_mean_of_estimates_is_taken_on_the_scale_of_recall():
    stated, read_off = Estimate(0.8, 0.7, 0.9, 0.03, chance=0.5), Estimate(0.8, 0.7, 0.9, chance=0.5)
    assert differences._error([stated]) == pytest.approx(0.06)
    assert differences._error([read_off]) == pytest.approx(0.1 / 1.96 / 0.5)
    assert differences._error([Estimate(0.8, 0.7, 0.9, 0.03), Estimate(0.8, 0.7, 0.9, 0.04)]) == pytest.approx(0.05 / 2)


def test_shares_differ_by_agresti_and_caffo():
    found = differences._of_shares(Share(3, 8, 0.0, 1.0, 0.1), Share(9, 18, 0.0, 1.0, 0.1))
    error = np.sqrt(0.4 * 0.6 / 10 + 0.5 * 0.5 / 20)
    assert (found.value, found.error, found.count) == (pytest.approx(0.1), pytest.approx(error), 26)
    assert found.limits[1] == pytest.approx(0.1 + 2.0638986 * error)  # Student's t of 24 degrees of freedom


def attempted(*seeds):
    attempts = tuple(SimpleNamespace(seed=seed, content_own=own, content_any=other) for seed, own, other in seeds)
    return SimpleNamespace(testbed="digits", mitigation="x", attempts=attempts, seeds=tuple(seed for seed, *_ in seeds))


def area(value, count=64):
    return Estimate(value, value - 0.1, value + 0.1, 0.02, chance=0.5, count=count)


def test_a_measure_is_compared_by_the_reading_that_finds_most_in_each_row():
    before, after = attempted((0, area(0.9), area(0.7, 16))), attempted((0, area(0.6), area(0.8, 32)))
    found = differences._measured(before, after, measures.CONTENT, [0])
    assert found is not None
    assert (found.before, found.after, found.paired) == (pytest.approx(0.8), pytest.approx(0.6), "")
    assert (found.estimate.value, found.estimate.error) == (pytest.approx(-0.2), pytest.approx(0.04 * np.sqrt(2)))
    assert found.estimate.count == 32
    assert found.estimate.limits[1] == pytest.approx(1.9989715 * 0.04 * np.sqrt(2) - 0.2)  # of 62 degrees of freedom


def test_a_row_is_read_by_what_it_has_and_one_without_a_reading_is_not_compared():
    before, after = attempted((0, None, area(0.7))), attempted((0, area(0.99), area(0.8)))
    found = differences._measured(before, after, measures.CONTENT, [0])
    assert found is not None
    assert (found.before, found.after) == (pytest.approx(0.4), pytest.approx(0.98))
    assert differences._measured(attempted((0, None, None)), after, measures.CONTENT, [0]) is None


def ran(*rows):
    return SimpleNamespace(
        rows=[row(name, testbed="digits", solver={}, status=s, ok=s == "ok", reason=why) for name, s, why in rows]
    )


def test_rows_of_one_side_and_rows_that_are_lost_are_named(monkeypatch):
    monkeypatch.setattr(differences, "differences", lambda before, after, runs, others: [])
    before = ran(("a", "ok", ""), ("b", "ok", ""), ("c", "error", "why"), ("both", "error", "why"))
    after = ran(("a", "error", "no room"), ("b", "crashed", ""), ("c", "ok", ""), ("d", "ok", ""), ("both", "error", "why"))
    found = differences.compare_runs((before, ()), (after, ()))
    assert found.lost == ("digits, a: error: no room", "digits, b: crashed")
    assert (found.only_before, found.only_after, found.worse) == ((), ("digits, d",), True)
    back = differences.compare_runs((after, ()), (before, ()))
    assert (back.lost, back.only_before, back.only_after) == (("digits, c: error: why",), ("digits, d",), ())


# Curves


def curve(losses, memories, **more):
    points = tuple(
        Point(f"s{n}", tuple(loss), tuple(memory)) for n, (loss, memory) in enumerate(zip(losses, memories, strict=True))
    )
    return Curve("x", "training", False, False, "accuracy", "worst", tuple(range(len(losses[0]))), points, **more)


@pytest.mark.parametrize(("losses", "setting"), [((0.05, 0.04), "s1"), ((0.0502, 0.04), "s2"), ((0.06, 0.2), "")])
def test_the_setting_of_matched_utility_remembers_least_among_those_that_lose_five_percent(losses, setting):
    assert curve([[0.0], [losses[0]], [losses[1]]], [[0.0], [0.1], [0.2]]).setting == setting
    assert curve([[0.0]], [[0.0]]).setting == ""


@pytest.mark.parametrize(("reach", "drawn"), [(0.0, 2), (0.01, 2), (0.03, 4), (0.025, 3), (0.9, 51)])
def test_a_line_is_drawn_as_far_as_a_setting_has_lost_and_at_two_points_at_least(reach, drawn):
    assert len(curve([[0.0], [reach]], [[0.9], [0.1]]).line()) == drawn
    assert curves.Curve("x", "", False, False, "", "").line() == []


def test_the_json_of_a_curve_has_every_second_point_of_its_line_to_six_digits():
    told = curve([[0.0], [0.04]], [[1 / 3], [0.0]], left_out={"y": "no room"}).to_json()
    assert [point["loss"] for point in told["line"]] == [0.0, 0.02, 0.04]
    assert [point["value"] for point in told["line"]] == [0.333333, 0.166667, 0.0]
    assert (told["points"][0]["memories"], told["setting"], told["left_out"]) == ([0.333333], "s1", {"y": "no room"})
    assert curve([[0.0], [0.4]], [[0.5], [0.0]]).to_json()["setting"] is None


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([0.9, 0.7, 0.9, 1.1], None, 1.0), ([-0.9, -0.7, -0.9, -1.1], -1.0, None), ([1.2, 1.0, 1.2, 1.4], None, 1.2)],
)
def test_limits_of_a_memorization_are_no_further_from_zero_than_one(values, low, high):
    found = curves.bounded(np.array(values))
    error = np.sqrt(2 / 3 * 0.08)
    ends = [found.value + side * 4.3026527 * error for side in (-1, 1)]
    assert found.limits == pytest.approx(tuple(end if told is None else told for end, told in zip(ends, (low, high))))


def test_points_that_lose_the_same_have_no_chord():
    losses, memories = np.array([0.0, 0.1, 0.1]), np.array([0.8, 0.4, 0.2])
    assert curves.frontier(losses, memories, np.array([0.05, 0.1, 0.2])) == pytest.approx([0.5, 0.2, 0.2])
    assert curves.frontier(losses[::-1], memories[::-1], np.array([0.05])) == pytest.approx([0.5])


def side(points, axis, measure="worst"):
    return Curve("x", "training", False, False, axis, measure, (0,), (Point("none", (0.0,), (0.5,)),) if points else ())


@pytest.mark.parametrize(
    ("measured", "axis"), [(("accuracy", "frechet"), "accuracy"), (("frechet",), "frechet"), ((), "frechet")]
)
def test_the_axis_that_leads_is_the_first_that_was_measured(measured, axis):
    each = tuple(side(name in measured, name) for name in ("accuracy", "frechet"))
    found = MatchedComparison("digits", {"name": "ddim"}, each, (), ())
    assert found.axis == axis
    told = found.to_json()
    assert (told["testbed"], told["solver"], told["axis"], told["keys_only"]) == ("digits", {"name": "ddim"}, axis, True)
    assert [len(told[name]) for name in ("curves", "excesses", "verdicts", "rankings")] == [2, 0, 0, 0]


def test_a_comparison_with_content_is_no_more_of_keys_only():
    each = (side(True, "accuracy"), side(False, "accuracy", "content"))
    assert MatchedComparison("digits", {}, each, (), ()).keys_only
    assert not MatchedComparison("digits", {}, (*each, side(True, "frechet", "content")), (), ()).keys_only


@pytest.mark.parametrize(
    ("estimate", "value"),
    [
        (Estimate(0.75, 0.7, 0.8, chance=0.5), 0.5),
        (Estimate(0.25, 0.2, 0.5, chance=0.5), -0.5),
        (Estimate(0.25, 0.2, 0.49, chance=0.5), 0.5),
        (Estimate(-0.3, -0.4, -0.1), 0.3),
        (Estimate(-0.3, -0.4, 0.0), -0.3),
    ],
)
def test_what_is_shown_to_avoid_counts_by_its_size(estimate, value):
    assert measures.recalled(estimate) == pytest.approx(value)


# Phrases


def score(value, low, high, certified=0, of=64):
    return SimpleNamespace(auroc=Estimate(value, low, high, chance=0.5), certified=Share(certified, of, 0.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("own", "other", "unlinked"),
    [
        (score(0.75, 0.7, 0.8), score(0.875, 0.81, 0.9), True),
        (score(0.7501, 0.7, 0.8), score(0.875, 0.81, 0.9), False),
        (score(0.75, 0.7, 0.8), score(0.875, 0.8, 0.9), False),
        (score(0.3, 0.2, 0.45), score(0.6, 0.5, 0.7), False),
        (score(0.3, 0.2, 0.55), score(0.6, 0.56, 0.7), True),
        (score(0.1, 0.05, 0.15), score(0.6, 0.56, 0.7), False),
        (None, score(0.9, 0.8, 0.95), False),
    ],
)
def test_an_image_is_unlinked_where_another_caption_gives_clearly_more(own, other, unlinked):
    assert disagreement._unlinked(SimpleNamespace(own=own, any=other)) is unlinked


@pytest.mark.parametrize(
    ("keys", "certified", "low", "faint"),
    [(32, 16, 0.51, True), (32, 17, 0.51, False), (32, 16, 0.5, False), (4, 0, 0.6, True), (3, 0, 0.6, False)],
)
def test_content_is_faint_where_it_certifies_half_of_what_keys_do(keys, certified, low, faint):
    judged = SimpleNamespace(certified=Share(keys, 64, 0.0, 1.0, 0.0))
    content = SimpleNamespace(own=score(0.4, 0.3, 0.6), any=score(0.7, low, 0.8, certified))
    assert disagreement._faint(judged, content) is faint


def judged(m, content):
    worst = SimpleNamespace(memorization=Estimate(m, m - 0.1, m + 0.1))
    return worst, content


@pytest.mark.parametrize(
    ("m", "area", "low", "outlives"),
    [(0.4, 0.875, 0.8, True), (0.41, 0.875, 0.8, False), (0.4, 0.874, 0.8, False), (0.4, 0.875, 0.5, False)],
)
def test_content_outlives_the_keys_where_half_of_them_and_three_quarters_of_it_are_left(m, area, low, outlives):
    baseline = judged(0.8, SimpleNamespace(own=score(1.0, 0.9, 1.0), any=score(0.9, 0.8, 1.0)))
    left = judged(m, SimpleNamespace(own=score(area, low, 0.9), any=score(0.6, 0.5, 0.7)))
    assert disagreement._outlives(*left, *baseline) is outlives


# Hours, and rows by name


def work(seconds):
    return SimpleNamespace(seconds=seconds)


@pytest.mark.parametrize(
    ("stage", "baseline", "seeds", "expected"),
    [
        ("training", False, (0, 1), 2 * 1111),
        ("none", True, (0,), 1111),
        ("sampling", False, (0,), 1110),
        ("sampling", False, (), 1110),
    ],
)
def test_hours_count_the_training_of_what_trains_and_of_the_baseline(stage, baseline, seeds, expected):
    cost = SimpleNamespace(training=work(1), editing=work(10), sampling=work(100))
    queries = {
        "a": SimpleNamespace(evaluations=work(400)),
        "b": SimpleNamespace(evaluations=work(600)),
        "c": SimpleNamespace(evaluations=None),
    }
    of = row("x", cost=cost, queries=queries, stage=stage, baseline=baseline, seeds=seeds)
    assert hours.hours([of, row("y", cost=None, seeds=(0,))]) == pytest.approx(expected / 3600)


def told(name, testbed="digits", ok=True, solver="ddim"):
    return row(name, testbed=testbed, solver={"name": solver}, ok=ok, reason="", status="ok" if ok else "timeout")


BOARD = SimpleNamespace(
    rows=[
        told("a(x=1)"),
        told("a(x=2)"),
        told("b(x=1)"),
        told("late", ok=False),
        told("b(x=2)", "other"),
        told("c", "other"),
    ]
)


@pytest.mark.parametrize(("name", "found"), [("a(x=2)", 1), ("b", 2), ("c", 5)])
def test_a_row_is_found_by_its_name_or_by_that_of_its_family(name, found):
    from solidmark.cli.compare import _row

    board = SimpleNamespace(rows=[one for one in BOARD.rows if one.mitigation != "b(x=2)"])
    assert _row(board, name).mitigation == BOARD.rows[found].mitigation


@pytest.mark.parametrize(
    ("name", "beside", "error", "words"),
    [
        ("c", 0, UnknownName, "'c'"),
        ("a", None, InvalidValue, "one of a(x=1), a(x=2)"),
        ("late", None, InvalidValue, "found timeout"),
        ("b", None, InvalidValue, "one of b(x=1), b(x=2)"),
    ],
)
def test_a_row_of_another_testbed_of_several_settings_or_without_numbers_is_refused(name, beside, error, words):
    from solidmark.cli.compare import _row

    assert _row(BOARD, "b", BOARD.rows[0]).mitigation == "b(x=1)"
    with pytest.raises(error) as raised:
        _row(BOARD, name, None if beside is None else BOARD.rows[beside])
    assert words in str(raised.value)
