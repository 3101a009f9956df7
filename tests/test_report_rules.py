"""Rules of the reports by small cases: what a row lacks, edges of drawings, words where they change, filters and orders."""

import itertools
import re
from dataclasses import replace
from types import SimpleNamespace

import board_samples as boards
import pytest
from curve_samples import curve
from record_samples import HOSTILE, case, failed
from solidmark.reports import (
    agreement,
    anchors,
    answer,
    by_query,
    columns,
    families,
    family_curve,
    finding_cards,
    gallery,
    markdown,
    matched_columns,
    matched_table,
    overview,
    page,
    plot,
    prose,
    ranking_table,
    remembered,
    sheet,
    table,
    wrong,
)
from yardstick_samples import world

from solidmark.findings import Step
from solidmark.leaderboard import Incident, Row, Share, build_leaderboard
from solidmark.leaderboard.answer import Answer, Shown
from solidmark.leaderboard.excess import CurveVerdict
from solidmark.leaderboard.measures import content_of
from solidmark.leaderboard.placing import Place, Role
from solidmark.schema.numbers import Estimate

REAL, EQUAL, UNDECIDED, WORSE = CurveVerdict.REAL, CurveVerdict.EQUAL, CurveVerdict.UNDECIDED, CurveVerdict.WORSE
FRAME = plot.Frame(820, 40, 500, 10, 110, 536, 20)


# What a row lacks

BARE = Row("digits", "x", "x", "sampling", False, (), "", {}, {}, "error", "it broke", ())
KNOWN = {"testbed", "mitigation", "stage", "seeds", "status", "control", "reason"}
"""Columns of what is known of any row."""


@pytest.mark.parametrize("name", ["each", "bare"])
def test_a_row_without_numbers_has_a_dash_in_every_column_of_numbers(name):
    grid = columns.table(getattr(boards, name)())
    shown = {column.key: column.cell(BARE) for column in grid.columns}
    assert {key for key, cell in shown.items() if cell.value != table.EMPTY} == KNOWN
    assert all(cell.order is None for key, cell in shown.items() if key not in KNOWN)


def test_a_line_of_a_query_that_was_not_asked_has_a_dash_in_every_column():
    shown = {column.key: column.cell(by_query.Line("average", reason="no border")).value for column in by_query.COLUMNS}
    assert shown.pop("query") == "average"
    assert {*shown.values()} == {table.EMPTY}
    told = by_query.Line("average", reason="no border").cells
    assert [cell.value for cell in told] == ["average", "not applicable: no border"]


def test_a_family_without_a_row_has_no_cost_in_the_ranking():
    board = boards.keys()
    comparison = board.matched[0]
    for line in ranking_table.ranking_lines(board, board.testbeds[0]):
        alone = replace(line, row=None, keys=None, content=None)
        cells = {c.key: c.cell(alone).value for c in ranking_table.ranking_columns(comparison)}
        assert cells["family"].startswith(line.family.family)
        assert (cells["training"], cells["sampling"]) == (table.EMPTY, table.EMPTY)


# The overview and its drawing


def shown(kept=1.0, keys=0.5, content=None, role=Role.FAMILY, verdict=None, mitigation="x(a=1)"):
    found = None if verdict is None else SimpleNamespace(verdict=verdict)
    row = replace(BARE, mitigation=mitigation, family=mitigation.partition("(")[0])
    return Shown(row, Place(role, kept, keys, content, family=found))


@pytest.mark.parametrize(("kept", "edge"), [(0.5, ""), (0.499, " ◂"), (1.06, ""), (1.061, " ▸"), (1.0, "")])
def test_a_family_beyond_an_edge_has_an_arrow_to_its_side(kept, edge):
    told = str(overview._one(FRAME, shown(kept), 50.0, "?"))
    assert f'<tspan class="sign">?</tspan> x{edge} <tspan class="value">0.50</tspan>' in told
    assert f"<title>x(a=1): keys 0.50 [0.50, 0.50], keeps {100 * kept:.0f} %</title>" in told


