"""The trade-off: M*, or content, against the utility that is left, a small panel a family, its reference in gray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from solidmark.leaderboard import Curve, Estimate, Row
from solidmark.leaderboard.curves import MATCHED
from solidmark.leaderboard.excess import WIDEST
from solidmark.leaderboard.measures import CONTENT, KEYS, reach

from .drawing import INKS, Drawing, canvas, style, svg, tip
from .table import with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 0.45
"""Utility, as a share of the baseline's, at the left edge; settings that keep less are arrows there."""

GRAY: dict[str, Any] = {"color": INKS["muted"], "linewidth": 1.0, "alpha": 0.75, "zorder": 2}
STANDARD: dict[str, Any] = {"color": INKS["ink"], "linewidth": 1.5, "zorder": 4}
OWN: dict[str, Any] = {"color": INKS["f1"], "linewidth": 1.5, "zorder": 4}


def trade_off(name: str, curve: Curve, references: Sequence[Curve], rows: Mapping[str, Row], most: float) -> Drawing:
    """One family: its points and frontier with its band, the references of its stages and the baseline.

    `rows` are those of the testbed by their mitigation; `most` is the largest share of utility that any keeps; `name`
    makes the ids of this drawing unique on the page.
    """
    tips: list[str] = []
    with style():
        figure, axes = panel()
        axes.set(xlim=(LEAST, max(1.03, most + 0.03)), xticks=[0.5, 0.75, 1.0], xticklabels=["50 %", "75 %", "100 %"])
        axes.axvspan(1 - WIDEST, 1, color=INKS["rule"], alpha=0.22, linewidth=0, zorder=0)
        axes.axvline(1 - MATCHED, color=INKS["muted"], linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
        for reference in references:
            _line(axes, reference, GRAY, 0.12)
            _points(axes, reference, rows, {**GRAY, "markersize": 3.0}, None)
        look = STANDARD if curve.reference else OWN
        _line(axes, curve, look, 0.18)
        _leading(axes, curve, rows, look["color"])
        _points(axes, curve, rows, {**look, "markersize": 4.5}, tips)
        star(axes, 1.0, curve.points[0].memory if curve.points else None)
        drawn = svg(figure, name, tips)
    return Drawing(curve.family, drawn, _alternative(curve))


def panel() -> tuple[Figure, Axes]:
    """An empty panel with what is remembered on y."""
    figure, axes = canvas(2.5, 1.95)
    axes.set_position((0.115, 0.125, 0.865, 0.86))
    axes.axhline(0, color=INKS["muted"], linewidth=0.8)
    axes.set(ylim=(-0.13, 1.03), yticks=[0, 0.5, 1])
    axes.tick_params(length=2, labelsize=7.5, pad=2)
    axes.grid(axis="y", color=INKS["rule"], linewidth=0.5, alpha=0.6)
    return figure, axes


def star(axes: Axes, x: float, m: float | None) -> None:
    """The baseline."""
    look: dict[str, Any] = {"markersize": 10, "color": INKS["accent"], "markeredgecolor": INKS["paper"], "zorder": 6}
    if m is not None:
        axes.plot([x], [m], marker="*", linestyle="none", **look)


def _line(axes: Axes, curve: Curve, look: dict[str, Any], alpha: float) -> None:
    """The frontier with its band, which needs three seeds."""
    line = curve.line()
    utility = [1 - loss for loss, _ in line]
    axes.plot(utility, [m.value for _, m in line], **look)
    band = [(x, *m.limits) for x, (_, m) in zip(utility, line, strict=True) if m.low is not None]
    if band:
        x, low, high = (list(numbers) for numbers in zip(*band, strict=True))
        axes.fill_between(x, low, high, color=look["color"], alpha=alpha, linewidth=0, zorder=look["zorder"])


def memory(row: Row, measure: str) -> Estimate | None:
    """What a row remembers as a curve has it, with its interval."""
    if measure == CONTENT.name:
        return content(row)
    scores = getattr(row, reach(row.stage)) if measure == KEYS.name else row.lead
    return scores.memorization if scores is not None else None


def content(row: Row) -> Estimate | None:
    """2 AUROC - 1 of the content score that finds most."""
    if row.content is None:
        return None
    areas = [score.auroc for score in (row.content.own, row.content.any) if score is not None]
    most = max(areas, key=lambda area: area.value)
    low, high = most.limits
    return Estimate(2 * most.value - 1, 2 * low - 1, 2 * high - 1, chance=0.0)


def _points(axes: Axes, curve: Curve, rows: Mapping[str, Row], look: dict[str, Any], tips: list[str] | None) -> None:
    looks = {name: value for name, value in look.items() if name != "linewidth"}
    for point in curve.points[1:]:
        m, utility = memory(rows[point.mitigation], curve.measure), 1 - point.loss
        if m is None:
            continue
        x, marker = (utility, "o") if utility >= LEAST else (LEAST + 0.012, "<")
        axes.plot([x, x], m.limits, color=look["color"], linewidth=0.8, alpha=0.6, zorder=look["zorder"])
        axes.plot([x], [m.value], marker=marker, linestyle="none", **looks)
        if tips is not None:
            tip(
                axes,
                x,
                m.value,
                f"{point.mitigation}: {_title(curve)} {with_interval(m)}, keeps {100 * utility:.0f} %",
                tips,
            )


def _leading(axes: Axes, curve: Curve, rows: Mapping[str, Row], colour: str) -> None:
    """M of the leading query as rings, where the worst case is another number."""
    if curve.measure != KEYS.name:
        return
    for point in curve.points[1:]:
        row = rows[point.mitigation]
        if row.worst is None or row.worst.queries == 1 or row.lead is None:
            continue
        x = max(1 - point.loss, LEAST + 0.012)
        ring: dict[str, Any] = {"markersize": 4.0, "markerfacecolor": "none", "markeredgewidth": 0.8, "zorder": 3}
        axes.plot([x], [row.lead.memorization.value], marker="o", linestyle="none", color=colour, **ring)


def _title(curve: Curve) -> str:
    return "content" if curve.measure == CONTENT.name else KEYS.title


def _alternative(curve: Curve) -> str:
    if not curve.points:
        return f"{curve.family}: no numbers, {curve.reason}"
    values = [point.memory for point in curve.points[1:]]
    return (
        f"{curve.family}: {_title(curve)} from {min(values):z.2f} to {max(values):z.2f} at {len(values)} settings, against "
        f"the {curve.axis} that is left, with the reference of its stage; the numbers are in the table"
    )
