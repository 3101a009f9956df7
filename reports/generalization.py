"""Generalization: M* against the denoising loss of held-out images, a small panel a family of the training stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from solidmark.leaderboard import DenoisingLoss, Number, Row

from .drawing import INKS, Drawing, style, svg, tip
from .trade_off import memory, panel, star

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Placed = tuple[Row, Number, DenoisingLoss]


def placed(rows: Sequence[Row]) -> list[Placed]:
    """The rows that have both numbers."""
    known = [(row, memory(row, "worst") or memory(row, "lead"), row.denoising_loss) for row in rows]
    return [(row, m, loss) for row, m, loss in known if m is not None and loss is not None]


def generalization(
    name: str, rows: Sequence[Row], references: Sequence[Row], baseline: Row | None, span: Sequence[Row]
) -> Drawing:
    """One family from its weakest to its strongest strength, beside the references of its stage and the baseline.

    `span` are the rows that set the range of x, so that panels compare; `name` tells the ids of this drawing.
    """
    tips: list[str] = []
    with style():
        figure, axes = panel()
        _range(axes, placed(span))
        _path(axes, placed(references), {"color": INKS["muted"], "alpha": 0.75, "zorder": 2}, 3.0, None)
        colour = INKS["ink" if rows[0].reference_curve else "f1"]
        _path(axes, placed(rows), {"color": colour, "zorder": 4}, 4.5, tips)
        for _, m, loss in placed([baseline] if baseline else []):
            star(axes, loss.value, m.value)
        drawn = svg(figure, name, tips)
    what = "M* against the denoising loss of held-out images"
    return Drawing(rows[0].family, drawn, f"{rows[0].family}: {what}, {len(placed(rows))} strengths; numbers in the table")


def _range(axes: Axes, points: Sequence[Placed]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    low, high = min(loss.low for *_, loss in points), max(loss.high for *_, loss in points)
    if low > 0 and high / low > 8:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.15, high * 1.15)
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _path(axes: Axes, points: Sequence[Placed], look: dict[str, Any], size: float, tips: list[str] | None) -> None:
    bars = {**look, "linewidth": 0.7, "alpha": 0.5}
    for _, m, loss in points:
        axes.plot([loss.value, loss.value], [m.low, m.high], **bars)
        axes.plot([loss.low, loss.high], [m.value, m.value], **bars)
    x, y = [loss.value for *_, loss in points], [m.value for _, m, _ in points]
    axes.plot(x, y, marker="o", markersize=size, linewidth=1.0, **look)
    for row, m, loss in points:
        if tips is not None:
            found = (
                f"M* {m.value:z.2f} [{m.low:z.2f}, {m.high:z.2f}], loss {loss.value:.4g} [{loss.low:.4g}, {loss.high:.4g}]"
            )
            tip(axes, loss.value, m.value, f"{row.mitigation}: {found}", tips)