def test_a_family_is_led_from_its_mark_to_its_name():
    told = str(overview._one(FRAME, shown(1.0, 0.47), 50.0, ""))
    x, y = 40 + 0.5 / 0.56 * 460, 110 - 0.55 / 1.1 * 100
    assert f'<path class="leader" d="M{x + 5:.1f} {y:.1f}L508 50.0H532"/>' in told
    assert '<text x="536" y="54.0">' in told
    assert f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>' in told


@pytest.mark.parametrize(
    ("one", "look", "sign", "shape"),
    [
        (shown(role=Role.BASELINE), "pinned baseline", "★", "star"),
        (shown(role=Role.GOLD), "pinned gold", "◆", "diamond"),
        (shown(verdict=REAL), "real", "✓", "circle"),
        (shown(verdict=EQUAL, content=0.6), "equal", "=", "square"),
        (shown(verdict=WORSE, content=0.4), "worse", "✗", "circle"),
        (shown(), "undecided", "?", "circle"),
    ],
)
def test_a_family_looks_as_its_verdict_and_as_what_it_is(one, look, sign, shape):
    assert (overview._look(one), overview._sign(one), overview._shape(one)) == (look, sign, shape)


@pytest.mark.parametrize(("labels", "bottom"), [(5, 110), (6, 130), (0, 110)])
def test_an_overview_grows_with_its_names(labels, bottom):
    assert overview._frame(FRAME, labels) == replace(FRAME, bottom=bottom)


@pytest.mark.parametrize(("decides", "signs"), [(True, ["★", "✓", "?"]), (False, ["★", "", ""])])
def test_names_stand_in_the_order_of_what_is_left_and_have_a_sign_where_seeds_suffice(decides, signs):
    each = [shown(keys=0.1, mitigation="low"), shown(keys=0.4, verdict=REAL, mitigation="mid")]
    each += [shown(keys=0.9, role=Role.BASELINE, mitigation="none")]
    told = [str(one) for one in overview._named(FRAME, each, decides=decides)]
    assert [re.search(r"</tspan> (\w+) ", one).group(1) for one in told] == ["none", "mid", "low"]
    assert [re.search(r'"sign">(.?)</tspan>', one).group(1) for one in told] == signs


@pytest.mark.parametrize(
    ("wanted", "apart", "low", "high", "found"),
    [
        ([], 10, 0, 100, []),
        ([5, 5], 10, 0, 100, [0, 10]),
        ([50, 50], 10, 0, 100, [45, 55]),
        ([50, 50, 53], 10, 0, 100, [41, 51, 61]),
        ([99, 99], 10, 0, 100, [90, 100]),
        ([10, 60, 60], 10, 0, 100, [10, 55, 65]),
        ([0, 0, 0], 60, 0, 100, [0, 60, 120]),
        ([20, 30], 10, 0, 100, [20, 30]),
    ],
)
def test_names_that_would_overlap_move_apart_round_their_mean(wanted, apart, low, high, found):
    assert overview.spread(wanted, apart, low, high) == pytest.approx(found)


def test_the_reference_of_an_overview_is_named_where_its_curve_ends_or_below():
    short, long = curve("stop", (0.8, 0.4), (0.0, 0.1)), curve("stop", (0.8, 0.4), (0.0, 0.4))
    frame, y = replace(FRAME, right=700), FRAME.y(0.4) + 4
    for drawn, kept in ((short, 0.75), (long, 0.6)):
        assert f'x="{frame.x(kept) - 5:.0f}" y="{y:.1f}" text-anchor="end">stop<' in overview._reference(
            frame, drawn, narrow=False
        )
    assert "text" not in overview._reference(frame, short, narrow=True)
    least = 40 + 110 * 0.56 / 0.25  # as wide as the name needs at the end of what is compared
    for right, anchor in ((least + 0.1, "end"), (least - 0.1, "start")):
        assert f'text-anchor="{anchor}"' in overview._reference(replace(FRAME, right=right), short, narrow=False)
    told = overview._reference(replace(FRAME, right=200), short, narrow=False)
    assert f'x="{40 + 0.4 / 0.56 * 160 + 6:.0f}" y="{FRAME.y(0.4) + 16:.1f}" text-anchor="start">stop<' in told


