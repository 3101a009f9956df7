"""What is told at its limits: the most that is listed, one or several, nothing to tell; with made-up counts."""

import io
import sys
from types import SimpleNamespace
from unittest import mock

import pytest
from record_samples import case, content
from solidmark.reports import agreement, answer, matched_table, plot, prose, wrong

from solidmark.cli import collection, terminal
from solidmark.leaderboard import Estimate, build_leaderboard
from solidmark.leaderboard.excess import CurveVerdict
from solidmark.leaderboard.measures import content_of
from solidmark.runner import step_summary
from solidmark.runner.colours import are_wanted
from solidmark.runner.ending import Ending

DIGITS = SimpleNamespace(title="digits")


def judged(total, real=0, decides=True, seeds=(3, 3), others=0):
    """An answer of so many verdicts, of which so many are real and so many undecided."""
    of = {CurveVerdict.REAL: [SimpleNamespace()] * real, CurveVerdict.UNDECIDED: [SimpleNamespace()] * others}
    told = {"verdicts": [None] * total, "comparisons": total, "decides": decides, "seeds": seeds}
    return SimpleNamespace(**told, of=lambda verdict: of.get(verdict, []))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (judged(0), "No mitigation was compared with a reference on digits."),
        (judged(1, decides=False, seeds=(1, 1)), "1 mitigation on digits, one seed: a look, no verdict."),
        (judged(2, decides=False, seeds=(1, 2)), "2 mitigations on digits, two seeds: a look, no verdict."),
        (judged(2, decides=False, seeds=(0, 0)), "2 mitigations on digits, no seed in common: a look, no verdict."),
        (judged(5, 0), "None of 5 mitigations is proven to leave less memory at equal utility on digits."),
        (judged(5, 1), "One of 5 mitigations leaves less memory at equal utility on digits."),
        (judged(30, 12), "Twelve of 30 mitigations leave less memory at equal utility on digits."),
        (judged(30, 13), "13 of 30 mitigations leave less memory at equal utility on digits."),
    ],
)
def test_the_headline_counts_in_words_up_to_twelve(found, words):
    assert answer._headline(found, DIGITS) == words


@pytest.mark.parametrize(
    ("found", "keys_only", "part"),
    [
        (judged(4, 4), False, "intervals over 3 seeds, corrected for all 4 comparisons."),
        (
            judged(4, 1, seeds=(3, 6), others=3),
            False,
            "intervals over 3 to 6 seeds, corrected for all 4 comparisons. The others: 3 undecided.",
        ),
        (judged(4, 4), True, "by at least 0.05 of 1, by keys alone, for these records hold no content, with 95 %"),
        (judged(4, decides=False), True, "single trainings, by keys alone, for these records hold no content."),
    ],
)
def test_how_sure_an_answer_is(found, keys_only, part):
    assert part in answer._sure(found, keys_only)
    assert answer._sure(judged(0), keys_only) == ""


@pytest.mark.parametrize(
    ("worst", "kept", "verdict", "text"),
    [
        (0.194, 0.985, "real", "0.19 left at 98 % of the utility"),
        (0.194, 0.985, None, "0.19 left at 98 % of the utility; with less loss only as a coin between it and no mitigation"),
        (None, 0.985, "real", ""),
        (0.194, None, "real", ""),
    ],
)
def test_a_winner_is_told_with_its_setting_where_that_has_numbers(worst, kept, verdict, text):
    shown = SimpleNamespace(place=SimpleNamespace(worst=worst, kept=kept, verdict=verdict))
    assert answer.Winner("a", Estimate(0.5, 0.4, 0.6), "0-2", shown).at == text
    assert answer.Winner("a", Estimate(0.5, 0.4, 0.6), "0-2", None).at == ""


