"""The figure of a finding: lines where x are numbers, points with intervals where they are names, and chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from solidmark.leaderboard import Estimate, Finding, Series

from .drawing import INKS, Drawing, canvas, curve_look, shorten, style, svg, tip, write
from .finding_cards import at, digits, interval, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.2
MOST_TICKS = 10
"""An axis by powers has a tick at each x up to so many."""


def figure(name: str, finding: Finding) -> Drawing | None:
    """All series of a finding; None where it has no points. `name` makes the ids of this drawing unique."""
    numbers = points(finding)
    if not numbers:
        return None
    tips: list[str] = []
    with style():
        drawn = _lines(finding, tips) if _numeric(finding) else _points(finding, tips)
        text = svg(drawn, f"finding-{name}", tips)
    size = f"{len(finding.series)} series, {len(numbers)} points with intervals"
    alternative = f"{finding.y_title} against {finding.x_title}, {size}; every number is listed below"
    return Drawing(finding.title, text, alternative)


def _numeric(finding: Finding) -> bool:
    return all(not isinstance(x, str) for series in finding.series for x in series.x)


def _lines(finding: Finding, tips: list[str]) -> Figure:
    """A line a series with its band, x from left to right."""
    drawn, axes = _room(finding, 2.5, left=0.1)
    axes.set_title(finding.y_title)
    axes.set_xlabel(finding.x_title, fontsize=8.5)
    axes.grid(axis="y", color=INKS["rule"], linewidth=0.6, alpha=0.6)
    if finding.details.get("log_x"):
        _by_powers(axes, sorted({float(x) for series in finding.series for x in series.x}))
    if finding.chance is not None:
        axes.axhline(finding.chance, **_chance(finding.chance))
    for number, series in enumerate(finding.series):
        _line(axes, series, curve_look(number), tips)
    _legend(drawn, axes, finding)
    return drawn


def _line(axes: Axes, series: Series, looks: dict[str, Any], tips: list[str]) -> None:
    x: list[Any] = list(series.x)
    axes.fill_between(x, series.low, series.high, color=looks["color"], alpha=0.13, linewidth=0)
    axes.plot(x, series.y, label=series.label, zorder=3, **looks)
    for index, y, low, high in zip(x, series.y, series.low, series.high, strict=True):
        axes.plot([index, index], [low, high], color=looks["color"], linewidth=0.9, alpha=0.7, zorder=2)
        tip(axes, index, y, _tip_text(series, index, y, low, high), tips)


def _tip_text(series: Series, x: float | str, y: float, low: float, high: float) -> str:
    return f"{series.label}, {at(x)}: {interval(Estimate(y, low, high))}"


def _by_powers(axes: Axes, indices: Sequence[float]) -> None:
    """A logarithmic axis, linear below the smallest positive x where there is a 0."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    positive = [index for index in indices if index > 0]
    if not positive:
        return
    if len(positive) == len(indices):
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=positive[0], linscale=0.4)
    if len(indices) <= MOST_TICKS:
        axes.xaxis.set_major_locator(FixedLocator(indices))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: digits(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _points(finding: Finding, tips: list[str]) -> Figure:
    """A line of text a name, and on it a point with its interval a series."""
    names = list(dict.fromkeys(at(x) for series in finding.series for x in series.x))
    drawn, axes = _room(finding, 0.35 + len(names) * max(0.24, 0.13 * len(finding.series)), left=0.4)
    axes.set(ylim=(len(names) - 0.4, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(finding.y_title, fontsize=8.5)
    axes.grid(axis="x", color=INKS["rule"], linewidth=0.6, alpha=0.6)
    if finding.chance is not None:
        axes.axvline(finding.chance, **_chance(finding.chance))
    for index, name in enumerate(names):
        write(axes, 0.0, index, shorten(name, 34), INKS["ink"])
    for number, series in enumerate(finding.series):
        shift = 0.6 * ((number + 0.5) / len(finding.series) - 0.5)
        _row(axes, series, [names.index(at(x)) + shift for x in series.x], curve_look(number), tips)
    _legend(drawn, axes, finding)
    return drawn


def _row(axes: Axes, series: Series, indices: Sequence[float], looks: dict[str, Any], tips: list[str]) -> None:
    axes.plot(series.y, indices, label=series.label, zorder=3, **{**looks, "linestyle": "none"})
    for x, index, y, low, high in zip(series.x, indices, series.y, series.low, series.high, strict=True):
        axes.plot([low, high], [index, index], color=looks["color"], linewidth=1.4, solid_capstyle="butt", zorder=2)
        tip(axes, y, index, _tip_text(series, x, y, low, high), tips)


def _room(finding: Finding, height: float, left: float) -> tuple[Figure, Axes]:
    """A canvas with room for axes of so many inches, their titles, and a legend below."""
    below = 0.5 + 0.175 * -(-_entries(finding) // _columns(finding))
    drawn, axes = canvas(WIDTH, height + below + 0.25)
    axes.set_position((left, below / drawn.get_figheight(), 0.98 - left, height / drawn.get_figheight()))
    axes.margins(0.04, 0.08)
    return drawn, axes


def _entries(finding: Finding) -> int:
    return len(finding.series) + (finding.chance is not None)


def _columns(finding: Finding) -> int:
    return 1 if any(len(series.label) > 32 for series in finding.series) else 2


def _legend(drawn: Figure, axes: Axes, finding: Finding) -> None:
    handles, labels = axes.get_legend_handles_labels()
    shown = [shorten(label, 68 if _columns(finding) == 1 else 34) for label in labels]
    drawn.legend(handles, shown, loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=_columns(finding))


def _chance(level: float) -> dict[str, Any]:
    return {"color": INKS["muted"], "linewidth": 0.9, "linestyle": (0, (4, 2)), "label": f"chance {digits(level)}"}