@pytest.mark.parametrize(("lost", "flat"), [((0.0, 0.1), True), ((0.0, 0.25), False), ((0.0, 0.4), False)])
def test_a_reference_goes_on_dotted_over_the_utility_that_is_compared(lost, flat):
    told = str(plot.line(FRAME, curve("stop", (0.8, 0.4), lost), "reference", flat=True))
    assert ("reference flat" in told) is flat
    assert "reference flat" not in plot.line(FRAME, curve("stop", (0.8, 0.4), lost), "reference")


@pytest.mark.parametrize(
    ("shape", "kept", "drawn"),
    [
        ("circle", 0.5, 'cx="40.0" cy="60.0"'),
        ("circle", 1.06, 'cx="500.0" cy="60.0"'),
        ("circle", 0.49, "M40.0 55.0v10l-8-5z"),
        ("circle", 1.07, "M500.0 55.0v10l8-5z"),
        ("square", 0.5, "M36.0 56.0h8v8h-8z"),
        ("square", 0.49, "M40.0 55.0v10l-8-5z"),
        ("star", 0.5, f"M40.0 52.0{plot.STAR}"),
        ("diamond", 0.5, f"M40.0 54.0{plot.DIAMOND}"),
    ],
)
def test_a_mark_lies_at_its_place_and_one_of_a_setting_beyond_an_edge_is_an_arrow(shape, kept, drawn):
    assert drawn in plot.mark(FRAME, kept, 0.47, shape)


def test_a_band_and_a_line_end_where_half_of_the_utility_is_kept():
    whole = curve("x", (0.9, 0.1), (0.0, 0.5))
    assert len(plot.places(FRAME, whole)) == 51
    assert plot.places(FRAME, whole)[-1][0] == pytest.approx(FRAME.left)
    assert plot.band(FRAME, replace(whole, seeds=whole.seeds[:1], points=whole.points), "band own") == ""


@pytest.mark.parametrize(
    ("curves", "words"),
    [(0, "leave against the utility"), (2, "furthest below its reference (a, b);")],
)
def test_an_overview_says_what_it_shows(curves, words):
    found = SimpleNamespace(families=(1, 2, 3))
    told = overview._alternative(found, [SimpleNamespace(family=name) for name in "ab"[:curves]])
    assert told.startswith("What 3 families")
    assert words in told


# Words where they change


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (page.position, -0.2, "0.0"),
        (page.position, -0.1, "0.0"),
        (page.position, 0.45, "50.0"),
        (page.position, 1.0, "100.0"),
        (page.position, 1.2, "100.0"),
        (page.share, -0.1, "0.0"),
        (page.share, 0.125, "12.5"),
        (page.share, 1.1, "100.0"),
        (page.gray, -0.1, "rgb(0 0 0)"),
        (page.gray, 0.5, "rgb(128 128 128)"),
        (page.gray, 1.1, "rgb(255 255 255)"),
        (page.probability, 0.001, "0.001"),
        (page.probability, 0.00099, "1 × 10⁻³"),
        (page.probability, 0.0, "below 10⁻³⁰⁰"),
        (page.probability, 4.4e-17, "4 × 10⁻¹⁷"),
        (page.digits, 0.123456, "0.1235"),
        (page.digits, 12, "12"),
        (page.interval, Estimate(0.5, 0.4, 0.6), "[0.40, 0.60]"),
        (page.interval, Estimate(0.5), ""),
        (page.code, "a `b < c` d", "a <code>b &lt; c</code> d"),
        (page.code, "`a`", "<code>a</code>"),
        (page.link_arxiv, "of arXiv 2503.00592, `x`", "2503.00592</a>, <code>x</code>"),
        (prose.sentence, "", ""),
        (finding_cards.digits, 999.4, "999"),
        (finding_cards.digits, 1000.0, "1,000"),
        (finding_cards.digits, -1234.5, "-1,234"),
        (finding_cards.digits, -0.0001, "-0.0001"),
        (finding_cards.at, "name", "name"),
        (finding_cards.at, 0.25, "0.25"),
        (columns.reported_text, {}, None),
        (columns.reported_text, {"a": 0.123456, "b": "fast", "c": 3}, "a 0.1235, b fast, c 3"),
        (markdown.escape, "a|b * c_d `e` <f> & [g](h)", "a\\|b \\* c_d \\`e\\` &lt;f&gt; &amp; \\[g](h)"),
        (markdown.escape, "[g] of a\n b", "[g] of a b"),
        (finding_cards.method_of, "claims-a-b-2", "a-b"),
        (finding_cards.method_of, "validity-a-2", ""),
        (families._percent, None, None),
        (families._percent, 0.5, 50.0),
    ],
)  # fmt: skip
def test_a_value_is_written_so(function, value, text):
    found = function(value)
    assert (text in found) if text and function is page.link_arxiv else found == text


