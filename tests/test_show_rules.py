"""What `solidmark show` and `compare` say of stated rows and verdicts: orders, words, what is missing."""

from dataclasses import replace
from types import SimpleNamespace

import board_samples as boards
import pytest
from test_report_rules import BARE

from solidmark.cli import compare, show
from solidmark.leaderboard.differences import Change, Comparison, Difference
from solidmark.leaderboard.excess import CurveVerdict, Excess
from solidmark.leaderboard.placing import Place, Role
from solidmark.leaderboard.standing import Standing
from solidmark.leaderboard.yardsticks import JointVerdict
from solidmark.schema.numbers import Estimate, Share

REAL, EQUAL, WORSE = CurveVerdict.REAL, CurveVerdict.EQUAL, CurveVerdict.WORSE


def excess(kind, family="x", reference="stop", value=None):
    estimate = None if value is None else Estimate(value, value - 0.1, value + 0.1)
    return Excess(
        family, "training", reference, "frechet", "worst", (0, 1), estimate, None, 0, kind, f"because {kind.value}"
    )


def joint(kind, family="x", reference="stop", both=None):
    return JointVerdict(excess(kind, family, reference), both and excess(both), both and excess(both), kind, "", "all told")


def standing(family=None, status="ok", **row):
    return Standing(replace(BARE, family="x", status=status, **row), Place(Role.FAMILY, family=family))


def comparison(*verdicts, ranking=None, curves=()):
    return SimpleNamespace(
        axis="frechet",
        unmeasured=(),
        verdicts_on={"frechet": list(verdicts)}.get,
        leading_ranking={"frechet": ranking}.get,
        curves_on={"frechet": list(curves)}.get,
    )


def test_the_verdict_against_the_hardest_reference_comes_first_and_those_of_others_not():
    easy, other, hard = joint(REAL, reference="easy"), joint(EQUAL, "y"), joint(WORSE, reference="hard", both=EQUAL)
    lines = show._verdicts(standing(hard), comparison(easy, other, hard), colours=False)
    assert lines == [
        "verdict: worse against hard at equal frechet: all told",
        "  by keys: worse: because worse",
        "  by content: equal: because equal",
        "  by both at once: equal: because equal",
        "verdict: real against easy at equal frechet: all told",
        "  by keys: real: because real",
        "  by content: not measured",
    ]
    assert show._verdict(joint(REAL, reference=None), "accuracy", colours=True)[0] == (
        "verdict: \x1b[32mreal\x1b[0m against no reference at equal accuracy: all told"
    )


def test_a_family_without_a_verdict_says_what_it_is():
    other = comparison(joint(REAL, "y"))
    assert show._verdicts(standing(), other, colours=False) == ["no verdict: it has no numbers"]
    gold = Standing(replace(BARE, status="ok", queries={}), Place(Role.GOLD))
    assert show._verdicts(gold, other, colours=False) == ["no verdict: it is the gold standard"]


def ranked(family, setting):
    matched = Estimate(0.25, 0.2, 0.3)
    return SimpleNamespace(family=family, ranks="1-2", matched=matched, setting=setting)


def test_a_rank_is_told_of_the_family_alone_with_the_setting_that_has_it():
    both = SimpleNamespace(families=[ranked("y", "y(a=1)"), ranked("x", "x(a=2)")])
    told = "rank 1-2 of 2, pair by pair without correction: 0.250 [0.200, 0.300] at matched utility"
    assert show._rank(comparison(ranking=both), "x") == [f"{told} by x(a=2)"]
    assert show._rank(comparison(ranking=SimpleNamespace(families=[ranked("x", ""), 2])), "x") == [told]
    assert show._rank(comparison(ranking=both), "z") == show._rank(comparison(), "x") == []


def scored(m, certified):
    return SimpleNamespace(memorization=Estimate(m, m - 0.1, m + 0.1), certified=Share(certified, 64, 0.0, 1.0, 0.0))


def auroc(value):
    return SimpleNamespace(auroc=Estimate(value, value - 0.1, value + 0.1, chance=0.5))


@pytest.mark.parametrize(
    ("mitigation", "m", "content", "colours", "cells"),
    [
        (
            "x(a=1)",
            -0.5,
            (0.75, 0.5),
            True,
            ["a=1", "–", "-0.500 [-0.600, -0.400]", "█████     ", "9 of 64", "0.50", "12 %"],
        ),
        ("x(a=1)", 0.25, (None, 0.5), False, ["a=1", "–", "0.250 [0.150, 0.350]", "9 of 64", "0.00", "12 %"]),
        ("x", None, None, True, ["default", "error", "", "", "", "–", "–"]),
        ("x", None, None, False, ["default", "error", "", "", "–", "–"]),
    ],
)
def test_a_setting_has_its_numbers_in_their_places(mitigation, m, content, colours, cells):
    queries = None if m is None else {"outpaint": scored(m, 9)}
    of = None if content is None else SimpleNamespace(own=content[0] and auroc(content[0]), any=auroc(content[1]))
    read = {} if of is None else {"content_own": of.own and of.own.auroc, "content_any": of.any.auroc}
    attempts = tuple(SimpleNamespace(seed=seed, **read) for seed in (2, 0))
    one = standing(queries=queries, content=of, mitigation=mitigation, attempts=attempts, status="error")
    assert show._setting(one, {"x(a=1)": 0.123}, colours=colours) == [*cells, "–", "0, 2"]


