"""The forest: M of every row with its interval, beside chance, the baseline and the held-out control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from solidmark.leaderboard import Row

from .drawing import INKS, Drawing, canvas, cut, style, summary, svg, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def forest(name: str, stage: str, rows: Sequence[Row], baseline: Row | None) -> Drawing:
    """M of every row of a stage with its interval, chance line, the baseline's band, and held-out M as hollow markers.

    `name` tells the ids of this drawing from others on the page.
    """
    lines = _lines([*([baseline] if baseline else []), *(row for row in rows if not row.baseline)])
    with style():
        figure, axes = canvas(5.4, 0.42 + 0.185 * len(lines))
        axes.set_position((0.42, 0.1 / figure.get_figheight(), 0.36, 1 - 0.42 / figure.get_figheight()))
        axes.set(xlim=(-0.13, 1.0), ylim=(len(lines) - 0.3, -0.8), yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.tick_top()
        axes.tick_params("x", length=2)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.spines["top"].set_visible(True)
        axes.axvline(0, color=INKS["muted"], linewidth=0.9)
        if baseline is not None and baseline.lead is not None:
            m = baseline.lead.memorization
            axes.axvspan(m.low, m.high, color=INKS["accent"], alpha=0.22, linewidth=0)
        for place, line in enumerate(lines):
            _forest_line(axes, place, line)
        drawn = svg(figure, f"forest-{name}")
    return Drawing(stage, drawn, f"Forest plot: memorization M with its interval, {summary(stage, rows)}")


@dataclass(frozen=True)
class Line:
    """One line of the forest: a row, or the heading of a family (no row)."""

    label: str
    row: Row | None
    indented: bool = False


def _lines(rows: Sequence[Row]) -> list[Line]:
    """A heading for each family of several strengths, and one line a row."""
    families: dict[tuple[bool, str], list[Row]] = {}
    for row in rows:
        families.setdefault((not row.baseline, row.family), []).append(row)
    lines: list[Line] = []
    for (_, family), members in families.items():
        if len(members) == 1:
            lines.append(Line(family, members[0]))
            continue
        lines.append(Line(family, None))
        lines += [Line(label, row, indented=True) for label, row in zip(distinguished(members), members, strict=True)]
    return lines


def distinguished(family: Sequence[Row]) -> list[str]:
    """The parameters that tell the rows of a family from each other, as `share 0.5`; the whole strength where none do."""
    names = list(dict.fromkeys(name for row in family for name in row.parameters))
    varied = [name for name in names if len({str(row.parameters.get(name)) for row in family}) > 1]
    told = [
        ", ".join(f"{name.replace('_', ' ')} {row.parameters[name]}" for name in varied if name in row.parameters)
        for row in family
    ]
    return [label or row.strength or row.mitigation for label, row in zip(told, family, strict=True)]


def _forest_line(axes: Axes, place: int, line: Line) -> None:
    row = line.row
    write(axes, 0.03 if line.indented else 0.0, place, cut(line.label, 34), INKS["muted" if line.indented else "ink"])
    if row is None:
        return
    if row.lead is None or row.controls is None:
        write(axes, 0.48, place, row.status.replace("_", " "), INKS["muted"], style="italic")
        return
    m, held_out, found = row.lead.memorization, row.controls.held_out.memorization, row.lead.certified
    hollow: dict[str, Any] = {"markersize": 3.2, "markerfacecolor": "none", "markeredgewidth": 0.8, "color": INKS["muted"]}
    colour = INKS["accent" if row.baseline else "ink"]
    axes.plot([held_out.value], [place], "o", **hollow)
    axes.plot([m.low, m.high], [place, place], color=colour, linewidth=1.4, solid_capstyle="butt")
    axes.plot([m.value], [place], "o", markersize=4, color=colour)
    write(axes, 0.85, place, f"{m.value:z.2f}", INKS["ink"], ha="right")
    write(axes, 1.0, place, f"{found.count} of {found.of}", INKS["muted"], ha="right")