@pytest.mark.parametrize(
    ("verdict", "word"),
    [((True, "0.5"), "yes: 0.5"), ((False, ""), "no"), ((None, "0.5"), "not sure: 0.5"), ((None, ""), "not measured")],
)
def test_a_step_is_told_with_what_was_found(verdict, word):
    seen, found = verdict
    assert finding_cards._step(Step("reach", "Is it?", seen=seen, found=found)) == word


def answered(verdicts, seeds):
    each = tuple(SimpleNamespace(verdict=kind) for kind in verdicts)
    return Answer(each, (), (), None, {}, seeds, 2 * len(each))


FACTS = SimpleNamespace(title="digits")


@pytest.mark.parametrize(
    ("verdicts", "seeds", "words"),
    [
        ([], (0, 0), "No mitigation was compared with a reference on digits."),
        ([UNDECIDED], (1, 1), "1 mitigation on digits, one seed: a look, no verdict."),
        ([UNDECIDED] * 2, (2, 2), "2 mitigations on digits, two seeds: a look, no verdict."),
        ([UNDECIDED], (0, 0), "1 mitigation on digits, no seed in common: a look, no verdict."),
        ([EQUAL], (3, 3), "None of 1 mitigations is proven to leave less memory at equal utility on digits."),
        ([REAL, EQUAL], (3, 3), "One of 2 mitigations leaves less memory at equal utility on digits."),
        ([REAL] * 12, (3, 3), "Twelve of 12 mitigations leave less memory at equal utility on digits."),
        ([REAL] * 13, (3, 3), "13 of 13 mitigations leave less memory at equal utility on digits."),
    ],
)
def test_the_headline_counts_what_is_real(verdicts, seeds, words):
    assert answer._headline(answered(verdicts, seeds), FACTS) == words


@pytest.mark.parametrize(
    ("verdicts", "seeds", "keys_only", "words"),
    [
        ([], (0, 0), True, ""),
        ([UNDECIDED], (1, 2), True, "Verdicts need 3 seeds: `--profile standard`"),
        ([UNDECIDED], (1, 2), False, "by the worse of keys and content."),
        ([REAL], (3, 3), True, "hold no content, with 95 % intervals over 3 seeds, corrected for all 2 comparisons."),
        ([REAL, EQUAL, WORSE, WORSE], (3, 5), False, "to 5 seeds, corrected for all 8 comparisons. The others: 1 equal, 2"),
    ],
)  # fmt: skip
def test_how_sure_the_answer_is_is_told(verdicts, seeds, keys_only, words):
    told = answer._sure(answered(verdicts, seeds), keys_only)
    assert (words in told) if words else told == ""
    assert ("The others" in told) == (len(verdicts) > 1)


def test_a_winner_has_the_smallest_of_its_excesses_and_the_setting_that_is_shown():
    excesses = zip(("keys", "content", "together"), (0.4, 0.2, 0.3), strict=True)
    each = {name: SimpleNamespace(family="b", seeds=(0, 1, 2), estimate=Estimate(v, v, v)) for name, v in excesses}
    verdict = SimpleNamespace(**each)
    families = tuple(replace(shown(0.98, 0.19, mitigation=name)) for name in ("a", "b"))
    winner = answer._winner(verdict, replace(answered([], (3, 3)), families=families))
    assert (winner.family, winner.seeds, winner.text) == ("b", "0-2", "+0.20 [+0.20, +0.20]")
    assert winner.shown is families[1]
    assert winner.at == "0.19 left at 98 % of the utility; with less loss only as a coin between it and no mitigation"
    assert replace(winner, shown=replace(winner.shown, place=Place(Role.FAMILY, 0.98, 0.19, verdict=REAL))).at.endswith(
        "utility"
    )
    assert replace(winner, shown=None).at == ""


