"""Figures: the forest of M and M against utility, as SVG text that takes its colours and its font from the page.

matplotlib draws with the colours of `INKS`, each of which stands for a CSS variable of the page; so one
drawing holds in light and dark. The same rows give the same bytes. matplotlib is imported only when
something is drawn.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from solidmark.compare import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILIES, MARKERS = 8, "os^DvPXd"
"""Curves are told apart by colour and marker, which repeat after so many."""

INKS = {
    name: f"#0102{number:02x}"
    for number, name in enumerate(("ink", "muted", "rule", "paper", "accent", *(f"f{n}" for n in range(1, FAMILIES + 1))))
}
"""Colour to draw with, by the name of the CSS variable that replaces it."""

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "solidmark",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.0,
    "text.color": INKS["ink"],
    "axes.edgecolor": INKS["rule"],
    "axes.labelcolor": INKS["muted"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INKS["muted"],
    "xtick.color": INKS["rule"],
    "ytick.color": INKS["rule"],
    "xtick.labelcolor": INKS["muted"],
    "ytick.labelcolor": INKS["muted"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.2,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.0,
}


@dataclass(frozen=True)
class Drawing:
    """A figure: inline SVG, what it shows in words for those who do not see it, and its title."""

    title: str
    svg: str
    alternative: str


def forest(name: str, stage: str, rows: Sequence[Row], baseline: Row | None) -> Drawing:
    """M of every row of a stage with its interval, chance line, the baseline's band, and held-out M as hollow markers.

    `name` tells the ids of this drawing from others on the page.
    """
    lines = _lines([*([baseline] if baseline else []), *(row for row in rows if not row.baseline)])
    with _style():
        figure, axes = _canvas(5.4, 0.42 + 0.185 * len(lines))
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
        svg = _svg(figure, f"forest-{name}")
    return Drawing(stage, svg, f"Forest plot: memorization M with its interval, {_summary(stage, rows)}")


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
    _write(axes, 0.03 if line.indented else 0.0, place, _cut(line.label, 34), INKS["muted" if line.indented else "ink"])
    if row is None:
        return
    if row.lead is None or row.controls is None:
        _write(axes, 0.48, place, row.status.replace("_", " "), INKS["muted"], style="italic")
        return
    m, held_out, found = row.lead.memorization, row.controls.held_out.memorization, row.lead.certified
    hollow: dict[str, Any] = {"markersize": 3.2, "markerfacecolor": "none", "markeredgewidth": 0.8, "color": INKS["muted"]}
    colour = INKS["accent" if row.baseline else "ink"]
    axes.plot([held_out.value], [place], "o", **hollow)
    axes.plot([m.low, m.high], [place, place], color=colour, linewidth=1.4, solid_capstyle="butt")
    axes.plot([m.value], [place], "o", markersize=4, color=colour)
    _write(axes, 0.85, place, f"{m.value:z.2f}", INKS["ink"], ha="right")
    _write(axes, 1.0, place, f"{found.count} of {found.of}", INKS["muted"], ha="right")


def _write(axes: Axes, x: float, place: int, text: str, colour: str, **looks: Any) -> None:
    """Text in a line of the forest; x is a share of the figure's width."""
    from matplotlib.transforms import blended_transform_factory

    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    axes.text(x, place, text, transform=across, va="center", size=8.5, color=colour, **looks)


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
    with _style():
        figure, axes = _panel(len(families) + 1)
        _range(axes, axis, everything)
        tips: list[str] = []
        references = sum(members[0].control for members in families.values())
        for number, (family, members) in enumerate(sorted(families.items(), key=lambda item: not item[1][0].control)):
            look = _reference_look(number) if members[0].control else _look(number - references)
            _curve(axes, axis, family, members, look, tips)
        if baseline is not None:
            _star(axes, axis, baseline, tips)
        axes.set_xlabel(axis.label, fontsize=8.5)
        figure.legend(*axes.get_legend_handles_labels(), loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=2)
        svg = _svg(figure, f"{axis.name}-{name}", tips)
    return Drawing(stage, svg, f"Memorization M against {axis.name}, a curve for each family, {_summary(stage, rows)}")


def _panel(entries: int) -> tuple[Figure, Axes]:
    """A canvas with room below for a legend of so many entries in two columns."""
    legend = 0.62 + 0.175 * ((entries + 1) // 2)
    figure, axes = _canvas(4.2, 3.3 + legend)
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


def _look(number: int) -> dict[str, Any]:
    return {
        "color": INKS[f"f{number % FAMILIES + 1}"],
        "marker": MARKERS[number % len(MARKERS)],
        "linewidth": 1.2,
        "markersize": 4.5,
    }


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
    label = f"{_cut(family, 24)}{' (reference)' if rows[0].control else ''}"
    axes.plot([x[0] for *_, x in placed], [m.value for _, m, _ in placed], label=label, zorder=3, **look)
    for row, m, (x, *_) in placed:
        _tip(axes, x, m.value, f"{row.mitigation}: {_told(row)}, {axis.name} {_number(axis, row)}", tips)


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
    _tip(axes, x[0], m.value, f"baseline: {_told(baseline)}, {axis.name} {_number(axis, baseline)}", tips)


def _tip(axes: Axes, x: float, y: float, text: str, tips: list[str]) -> None:
    """An invisible marker that shows `text` when the pointer is on it."""
    axes.plot([x], [y], marker="o", markersize=12, color=INKS["paper"], alpha=0, zorder=9, gid=f"tip-{len(tips)}")
    tips.append(text)


def _summary(stage: str, rows: Sequence[Row]) -> str:
    """For those who do not see the figure."""
    values = [row.lead.memorization.value for row in rows if row.lead is not None]
    spread = f"M from {min(values):z.2f} to {max(values):z.2f}, chance 0" if values else "none of them with numbers"
    return f"{len(rows)} rows of stage {stage}, {spread}; every number stands in the table"


def _told(row: Row) -> str:
    if row.lead is None:
        return row.status
    m = row.lead.memorization
    return f"M {m.value:z.2f} [{m.low:z.2f}, {m.high:z.2f}]"


def _number(axis: Axis, row: Row) -> str:
    found = axis.of(row)
    if found is None:
        return "unknown"
    value, low, high = found
    return f"{value:z.2f}" if low == high else f"{value:z.2f} [{low:z.2f}, {high:z.2f}]"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


@contextmanager
def _style() -> Iterator[None]:
    """Our own looks, whatever the user's matplotlib is set to."""
    from matplotlib import style

    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the page's fonts have what matplotlib's has not
        yield


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure((width, height))
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str, tips: Sequence[str] = ()) -> str:
    """The drawing as SVG for inlining: colours of the page, its font, ids of its own, no date, `tips` as titles."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = out.getvalue()[out.getvalue().index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)  # would style the whole page
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    for ink, colour in INKS.items():
        svg = svg.replace(colour, f"var(--{ink})")
    name = re.sub(r"[^a-z0-9]+", "-", name.lower())
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for number, tip in enumerate(tips):
        mark = f'<g id="{name}-tip-{number}">'
        svg = svg.replace(mark, f"{mark}<title>{escape(tip)}</title>")
    return svg
