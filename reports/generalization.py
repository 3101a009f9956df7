"""Generalization: M* against the denoising loss of held-out images, a small panel a family of the training stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from solidmark.leaderboard import Estimate, Row

from .drawing import INKS, Drawing, canvas, style, svg, tip
from .remembered import keys
from .table import with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LossPoint = tuple[Row, Estimate, Estimate]
"""A row with its M and its held-out loss."""

FOUR_DIGITS = "{:.4g}"


def loss_points(rows: Sequence[Row]) -> list[LossPoint]:
    """The rows that have both numbers."""
    pairs = [(row, keys(row), row.denoising_loss) for row in rows]
    return [(row, m, loss.held_out) for row, m, loss in pairs if m is not None and loss is not None]


def generalization(
    name: str, rows: Sequence[Row], references: Sequence[Row], baseline: Row | None, span: Sequence[Row]
) -> Drawing:
    """One family from its weakest to its strongest setting, with the references of its stage and the baseline.

    `span` are the rows that set the range of x, so that panels compare; `name` makes the ids of this drawing unique.
    """
    tips: list[str] = []
    with style():
        figure, axes = panel()
        _range(axes, loss_points(span))
        _path(axes, loss_points(references), {"color": INKS["muted"], "alpha": 0.75, "zorder": 2}, 3.0, None)
        colour = INKS["ink" if rows[0].reference_curve else "f1"]
        _path(axes, loss_points(rows), {"color": colour, "zorder": 4}, 4.5, tips)
        for _, m, loss in loss_points([baseline] if baseline else []):
            star(axes, loss.value, m.value)
        drawn = svg(figure, name, tips)
    family = rows[0].family
    axes_text = f"{family}: M* against the denoising loss of held-out images"
    return Drawing(family, drawn, f"{axes_text}, {len(loss_points(rows))} settings; numbers in the table")


def _range(axes: Axes, points: Sequence[LossPoint]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    low, high = min(loss.limits[0] for *_, loss in points), max(loss.limits[1] for *_, loss in points)
    if low > 0 and high / low > 8:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.15, high * 1.15)
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _path(axes: Axes, points: Sequence[LossPoint], look: dict[str, Any], size: float, tips: list[str] | None) -> None:
    bars = {**look, "linewidth": 0.7, "alpha": 0.5}
    for _, m, loss in points:
        axes.plot([loss.value, loss.value], m.limits, **bars)
        axes.plot(loss.limits, [m.value, m.value], **bars)
    x, y = [loss.value for *_, loss in points], [m.value for _, m, _ in points]
    axes.plot(x, y, marker="o", markersize=size, linewidth=1.0, **look)
    if tips is None:
        return
    for row, m, loss in points:
        text = f"{row.mitigation}: M* {with_interval(m)}, loss {with_interval(loss, FOUR_DIGITS)}"
        tip(axes, loss.value, m.value, text, tips)


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