def bounded(family, low, verdict=UNDECIDED, width=0.4):
    """A verdict by keys, with an interval that begins at `low`."""
    excess = SimpleNamespace(family=family, seeds=(0, 1, 2), estimate=Estimate(low + width / 2, low, low + width))
    return SimpleNamespace(keys=excess, content=None, together=None, verdict=verdict)


def test_where_none_is_proven_the_undecided_with_the_highest_bounds_are_listed():
    lows = {"a": 0.1, "b": -0.1, "c": 0.2, "d": 0.0, "e": -0.05, "f": 0.05, "little": -0.16}
    unknown = SimpleNamespace(**{**vars(bounded("u", 0.3)), "keys": SimpleNamespace(estimate=Estimate(0.9))})
    verdicts = (*itertools.starmap(bounded, lows.items()), bounded("equal", 0.3, EQUAL), unknown)
    told = answer._nearest(Answer(verdicts, (), (), None, {}, (3, 3)))
    assert [one.family for one in told] == ["c", "a", "f", "d", "e"]
    assert told[0].text == "+0.40 [+0.20, +0.60]"


def test_what_is_near_is_told_by_the_yardstick_with_the_lowest_bound():
    verdict = bounded("a", 0.2)
    verdict.together = bounded("a", 0.1, width=0.8).keys
    (one,) = answer._nearest(Answer((verdict,), (), (), None, {}, (3, 3)))
    assert one.text == "+0.50 [+0.10, +0.90]"


def test_twelve_winners_are_listed_and_the_others_counted(monkeypatch):
    monkeypatch.setattr(answer, "overview", lambda *words, **more: None)
    monkeypatch.setattr(answer, "_winner", lambda verdict, found: verdict)
    monkeypatch.setattr(prose, "sizes", lambda board, facts: "sizes")
    board = SimpleNamespace(comparison=lambda facts: SimpleNamespace(keys_only=True))
    for count, further in ((12, 0), (13, 1), (15, 3)):
        first = answer._first(0, board, FACTS, answered([REAL] * count, (3, 3)))
        assert (len(first.winners), first.further, first.models, first.keys_only) == (12, further, "Sizes.", True)


# The table of the page


EMPTY = dict.fromkeys(("testbed", "solver", "stage", "verdict", "fidelity", "kept"), "")


def line(needs=(), **data):
    row = SimpleNamespace(baseline=data.get("stage") == "none", needs=needs)
    return SimpleNamespace(data={**EMPTY, **data}, row=row)


def test_the_table_can_be_narrowed_to_what_rows_differ_in():
    rows = [line(stage="none", testbed="z"), line(stage="sampling", testbed="a", verdict="real", kept="0.9")]
    rows += [line(stage="training", testbed="a", needs=("captions",))]
    found = dict(sheet._filters(rows))
    assert found["stage"] == {"sampling": "sampling", "training": "training"}
    assert found["needs"] == {"captions": "captions", "nothing": "nothing"}
    assert [*found] == ["stage", "needs", "kept"]
    assert found["kept"] == {"0.95": "at least 95 %", "0.75": "at least 75 %"}
    assert sheet._filters(rows[:1]) == []


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (table.Cell("a", order="a"), "a"),
        (table.Cell("a"), "a"),
        (table.Cell("0.50", order=0.5), ["0.50", "", "", 0.5]),
        (table.Cell("0.5", "[0, 1]", order="0.5"), ["0.5", "[0, 1]", "", "0.5"]),
        (table.Cell("0.5", comparison="chance"), ["0.5", "", "chance", None]),
        (table.Cell("x", order=1 / 3), ["x", "", "", 0.333333]),
    ],
)
def test_a_cell_is_short_where_it_is_text_alone(cell, told):
    assert sheet._short(cell) == told


def test_names_do_not_end_the_script_that_they_stand_in():
    assert str(sheet.embed([HOSTILE])).count("<") == 0
    assert sheet.embed({"a": "<&>"}) == '{"a":"\\u003c\\u0026\\u003e"}'


