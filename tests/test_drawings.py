"""Drawings: what stands in a figure lies where its numbers are, read from the figure before it becomes SVG."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from curve_samples import curve
from record_samples import case, finding, scored, utility
from solidmark.reports import drawing, family_curve, finding_figure, plot

from solidmark.leaderboard import build_leaderboard


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, in order; SVG is made of each as ever."""
    drawn, svg = [], drawing.svg

    def keep(figure, *rest):
        drawn.append(figure)
        return svg(figure, *rest)

    monkeypatch.setattr(finding_figure, "svg", keep)
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


@pytest.fixture(scope="module")
def drawn(board):
    """The curve of the one family, and its drawing as XML."""
    (shown,) = board.matched[0].curves_on("accuracy")
    rows = {row.mitigation: row for row in board.rows}
    return shown, ElementTree.fromstring(family_curve.family_curve("name", shown, [], rows))


def circles(svg, looks):
    """Centres of all circles of a look, in pixels to a tenth."""
    return [(float(c.get("cx")), float(c.get("cy"))) for c in svg.iter("circle") if c.get("class") == looks]


def at(kept, memory):
    """Where a setting belongs."""
    return round(family_curve.PANEL.x(kept), 1), round(family_curve.PANEL.y(memory), 1)


def test_a_plot_is_linear_from_edge_to_edge():
    frame = family_curve.PANEL
    assert (frame.x(plot.LEAST), frame.x(plot.MOST)) == (frame.left, frame.right)
    assert (frame.y(plot.LOW), frame.y(plot.HIGH)) == (frame.bottom, frame.top)
    assert frame.x(0.75) - frame.x(0.5) == pytest.approx(frame.x(1.0) - frame.x(0.75))
    assert (frame.x(0.1), frame.x(9.0)) == (frame.left, frame.right)


def test_a_setting_lies_at_the_utility_that_it_keeps_and_at_its_memory(drawn):
    shown, svg = drawn
    assert circles(svg, "mark") == [at(1 - point.loss, point.memory) for point in shown.points[1:3]]


def test_a_setting_that_keeps_less_than_is_shown_has_an_arrow_at_the_edge(drawn):
    shown, svg = drawn
    x, y = at(plot.LEAST, shown.points[3].memory)
    assert f"M{x} {round(y - 5, 1)}v10l-8-5z" in {path.get("d") for path in svg.iter("path")}


def test_the_star_is_the_baseline_at_its_whole_utility(drawn):
    shown, svg = drawn
    (star,) = (path.get("d") for path in svg.iter("path") if (path.get("d") or "").endswith(plot.STAR))
    x, y = at(1.0, shown.points[0].memory)
    assert star.startswith(f"M{x} {round(y - 8, 1)}")


def test_the_line_is_the_frontier_and_the_band_its_interval(drawn):
    shown, svg = drawn
    line = [(1 - loss, m) for loss, m in shown.line() if 1 - loss >= plot.LEAST]
    points = {part.get("class"): part.get("points").split() for part in svg.iter() if part.get("points")}
    assert points["line own"] == ["{},{}".format(*at(kept, m.value)) for kept, m in line]
    limits = [at(kept, limit) for kept, m in line for limit in m.limits]
    assert {*points["band own"]} == {"{},{}".format(*limit) for limit in limits}


def test_each_setting_has_its_interval_and_a_ring_for_the_leading_query(drawn, board):
    shown, svg = drawn
    rows = {row.mitigation: row for row in board.rows}
    bars = {path.get("d") for path in svg.iter("path") if path.get("class") == "bar"}
    for point in shown.points[1:]:
        row, kept = rows[point.mitigation], 1 - point.loss
        low, high = (at(kept, limit) for limit in row.worst.memorization.limits)
        assert f"M{low[0]} {low[1]}V{high[1]}" in bars
        assert at(kept, row.lead.memorization.value) in circles(svg, "ring")


def test_a_title_stands_with_its_setting_and_says_its_numbers(drawn):
    titles = [group.findtext("title") for group in drawn[1].iter("g") if group.findtext("title")]
    assert [title.partition(" [")[0] for title in titles] == ["x(a=1): M* 0.31", "x(a=2): M* 0.20", "x(a=3): M* 0.20"]
    assert titles[0].endswith("], keeps 95 %")


def test_the_words_beside_a_drawing_have_its_range(drawn):
    shown, svg = drawn
    memories = [point.memory for point in shown.points[1:]]
    assert svg.findtext("title").startswith(f"x: M* from {min(memories):.2f} to {max(memories):.2f} at 3 settings")
    assert family_curve.alternative(curve("y", (), ())).startswith("y: no numbers")


def test_the_gold_standard_has_its_settings_and_no_line():
    start = replace(curve("x"), points=curve("x").points[:1])
    assert "polyline" not in family_curve.family_curve("name", replace(start, gold=True), [], {})
    assert "polyline" in family_curve.family_curve("name", start, [], {})


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