@pytest.mark.parametrize(("real", "listed", "further"), [(0, 0, 0), (12, 12, 0), (13, 12, 1), (15, 12, 3)])
def test_twelve_families_are_listed_and_the_others_counted(monkeypatch, real, listed, further):
    monkeypatch.setattr(answer, "overview", lambda *_, **__: None)
    monkeypatch.setattr(answer, "_winner", lambda verdict, found: verdict)
    monkeypatch.setattr(prose, "sizes", lambda *_: "few")
    board = SimpleNamespace(comparison=lambda facts: SimpleNamespace(keys_only=False))
    first = answer._first(0, board, DIGITS, judged(20, real))
    assert (len(first.winners), first.further, first.models) == (listed, further, "Few.")


@pytest.mark.parametrize(
    ("hours", "told"), [(0.049, []), (0.05, ["0.1 hours of computing"]), (12.34, ["12.3 hours of computing"])]
)
def test_less_than_three_minutes_are_no_hours(monkeypatch, hours, told):
    monkeypatch.setattr(prose, "hours", lambda rows: hours)
    assert [part for part in prose.head_line(build_leaderboard([case()])) if "hours" in part] == told


def joint(word, keys="real", keys_only=False):
    by_keys = SimpleNamespace(verdict=CurveVerdict(keys), family="x")
    return SimpleNamespace(verdict=CurveVerdict(word), keys=by_keys, keys_only=keys_only)


@pytest.mark.parametrize(
    ("found", "keys_only", "words"),
    [
        ([], False, ""),
        ([joint("real")], True, "1 real, 0 equal, 0 worse, 0 undecided"),
        (
            [joint("real"), joint("worse")],
            False,
            "of those read by both yardsticks, keys alone would call 2 real",
        ),
        ([joint("equal", "equal"), joint("real", keys_only=True)], False, "keys alone would call 0 real; 1 by keys only"),
    ],
)
def test_verdicts_are_counted_with_what_keys_alone_would_say(found, keys_only, words):
    comparison = SimpleNamespace(axis="accuracy", verdicts_on=lambda axis: found, keys_only=keys_only, unmeasured=())
    assert matched_table.counts(comparison).endswith(words)


@pytest.mark.parametrize(
    ("excesses", "told"),
    [([], False), ([(None, None, 3)], False), ([(1, None, 3), (1, None, 5)], True), ([(1, None, 3), (1, 0.2, 6)], False)],
)
def test_too_few_seeds_are_told_where_no_family_has_a_p_value(excesses, told):
    made = [SimpleNamespace(estimate=estimate, p=p, seeds=range(seeds)) for estimate, p, seeds in excesses]
    comparison = SimpleNamespace(axis="accuracy", excesses_on=lambda axis: made)
    assert bool(matched_table.few(comparison)) is told
    assert not told or matched_table.few(comparison) == matched_table.too_few(5)


@pytest.mark.parametrize(
    ("estimate", "p", "text"), [(None, 0.1, None), (1, None, "too few seeds"), (1, 0.0123, "0.012"), (1, 1.0, "1")]
)
def test_a_p_value_is_told_in_two_digits(estimate, p, text):
    assert matched_table.p_text(SimpleNamespace(estimate=estimate, p=p)) == text


def incident(status, mitigation="x(a=1)", reason="no captions", slug="digits-x-s0"):
    return SimpleNamespace(status=status, mitigation=mitigation, reason=reason, slug=slug, testbed="digits")


@pytest.mark.parametrize(("testbeds", "where"), [(1, ""), (2, " on digits")])
def test_what_does_not_apply_is_one_line_a_reason_and_no_fault(testbeds, where):
    each = [
        incident("unsupported"),
        incident("unsupported", "x(a=2)"),
        incident("unsupported", "", slug="s"),
        incident("error"),
    ]
    found = wrong.wrong(SimpleNamespace(incidents=each, testbeds=[DIGITS] * testbeds, faults=["a fault"]))
    assert found.unsupported == [(f"x{where}, s{where}", "no captions")]
    assert (found.incidents, found.count) == (each[3:], 2)


@pytest.mark.parametrize(("own", "emitted", "value"), [(0.9, 0.8, 0.8), (0.7, 0.8, 0.6), (None, 0.6, 0.2)])
def test_content_is_what_the_better_caption_finds_on_the_scale_of_m(own, emitted, value):
    (row,) = build_leaderboard([case(content=content(own, emitted, error=0.01))]).rows
    found = content_of(row)
    assert (found.value, *found.limits) == pytest.approx((value, value - 0.04, value + 0.04))
    assert found.chance == 0