@pytest.mark.parametrize(
    ("role", "verdict", "word"), [(Role.GOLD, REAL, "gold standard"), (Role.FAMILY, REAL, "real"), (Role.FAMILY, None, "")]
)
def test_a_line_of_the_table_wears_one_word(role, verdict, word):
    place = Place(role, 0.987654, 0.1, verdict=verdict)
    assert sheet.Line(BARE, place, [], {}).word == word
    data = sheet._data(replace(BARE, needs=("a", "b"), solver={"name": "ddim"}), place)
    assert (data["verdict"], data["kept"], data["needs"], data["solver"]) == (word, "0.9877", "a, b", "ddim")
    assert sheet._data(BARE, Place(role))["kept"] == ""


def test_columns_are_in_view_where_they_say_something():
    one, decides = SimpleNamespace(testbed="a", content=None), SimpleNamespace(decides=True)
    two, undecided = SimpleNamespace(testbed="b", content=object()), SimpleNamespace(decides=False)
    told = sheet._told(SimpleNamespace(rows=[one, one]), [undecided, undecided])
    assert told == {"testbed": False, "verdict": False, "content": False}
    told = sheet._told(SimpleNamespace(rows=[one, two]), [undecided, decides])
    assert told == {"testbed": True, "verdict": True, "content": True}


def test_scales_and_looks_of_columns():
    columns_ = {column.key: page.looks(column) for column in columns.table(boards.both()).columns}
    assert (columns_["memorization"], columns_["mitigation"], columns_["reason"]) == ("num", "", "long")


# Orders, anchors, what went wrong


def test_an_anchor_is_plain_or_has_a_digest():
    assert anchors.anchor_of("digits", "", "rna") == "at-digits--rna"
    odd, other = anchors.anchor_of("digits", "a b"), anchors.anchor_of("digits", "a.b")
    assert odd.startswith("at-digits--a-b-")
    assert odd != other
    assert re.fullmatch(r"at-digits--a-b-[0-9a-f]{6}", odd)


def incident(slug, status, mitigation="", testbed="digits", reason="why"):
    return Incident(slug, testbed, mitigation, status, reason, "gw0", None, "")


def test_what_does_not_apply_is_told_by_its_reason_and_is_no_fault():
    names = {"s1": "a(x=1)", "s2": "a(x=2)", "s3": "b"}
    each = [incident(slug, "unsupported", name) for slug, name in names.items()]
    each += [incident("s4", "unsupported", reason="other"), incident("s5", "error", "c")]
    board = SimpleNamespace(incidents=each, testbeds=[1], faults=["one", "two"])
    found = wrong.wrong(board)
    assert found.unsupported == [("a, b", "why"), ("s4", "other")]
    assert ([one.slug for one in found.incidents], found.count) == (["s5"], 3)
    several = wrong.wrong(SimpleNamespace(**{**vars(board), "testbeds": [1, 2]}))
    assert several.unsupported[0] == ("a on digits, b on digits", "why")


def test_pictures_of_a_page_are_of_the_baseline_and_of_the_rows_nearest_to_each_sight():
    rows = [
        SimpleNamespace(lead=SimpleNamespace(memorization=Estimate(m)), baseline=m == 0.9)
        for m in (0.9, 0.3, 0.1, 0.8, 0.55)
    ]
    board = SimpleNamespace(
        baseline=lambda facts: rows[0], of=lambda facts: [*rows, SimpleNamespace(lead=None, baseline=False)]
    )
    assert gallery.choose_rows(board, None) == [rows[0], rows[3], rows[4], rows[1], rows[2]]
    alone = SimpleNamespace(baseline=lambda facts: None, of=lambda facts: rows[1:2])
    assert gallery.choose_rows(alone, None) == [rows[1]]


def picture(p, keys=(0.5, 0.25), predictions=(0.25, 0.25)):
    return gallery.Picture("a", True, (), keys, predictions, p)


def test_extremes_are_the_pictures_that_are_remembered_best_and_least(monkeypatch):
    asked = []
    for count, found in ((3, (0.01, 0.9)), (1, None), (0, None)):
        pictures = tuple(picture(p) for p in (0.5, 0.01, 0.9)[:count])
        monkeypatch.setattr(
            gallery, "_wall", lambda row, runs, shown, p=pictures: asked.append(shown) or gallery.Wall(row, p)
        )
        wall = gallery.extremes(BARE, [])
        assert (wall and tuple(one.combined_p for one in wall.pictures)) == found
    assert asked[0] == {True: None, False: 0}


