"""The forest: M of every row with its interval, chance, the baseline and the held-out control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from solidmark.leaderboard import Row

from .drawing import INKS, Drawing, canvas, shorten, style, summary, svg, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def forest(name: str, stage: str, rows: Sequence[Row], baseline: Row | None) -> Drawing:
    """M of every row of a stage with its interval, chance line, the baseline's band, and held-out M as hollow markers.

    `name` makes the ids of this drawing unique on the page.
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
            axes.axvspan(*baseline.lead.memorization.limits, color=INKS["accent"], alpha=0.22, linewidth=0)
        for index, line in enumerate(lines):
            _forest_line(axes, index, line)
        drawn = svg(figure, f"forest-{name}")
    return Drawing(stage, drawn, f"Forest plot: memorization M with its interval, {summary(stage, rows)}")


@dataclass(frozen=True)
class Line:
    """One line of the forest: a row, or the heading of a family (no row)."""

    label: str
    row: Row | None
    indented: bool = False


def _lines(rows: Sequence[Row]) -> list[Line]:
    """A heading for each family of several settings, and one line a row."""
    families: dict[tuple[bool, str], list[Row]] = {}
    for row in rows:
        families.setdefault((not row.baseline, row.family), []).append(row)
    lines: list[Line] = []
    for (_, family), members in families.items():
        if len(members) == 1:
            lines.append(Line(family, members[0]))
            continue
        lines.append(Line(family, None))
        labels = distinguishing_labels(members)
        lines += [Line(label, row, indented=True) for label, row in zip(labels, members, strict=True)]
    return lines


def distinguishing_labels(family: Sequence[Row]) -> list[str]:
    """The parameters that differ between the rows of a family, as `share 0.5`; the whole setting where none do."""
    names = list(dict.fromkeys(name for row in family for name in row.parameters))
    varied = [name for name in names if len({str(row.parameters.get(name)) for row in family}) > 1]
    labels = [
        ", ".join(f"{name.replace('_', ' ')} {row.parameters[name]}" for name in varied if name in row.parameters)
        for row in family
    ]
    return [label or row.setting or row.mitigation for label, row in zip(labels, family, strict=True)]


def _forest_line(axes: Axes, index: int, line: Line) -> None:
    row = line.row
    write(axes, 0.03 if line.indented else 0.0, index, shorten(line.label, 34), INKS["muted" if line.indented else "ink"])
    if row is None:
        return
    if row.lead is None or row.controls is None:
        write(axes, 0.48, index, row.status.replace("_", " "), INKS["muted"], style="italic")
        return
    m, held_out, certified = row.lead.memorization, row.controls.held_out.memorization, row.lead.certified
    hollow: dict[str, Any] = {"markersize": 3.2, "markerfacecolor": "none", "markeredgewidth": 0.8, "color": INKS["muted"]}
    colour = INKS["accent" if row.baseline else "ink"]
    axes.plot([held_out.value], [index], "o", **hollow)
    axes.plot(m.limits, [index, index], color=colour, linewidth=1.4, solid_capstyle="butt")
    axes.plot([m.value], [index], "o", markersize=4, color=colour)
    write(axes, 0.85, index, f"{m.value:z.2f}", INKS["ink"], ha="right")
    write(axes, 1.0, index, f"{certified.count} of {certified.of}", INKS["muted"], ha="right")