@pytest.mark.parametrize(("value", "x"), [(-0.5, 34), (plot.LOW, 34), (0.47, 167), (plot.HIGH, 300), (2.0, 300)])
def test_what_lies_beyond_a_square_is_drawn_at_its_edge(value, x):
    assert agreement._across(agreement.SQUARE, value) == pytest.approx(x)


@pytest.mark.parametrize(
    ("correlation", "words"), [(None, "no rank correlation, too few; 1 of 2"), (Estimate(0.5, 0.2, 0.7), None)]
)
def test_two_testbeds_are_told_with_their_correlation_or_why_there_is_none(correlation, words):
    both = SimpleNamespace(
        one="p", other="q", same=1, judged=2, correlation=correlation, reason="too few", left=[("a", 0.1, 0.2)], idle=0
    )
    pair = agreement._pair(0, both)
    expected = (
        f"p and q: {words} families that both decide have the same verdict." if words else "p and q: rank correlation 0.50 "
    )
    assert pair.words.startswith(expected)
    assert (pair.svg is None) is (correlation is None)


@pytest.mark.parametrize(("families", "rows", "left"), [(30, 30, 0), (31, 30, 1)])
def test_a_step_summary_has_thirty_families(monkeypatch, families, rows, left):
    monkeypatch.setattr(step_summary, "cells", lambda standing, shown: [standing.name] * 5)
    made = [SimpleNamespace(name=f"f{n}", row=SimpleNamespace(content=None)) for n in range(families)]
    text = step_summary._table(made)
    assert (text.count("f29 "), text.count("f30 ")) == (5, 0)
    assert len([line for line in text.splitlines() if line.startswith("| f")]) == rows
    assert ("more families are on the page" in text) is bool(left)
    assert f"{left} more families" in text or not left


@pytest.mark.parametrize(
    ("count", "named", "more", "ends"), [(0, 0, "", 0), (10, 10, "", 1), (11, 10, "1 more were left out", 1)]
)
def test_ten_files_that_were_left_out_are_named(capsys, count, named, more, ends):
    assert collection._left_out({f"{n}.png": "torn" for n in range(count)}) == ends
    told = capsys.readouterr().err
    assert told.count("was left out: torn") == named
    assert more in told
    assert ("more" in told) is bool(more)


class Screen(io.StringIO):
    """What is written to a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("done", "of", "told"),
    [(1, 50, ""), (20, 50, "\rasking 20 of 50"), (50, 50, "\rasking 50 of 50\n"), (3, 3, "\rasking 3 of 3\n"), (21, 50, "")],
)
def test_progress_of_a_command_is_told_now_and_then_and_at_the_end(monkeypatch, done, of, told):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    terminal.progress()("asking", done, of)
    assert screen.getvalue() == told


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [({}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)],
)
def test_a_terminal_shows_colours_unless_it_is_dumb(monkeypatch, variables, wanted):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert are_wanted(Screen()) is wanted


def test_an_end_without_a_page_says_why_and_has_no_records(tmp_path):
    found = Ending.of(tmp_path)
    assert (found.written, found.table, found.records) == ([], "", None)
    assert found.faults[0].startswith("no page was written: ")
    assert found.lost({"a"}, {"a": {"case_id": "1"}}) == []


def test_lost_are_cases_that_ended_and_have_no_record():
    plan = {slug: {"case_id": f"id-{slug}"} for slug in "abc"}
    found = Ending(records=[{"case_id": "id-a"}])
    assert found.lost({"a", "b"}, plan) == ["b"]
    assert Ending(records=[]).lost(set(), plan) == []


def test_an_end_without_a_page_tells_what_failed(tmp_path):
    with mock.patch("solidmark.leaderboard.render.render", side_effect=OSError("full")):
        assert Ending.of(tmp_path).lines() == ["no page was written: OSError: full"]
    assert Ending().lines() == []