def test_the_distance_of_a_picture_is_the_mean_over_its_keys():
    assert picture(0.5).distance == 0.125
    assert picture(0.5, (), ()).distance == 0.0


@pytest.mark.parametrize(
    ("joint", "told", "cell"),
    [
        ((REAL, False), True, ("real", "")),
        ((WORSE, True), True, ("worse", "keys only")),
        ((WORSE, True), False, ("worse", "")),
    ],
)
def test_a_verdict_by_keys_alone_is_told_where_others_have_content(joint, told, cell):
    found = matched_columns._verdict_cell((SimpleNamespace(verdict=joint[0], keys_only=joint[1]), told), "")
    assert (found.value, found.comparison) == cell


@pytest.mark.parametrize(
    ("estimate", "p", "text"), [(None, None, None), (Estimate(0.1), None, "too few seeds"), (Estimate(0.1), 0.0123, "0.012")]
)
def test_a_corrected_p_is_told_where_there_is_an_excess(estimate, p, text):
    assert matched_table.p_text(SimpleNamespace(estimate=estimate, p=p)) == text


def ranked(value):
    return SimpleNamespace(matched=Estimate(value))


@pytest.mark.parametrize(
    ("keys", "content", "word"),
    [(0.3, 0.2, "keys"), (0.2, 0.3, "content"), (0.2, 0.2, "content"), (None, 0.2, None), (0.2, None, None)],
)
def test_the_ranking_names_the_yardstick_that_leaves_more(keys, content, word):
    line = SimpleNamespace(keys=keys and ranked(keys), content=content and ranked(content))
    assert ranking_table._worse(line) == word


def score(value):
    return SimpleNamespace(auroc=Estimate(value, value - 0.1, value + 0.05, chance=0.5))


def pictured(own, other):
    """A row of one seed with these scores."""
    attempt = SimpleNamespace(seed=0, content_own=own and own.auroc, content_any=other.auroc)
    return replace(BARE, content=SimpleNamespace(own=own, any=other), attempts=(attempt,))


def test_content_is_the_area_that_finds_most_on_the_scale_of_memory():
    row = pictured(score(0.6), score(0.8))
    found = content_of(row)
    assert (found.value, found.low, found.high, found.chance) == pytest.approx((0.6, 0.4, 0.7, 0.0))
    assert content_of(pictured(None, score(0.7))).value == pytest.approx(0.4)
    assert remembered.remembered(row, "content") == found
    assert remembered.remembered(row, "worst") is None


@pytest.mark.parametrize(("stage", "own"), [("training", 1), ("sampling", 3), ("post-hoc", 5)])
def test_keys_are_those_of_the_worst_case_of_the_stage_or_of_the_leading_query(stage, own):
    one, three, five = (SimpleNamespace(memorization=n, certified=n + 1) for n in (1, 3, 5))
    rows = replace(BARE, stage=stage, queries={"outpaint": five})
    rows = replace(rows, worst=one if stage == "training" else None, worst_service=three)
    assert (remembered.keys(rows), remembered.certified(rows)) == (own, own + 1)


def test_keys_with_weights_are_told_of_what_acts_at_sampling_alone():
    worst = SimpleNamespace(memorization=7)
    assert families._weights(replace(BARE, worst=worst)) == 7
    assert families._weights(replace(BARE, worst=worst, stage="training")) is None
    assert families._weights(BARE) is None


def test_seeds_are_told_one_by_one_in_their_order():
    found = ((2, Estimate(0.3), None), (0, Estimate(0.1), None), (1, None, Estimate(0.2)), (3, None, None))
    each = [SimpleNamespace(seed=s, worst=worst, worst_service=None, memorization=lead) for s, worst, lead in found]
    row = replace(BARE, stage="training", attempts=tuple(each))
    assert families._each_seed(row) == "0.10, 0.20, 0.30"
    assert families._each_seed(replace(row, attempts=tuple(each[:1]))) is None


