"""Drawing: SVG text that takes its colours and its font from the page.

matplotlib draws with the colours of `INKS`, each of which is replaced by a CSS variable of the page; so one drawing
serves light and dark. The same rows give the same bytes. matplotlib is imported only when something is drawn.
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILIES = 8
"""So many colours distinguish families."""

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


def shorten(text: str, length: int) -> str:
    """A text that is no longer than so many letters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


@contextmanager
def style() -> Iterator[None]:
    """Our own looks, whatever the user's matplotlib is set to."""
    from matplotlib import style

    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the page's fonts have what matplotlib's has not
        yield


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure((width, height))
    return figure, figure.add_subplot()


MARKERS = "os^DvPXd"
"""Curves differ by colour and marker, which repeat."""


def curve_look(number: int) -> dict[str, Any]:
    """Colour and marker of a curve by its number."""
    marker, colour = MARKERS[number % len(MARKERS)], INKS[f"f{number % FAMILIES + 1}"]
    return {"color": colour, "marker": marker, "linewidth": 1.2, "markersize": 4.5}


def tip(axes: Axes, x: float, y: float, text: str, tips: list[str]) -> None:
    """An invisible marker that shows `text` when the pointer is on it; `tips` are given to `svg`."""
    axes.plot([x], [y], marker="o", markersize=12, color=INKS["paper"], alpha=0, zorder=9, gid=f"tip-{len(tips)}")
    tips.append(text)


def write(axes: Axes, x: float, index: float, text: str, colour: str, **looks: Any) -> None:
    """Text in line `index` of a figure, counted along y; x is a share of the figure's width."""
    from matplotlib.transforms import blended_transform_factory

    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    axes.text(x, index, text, transform=across, va="center", size=8.5, color=colour, **looks)


def svg(figure: Figure, name: str, tips: Sequence[str] = ()) -> str:
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
