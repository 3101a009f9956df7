"""The trade-off: M against utility, a curve for each family, beside the reference curves of its stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from solidmark.compare import Row

from .drawing import INKS, Drawing, canvas, curve_look, cut, style, summary, svg, tip, told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Axis:
    """A kind of utility to stand on the x axis: how to take it from a row, its label, whether less is better."""

    name: str
    label: str
    falling: bool = False

    def of(self, row: Row) -> tuple[float, float, float] | None:
        """Value, low and high of a row; without an interval all three are the value."""
        number = getattr(row.utility, self.name, None)
        if number is None:
            return None
        value = float(number.share if hasattr(number, "share") else number.value)
        return value, value if number.low is None else number.low, value if number.high is None else number.high


ACCURACY = Axis("accuracy", "accuracy of plain generation, more is better →")
FRECHET = Axis("frechet", "Fréchet distance to real images, less is better →", falling=True)


def trade_off(
    name: str, stage: str, rows: Sequence[Row], baseline: Row | None, axis: Axis, everything: Sequence[Row]
) -> Drawing:
    """M against utility: a curve for each family of a stage in order of strength, reference curves emphasised.

    `everything` are the rows that set the range of x, so that the panels of all stages compare. `name` tells
    the ids of this drawing from others on the page.
    """
    families: dict[str, list[Row]] = {}
    for row in rows:
        if row.ok and not row.baseline:
            families.setdefault(row.family, []).append(row)
    with style():
        figure, axes = _panel(len(families) + 1)
        _range(axes, axis, everything)
        tips: list[str] = []
        references = sum(members[0].control for members in families.values())
        for number, (family, members) in enumerate(sorted(families.items(), key=lambda item: not item[1][0].control)):
            look = _reference_look(number) if members[0].control else curve_look(number - references)
            _curve(axes, axis, family, members, look, tips)
        if baseline is not None:
            _star(axes, axis, baseline, tips)
        axes.set_xlabel(axis.label, fontsize=8.5)
        figure.legend(*axes.get_legend_handles_labels(), loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=2)
        drawn = svg(figure, f"{axis.name}-{name}", tips)
    return Drawing(stage, drawn, f"Memorization M against {axis.name}, a curve for each family, {summary(stage, rows)}")


def _panel(entries: int) -> tuple[Figure, Axes]:
    """A canvas with room below for a legend of so many entries in two columns."""
    legend = 0.62 + 0.175 * ((entries + 1) // 2)
    figure, axes = canvas(4.2, 3.3 + legend)
    axes.set_position((0.09, legend / figure.get_figheight(), 0.89, 1 - (legend + 0.25) / figure.get_figheight()))
    axes.axhline(0, color=INKS["muted"], linewidth=0.9)
    axes.set_title("M, memorization (0 is chance)")
    return figure, axes


def _range(axes: Axes, axis: Axis, rows: Sequence[Row]) -> None:
    limits = [limit for row in rows for limit in (axis.of(row) or ())]
    low, high = (min(limits), max(limits)) if limits else (0.0, 1.0)
    if axis.falling and low > 0 and high / low > 8:
        from matplotlib.ticker import FuncFormatter, NullFormatter

        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(low / 1.15, high * 1.15)
    else:
        room = 0.04 * (high - low) or 0.05
        axes.set_xlim(low - room, high + room)
    if axis.falling:
        axes.invert_xaxis()
    axes.set(ylim=(-0.13, 1.03), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="y", color=INKS["rule"], linewidth=0.6, alpha=0.6)


def _reference_look(number: int) -> dict[str, Any]:
    style = ("-", (0, (3, 1)), (0, (1, 1)))[number % 3]
    return {"color": INKS["ink"], "marker": ".", "linewidth": 2.6, "markersize": 8, "alpha": 0.75, "linestyle": style}


def _curve(axes: Axes, axis: Axis, family: str, rows: Sequence[Row], look: dict[str, Any], tips: list[str]) -> None:
    points = [(row, row.lead.memorization, axis.of(row)) for row in rows if row.lead is not None]
    placed = [(row, m, x) for row, m, x in points if x is not None]
    bars = {"color": look["color"], "linewidth": 0.7, "alpha": 0.45, "zorder": 1}
    for _, m, (x, low, high) in placed:
        axes.plot([x, x], [m.low, m.high], **bars)
        axes.plot([low, high], [m.value, m.value], **bars)
    label = f"{cut(family, 24)}{' (reference)' if rows[0].control else ''}"
    axes.plot([x[0] for *_, x in placed], [m.value for _, m, _ in placed], label=label, zorder=3, **look)
    for row, m, (x, *_) in placed:
        tip(axes, x, m.value, f"{row.mitigation}: {told(row)}, {axis.name} {_number(axis, row)}", tips)


def _star(axes: Axes, axis: Axis, baseline: Row, tips: list[str]) -> None:
    x = axis.of(baseline)
    if x is None or baseline.lead is None:
        return
    m = baseline.lead.memorization
    axes.axhspan(m.low, m.high, color=INKS["accent"], alpha=0.14, linewidth=0, zorder=0)
    look: dict[str, Any] = {
        "markersize": 13,
        "color": INKS["accent"],
        "markeredgecolor": INKS["paper"],
        "linestyle": "none",
        "zorder": 5,
    }
    axes.plot([x[0]], [m.value], marker="*", label="baseline", **look)
    tip(axes, x[0], m.value, f"baseline: {told(baseline)}, {axis.name} {_number(axis, baseline)}", tips)


def _number(axis: Axis, row: Row) -> str:
    found = axis.of(row)
    if found is None:
        return "unknown"
    value, low, high = found
    return f"{value:z.2f}" if low == high else f"{value:z.2f} [{low:z.2f}, {high:z.2f}]"