@pytest.mark.parametrize(
    ("role", "verdict", "reason", "worn"),
    [
        (Role.GOLD, REAL, "", None),
        (Role.FAMILY, REAL, "why", "real"),
        (Role.FAMILY, None, "why", "why"),
        (Role.FAMILY, None, "", None),
    ],
)
def test_a_setting_wears_its_verdict_or_says_why_it_wears_none(role, verdict, reason, worn):
    assert families._worn(Place(role, verdict=verdict, reason=reason)) == worn


def test_a_ring_is_drawn_where_the_leading_query_is_one_of_several():
    lead = SimpleNamespace(memorization=Estimate(0.47))
    row = replace(BARE, queries={"outpaint": lead}, worst=SimpleNamespace(queries=2))
    keys, content = curve("x"), replace(curve("x"), measure="content")
    x, y = family_curve.PANEL.x(0.8), family_curve.PANEL.y(0.47)
    assert f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' == family_curve._ring(keys, row, 0.8)
    assert family_curve._ring(content, row, 0.8) == ""
    assert family_curve._ring(keys, replace(row, worst=SimpleNamespace(queries=1)), 0.8) == ""
    assert family_curve._ring(keys, replace(row, worst=None), 0.8) == ""
    assert family_curve._ring(keys, replace(row, queries={}), 0.8) == ""


def test_points_of_two_testbeds_lie_across_and_up():
    told = str(agreement._point(agreement.SQUARE, ("x", 0.25, 0.5), 100.0))
    x, y = 34 + 0.33 / 1.1 * 266, 276 - 0.58 / 1.1 * 266
    assert f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' in told
    assert f"M{x + 4:.1f} {y:.1f}L304 100.0H314" in told
    assert "<title>x: 0.25 and 0.50</title>" in told
    assert '<text x="318" y="104.0">x</text>' in told


def test_a_reason_that_all_settings_and_seeds_share_stands_once_where_they_are_listed():
    names = ("lost(a=1)", "lost(a=2)")
    lost = [failed(name, seed, reason="No base. Take another.") for name in names for seed in (0, 1, 2)]
    board = build_leaderboard([*world("honest"), *lost])
    (part,) = (one for one in families.parts(board, answer.answers(board), []) if one.first.family == "lost")
    assert part.lost == [("a=1, a=2", "error: seeds 0, 1, 2: No base. Take another.")]
    assert part.verdicts == []
    assert "No curve: seeds 0, 1, 2: No base. Take another.</p>" in page.render(board, [])


def test_a_family_without_numbers_is_neither_counted_nor_undecided():
    lost = [failed("lost", seed, status="unsupported") for seed in (0, 1, 2)]
    here = [*world("honest"), *lost]
    there = [{**one, "testbed": "other", "case_id": f"other-{n}"} for n, one in enumerate([*here, failed("lost", 3)])]
    board = build_leaderboard([*here, *there])
    found = answer.answers(board)
    first, _ = answer.first_screens(board, found)
    assert first.headline.startswith("One of 1 mitigations")
    assert "corrected for all 1 comparison." in first.sure
    told = "0 undecided; without numbers here: lost; of those read by both yardsticks, keys alone would call 1 real"
    assert matched_table.counts(board.matched[0]).endswith(told)
    assert [line.lead.family for line in matched_table.lines(board.matched[0])] == ["honest"]
    (beside,) = (each for name, each in agreement.side_by_side(board, found).lines if name == "lost")
    assert [(one.verdict, one.word) for one in beside] == [(None, "not applicable here"), (None, "no numbers")]


def test_one_testbed_has_none_beside_it():
    board = build_leaderboard([case()])
    assert agreement.side_by_side(board, answer.answers(board)) is None


@pytest.mark.parametrize(("low", "high", "text"), [(0.4, 0.6, "[0.40, 0.60]"), (None, 0.6, ""), (0.4, None, "")])
def test_an_interval_is_told_where_both_ends_are_known(low, high, text):
    assert table._interval(Estimate(0.5, low, high), table.TWO) == text
    assert table.with_interval(Estimate(0.5, low, high)) == f"0.50 {text}".strip()
    assert table.with_interval(Share(1, 4, 0.1, 0.5, 0.0)) == "0.25 [0.10, 0.50]"