def test_settings_are_told_in_the_order_that_is_given_with_what_they_lose():
    points = [SimpleNamespace(mitigation="x(a=1)", loss=0.25), SimpleNamespace(mitigation="x(a=2)", loss=-0.01)]
    curves = [SimpleNamespace(points=points[:1]), SimpleNamespace(points=points[1:])]
    shown = SimpleNamespace(own=None, any=auroc(0.75))
    read = (SimpleNamespace(seed=0, content_own=None, content_any=shown.any.auroc),)
    given = {"queries": {"outpaint": scored(0.5, 9)}, "content": shown, "attempts": read}
    each = [standing(mitigation=f"x(a={n})", **given) for n in (2, 1)]
    lines = show._settings(each, comparison(curves=curves), colours=False).splitlines()
    assert lines[0].split()[:3] == ["setting", "verdict", "M★"]
    assert lines[0].split()[-9:] == [*"certified content (0 is chance) frechet lost cost seeds".split()]
    assert [line.split()[0] for line in lines[2:]] == ["a=2", "a=1"]
    assert [line.split("%")[0].split()[-2:] for line in lines[2:]] == [["0.50", "-1"], ["0.50", "25"]]
    assert len(show._settings(each, comparison(curves=curves), colours=True).splitlines()[1].split()) == 9


def test_a_parameter_that_is_none_has_a_line_with_the_solver_that_it_may_leave_as_it_is():
    solver = {"name": "fast", "steps": 25, "guidance": 3.0}
    each = [standing(parameters={"scale": scale}, solver=solver) for scale in (0.0, None)]
    assert show._unset(each) == [
        "scale=None: `solidmark plugins x` says what that means; the solver here is fast: steps 25, guidance 3.0"
    ]
    assert show._unset(each[:1]) == []


@pytest.mark.parametrize("colours", [False, True])
def test_every_table_has_a_header_for_each_column(monkeypatch, colours):
    tables = []
    monkeypatch.setattr(show, "tabulate", lambda lines, headers, **_: tables.append((lines, headers)) or "")
    for name in ("washer", "none", "gone"):
        show.told(boards.both(), name, colours=colours)
    show.told(boards.keys(), "lone", colours=colours)
    assert len(tables) >= 4
    for lines, headers in tables:
        assert {len(line) for line in lines} == {len(headers)}, headers


def test_a_family_is_told_on_each_testbed_where_it_was_measured(monkeypatch):
    asked = {"one": ["x"], "two": ["y"], "three": ["y", "x"]}
    rows = [SimpleNamespace(family=name) for name in ("x", "y", "x")]
    board = SimpleNamespace(rows=rows, testbeds=list(asked))
    monkeypatch.setattr(show, "_on", lambda board, facts, family, colours: facts * (family in asked[facts]))
    assert show.told(board, "x") == "one\n\nthree"
    with pytest.raises(Exception, match="found 'z'; expected one of x, y"):
        show.told(board, "z")


@pytest.mark.parametrize(("runs", "read"), [([], [show.LATEST]), (["a", "b"], ["a", "b"])])
def test_a_family_is_shown_of_the_runs_that_are_named_or_of_the_latest(monkeypatch, capsys, runs, read):
    from solidmark.leaderboard import render

    monkeypatch.setattr(render, "load_leaderboard", lambda given: f"board of {given}")
    monkeypatch.setattr(show, "told", lambda board, family, colours: f"{family} on {board}, {colours}")
    monkeypatch.setattr(show, "are_wanted", lambda stream: "in colours")
    assert show._show(SimpleNamespace(family="x", runs=runs)) == 0
    assert capsys.readouterr().out == f"x on board of {read}, in colours\n"


# Comparisons


@pytest.mark.parametrize(
    ("testbed", "solver", "name", "found"),
    [
        ("one", "a", "x(a=1)", 0),
        ("one", "b", "x(a=1)", 1),
        ("two", "a", "x(a=1)", 2),
        ("two", "a", "y", 3),
        (None, None, "y", 3),
    ],
)
def test_a_row_is_looked_for_beside_the_other_one(testbed, solver, name, found):
    grounds = [("one", "a", "x(a=1)"), ("one", "b", "x(a=1)"), ("two", "a", "x(a=1)"), ("two", "a", "y(a=1)")]
    rows = [replace(BARE, testbed=t, solver=s, mitigation=m, family=m[0], queries={}) for t, s, m in grounds]
    beside = None if testbed is None else replace(BARE, testbed=testbed, solver=solver)
    assert compare._row(SimpleNamespace(rows=rows), name, beside) is rows[found]


def test_numbers_of_a_comparison_keep_their_three_digits():
    one = Difference("digits", "x", "M", 0.5, 0.75, Estimate(0.25), paired="", change=Change.WORSE)
    line = compare.told(Comparison((one,))).splitlines()[2]
    assert line.split() == ["x", "M", "0.500", "0.750", "+0.250", "not", "paired", "–", "worse"]
    assert compare.as_json(Comparison((one,))).startswith(
        '{\n "worse": true,\n "differences": [\n  {\n   "testbed": "digits",'
    )
