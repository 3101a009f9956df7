"""Drawings: what stands in a figure lies where its numbers are, read from the figure before it becomes SVG."""

from __future__ import annotations

import numpy as np
import pytest
from curve_samples import curve
from record_samples import case, failed, finding, scored, utility
from solidmark.reports import drawing, finding_figure, forest, trade_off

from solidmark.leaderboard import build_leaderboard


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, in order; SVG is made of each as ever."""
    drawn, svg = [], drawing.svg

    def keep(figure, *rest):
        drawn.append(figure)
        return svg(figure, *rest)

    for module in (finding_figure, forest, trade_off):
        monkeypatch.setattr(module, "svg", keep)
    return drawn


def lines(figure):
    """Marker and data of everything that was plotted."""
    return [(line.get_marker(), *(tuple(np.round(axis, 6)) for axis in line.get_data())) for line in figure.axes[0].lines]


@pytest.fixture(scope="module")
def board():
    two = {"outpaint": scored(0.2), "average": scored(0.6)}
    rows = [case(m=0.9, seed=s, queries=two, utility=utility(200)) for s in range(3)]
    settings = {1: (0.3, 190), 2: (0.1, 150), 3: (0.05, 70)}
    rows += [
        case(f"x(a={a})", seed=s, stage="training", queries={**two, "average": scored(m + 0.01 * s)}, utility=utility(right))
        for a, (m, right) in settings.items()
        for s in range(3)
    ]
    return build_leaderboard(rows)


@pytest.fixture
def drawn(board, figures):
    """The trade-off of the one family, and its figure."""
    (shown,) = board.matched[0].curves_on("accuracy")
    rows = {row.mitigation: row for row in board.rows}
    made = trade_off.trade_off("name", shown, [], rows, 1.0)
    return shown, made, figures[0]


def test_a_setting_lies_at_the_utility_that_it_keeps_and_at_its_memory(drawn):
    shown, _, figure = drawn
    dots = {(x, y) for marker, x, y in lines(figure) if marker == "o" and len(x) == 1}
    for point in shown.points[1:3]:
        assert ((round(1 - point.loss, 6),), (round(point.memory, 6),)) in dots


def test_a_setting_that_keeps_less_than_is_shown_has_an_arrow_at_the_edge(drawn):
    shown, _, figure = drawn
    (arrow,) = [(x, y) for marker, x, y in lines(figure) if marker == "<"]
    assert arrow == ((pytest.approx(trade_off.LEAST + 0.012),), (round(shown.points[3].memory, 6),))


def test_the_star_is_the_baseline_at_its_whole_utility(drawn):
    shown, _, figure = drawn
    assert [(x, y) for marker, x, y in lines(figure) if marker == "*"] == [((1.0,), (round(shown.points[0].memory, 6),))]


def test_the_line_is_the_frontier_and_the_band_its_interval(drawn):
    shown, _, figure = drawn
    frontier = [(1 - loss, m) for loss, m in shown.line()]
    (line,) = [(x, y) for marker, x, y in lines(figure) if len(x) == len(frontier)]
    assert line[0] == pytest.approx([x for x, _ in frontier], abs=1e-6)
    assert line[1] == pytest.approx([m.value for _, m in frontier], abs=1e-6)
    (band,) = [c.get_paths()[0].vertices for c in figure.axes[0].collections]
    assert {(round(x, 6), round(m.low, 6)) for x, m in frontier} <= {tuple(np.round(v, 6)) for v in band}
    assert {(round(x, 6), round(m.high, 6)) for x, m in frontier} <= {tuple(np.round(v, 6)) for v in band}


def test_each_setting_has_its_interval_and_a_ring_for_the_leading_query(drawn, board):
    shown, _, figure = drawn
    rows = {row.mitigation: row for row in board.rows}
    plotted = lines(figure)
    for point in shown.points[1:3]:
        row, x = rows[point.mitigation], round(1 - point.loss, 6)
        assert ("None", (x, x), tuple(round(v, 6) for v in row.worst.memorization.limits)) in plotted
        assert ("o", (x,), (round(row.lead.memorization.value, 6),)) in plotted


def test_a_tip_lies_on_its_setting_and_says_its_numbers(drawn):
    shown, made, figure = drawn
    tips = [line for line in figure.axes[0].lines if (line.get_gid() or "").startswith("tip-")]
    assert [line.get_gid() for line in tips] == ["tip-0", "tip-1", "tip-2"]
    assert tips[0].get_xydata()[0] == pytest.approx((1 - shown.points[1].loss, shown.points[1].memory))
    assert "<title>x(a=1): M* 0.31 [" in made.svg
    assert "], keeps 95 %</title>" in made.svg


def test_the_words_beside_a_drawing_have_its_range(drawn):
    shown, made, _ = drawn
    memories = [point.memory for point in shown.points[1:]]
    assert made.alternative.startswith(f"x: M* from {min(memories):.2f} to {max(memories):.2f} at 3 settings")
    assert made.title == "x"
    empty = trade_off.trade_off("name", curve("y", (), ()), [], {}, 1.0)
    assert empty.alternative.startswith("y: no numbers")


def test_a_panel_shows_all_of_memory_and_of_utility_down_to_its_edge(drawn):
    axes = drawn[2].axes[0]
    low, high = axes.get_ylim()
    assert low < -0.1 < 1 < high
    assert axes.get_xlim() == pytest.approx((trade_off.LEAST, 1.03))


def test_a_forest_has_m_its_interval_and_the_held_out_control_on_each_line(figures):
    board = build_leaderboard([case(m=0.9), case("a", 0.3, stage="training"), failed("b", reason="no room")])
    rows = [row for row in board.rows if not row.baseline]
    made = forest.forest("name", "training", rows, board.rows[0])
    plotted, texts = lines(figures[0]), [text.get_text() for text in figures[0].axes[0].texts]
    for index, row in enumerate(board.rows[:2]):
        m, held_out = row.lead.memorization, row.controls.held_out.memorization
        assert ("o", (round(m.value, 6),), (index,)) in plotted
        assert ("o", (round(held_out.value, 6),), (index,)) in plotted
        assert ("None", tuple(round(v, 6) for v in m.limits), (index, index)) in plotted
    assert texts == ["none", "0.90", "58 of 64", "a", "0.30", "19 of 64", "b", "error"]
    assert made.alternative == "Forest plot: memorization M with its interval, " + drawing.summary("training", rows)


def test_the_band_of_a_forest_is_the_baselines_interval(figures):
    board = build_leaderboard([case(m=0.9), case("a", 0.3, stage="training")])
    forest.forest("name", "training", board.rows[1:], board.rows[0])
    (band,) = figures[0].axes[0].patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(board.rows[0].lead.memorization.limits)


def test_a_family_of_several_settings_has_a_heading_and_its_settings_below(figures):
    rows = build_leaderboard([case(f"a(x={x}, y=2)", 0.3, stage="training") for x in (1, 2)]).rows
    forest.forest("name", "training", rows, None)
    texts = [(text.get_text(), text.get_position()[1]) for text in figures[0].axes[0].texts]
    assert [text for text in texts if text[0] in ("a", "x 1.0", "x 2.0")] == [("a", 0), ("x 1.0", 1), ("x 2.0", 2)]


def test_the_summary_of_a_stage_has_its_range():
    rows = build_leaderboard([case("a", 0.3, stage="training"), case("b", 0.7, stage="training")]).rows
    assert drawing.summary("training", rows).startswith("2 rows of stage training, M from 0.30 to 0.70")
    assert "none of them with numbers" in drawing.summary("training", [])


@pytest.mark.parametrize(("text", "shown"), [("abcd", "abcd"), ("abcde", "abc…")])
def test_a_long_text_is_cut_to_its_length(text, shown):
    assert drawing.shorten(text, 4) == shown


def test_curves_differ_by_colour_and_marker():
    looks = [drawing.curve_look(number) for number in range(8)]
    assert len({look["color"] for look in looks}) == len({look["marker"] for look in looks}) == 8
    assert drawing.curve_look(8)["color"] == looks[0]["color"]


def of_finding(figures, x):
    """The figure of a finding over these x, with its two series: text makes lines, numbers an axis."""
    (outcome,) = build_leaderboard([finding(x=x)]).findings
    finding_figure.figure("name", outcome.finding)
    return figures[0], outcome.finding.series


def test_a_finding_over_numbers_has_its_points_where_they_are(figures):
    drawn, series = of_finding(figures, (0.0, 1.0, 4.0))
    heights = [tuple(np.round(line.get_ydata(), 6)) for line in drawn.axes[0].lines]
    for one in series:
        assert tuple(np.round(one.y, 6)) in heights
    assert any(tuple(line.get_xdata()) == (0.0, 1.0, 4.0) for line in drawn.axes[0].lines)


def test_a_finding_over_names_has_a_line_a_name_with_value_and_interval_across(figures):
    drawn, series = of_finding(figures, ("one", "two", "three"))
    plotted = lines(drawn)
    for number, one in enumerate(series):
        rows = tuple(round(index + 0.6 * ((number + 0.5) / 2 - 0.5), 6) for index in range(3))
        assert any((x, y) == (tuple(np.round(one.y, 6)), rows) for _, x, y in plotted)
        for row, low, high in zip(rows, one.low, one.high, strict=True):
            assert ("None", (round(low, 6), round(high, 6)), (row, row)) in plotted
    assert [text.get_text() for text in drawn.axes[0].texts] == ["one", "two", "three"]
