"""A plot of what is remembered against the utility that is kept, drawn as SVG by hand: its axes, curves and marks.

Its texts have the page's font, its colours are classes of the page, and a panel takes a tenth of what matplotlib writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from solidmark.leaderboard import Curve
from solidmark.leaderboard.curves import MATCHED
from solidmark.leaderboard.excess import WIDEST
from solidmark.leaderboard.measures import AXES

LEAST, MOST = 0.5, 1.06
"""Shares of the utility at the edges; what keeps less or more is drawn there."""

LOW, HIGH = -0.08, 1.02
"""What is remembered at the edges."""

STAR = "l2.4 5 5.5.6-4.1 3.7 1.2 5.4-5-2.8-5 2.8 1.2-5.4-4.1-3.7 5.5-.6z"
DIAMOND = "l6 6-6 6-6-6z"


@dataclass(frozen=True)
class Frame:
    """Where the plot is in a drawing that is `width` wide; names begin at `labels`, each `line` high."""

    width: float
    left: float
    right: float
    top: float
    bottom: float
    labels: float = 0.0
    line: float = 0.0

    def x(self, kept: float) -> float:
        """Where a share of the utility is; at the edge where it is beyond."""
        return self.left + (min(max(kept, LEAST), MOST) - LEAST) / (MOST - LEAST) * (self.right - self.left)

    def y(self, memory: float) -> float:
        """Where a memorization is."""
        return self.bottom - (min(max(memory, LOW), HIGH) - LOW) / (HIGH - LOW) * (self.bottom - self.top)


def drawing(frame: Frame, looks: str, name: str, title: str, parts: Iterable[Markup]) -> Markup:
    """The whole drawing; `title` says in words what it shows, and is the text of the id `name`."""
    size = f'viewBox="0 0 {frame.width:g} {frame.bottom + 40:g}"'
    head = Markup(f'<svg {size} class="plot {looks}" role="group" aria-labelledby="{name}"><title id="{name}">') + title
    return head + Markup("</title>") + Markup("").join(parts) + Markup("</svg>")


def axes(frame: Frame, axis: str) -> Markup:
    """Shaded: the utility that is compared; dashed: 5 % lost; a grid, and the title of what is kept."""
    left, right, top, bottom = frame.left, frame.right, frame.top, frame.bottom
    first, last = frame.x(1 - WIDEST), frame.x(1)
    parts = [f'<path class="judged" d="M{first:.0f} {top:g}H{last:.0f}V{bottom:g}H{first:.0f}z"/>']
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = frame.y(level)
        parts.append(f'<path class="{"zero" if level == 0 else "grid"}" d="M{left:g} {y:.1f}H{right:g}"/>')
        parts.append(f'<text class="tick" x="{left - 5:g}" y="{y + 4:.1f}" text-anchor="end">{level:g}</text>')
    for kept in (0.5, 0.75, 1.0):
        place = f'x="{frame.x(kept):.0f}" y="{bottom + 15:g}" text-anchor="middle"'
        parts.append(f'<text class="tick" {place}>{100 * kept:.0f} %</text>')
    parts.append(f'<path class="matched" d="M{frame.x(1 - MATCHED):.1f} {top:g}V{bottom:g}"/>')
    title = f'<text class="tick" x="{(left + right) / 2:.0f}" y="{bottom + 32:g}" text-anchor="middle">'
    return Markup("".join([*parts, f"{title}{kept_words(axis)}</text>"]))


def kept_words(axis: str) -> str:
    """`accuracy kept, of the baseline`."""
    found = next(each for each in AXES if each.name == axis)
    return "what the Fréchet distance leaves of utility" if found.falling else f"{found.title} kept, of the baseline"


def line(frame: Frame, curve: Curve, looks: str, *, flat: bool = False) -> Markup:
    """A frontier as far as it was measured; `flat` draws it on, dotted, over the utility that is compared."""
    points = places(frame, curve)
    if not points:
        return Markup("")
    (x, y), end = points[-1], frame.x(1 - WIDEST)
    onward = f'<path class="{looks} flat" d="M{x:.1f} {y:.1f}H{end:.1f}"/>' if flat and x > end else ""
    return Markup(f'<polyline class="{looks}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>{onward}')


def places(frame: Frame, curve: Curve) -> list[tuple[float, float]]:
    """Where a frontier runs, from the baseline on, inside the plot."""
    return [(frame.x(1 - loss), frame.y(m.value)) for loss, m in curve.line() if 1 - loss >= LEAST]


def band(frame: Frame, curve: Curve, looks: str) -> Markup:
    """The 95 % band of a frontier; nothing below three seeds."""
    known = [(1 - loss, m.low, m.high) for loss, m in curve.line() if m.low is not None and m.high is not None]
    inside = [(kept, low, high) for kept, low, high in known if kept >= LEAST]
    edge = [*((x, high) for x, _, high in inside), *((x, low) for x, low, _ in reversed(inside))]
    points = " ".join(f"{frame.x(x):.1f},{frame.y(m):.1f}" for x, m in edge)
    return Markup(f'<polygon class="{looks}" points="{points}"/>') if inside else Markup("")


def bar(frame: Frame, kept: float, limits: tuple[float, float]) -> Markup:
    """An interval, upright."""
    return Markup(f'<path class="bar" d="M{frame.x(kept):.1f} {frame.y(limits[0]):.1f}V{frame.y(limits[1]):.1f}"/>')


def mark(frame: Frame, kept: float, memory: float, shape: str) -> Markup:
    """A `circle`, `square`, `star` or `diamond`; a triangle at the edge beyond which it lies."""
    x, y = frame.x(kept), frame.y(memory)
    if shape in ("circle", "square") and not LEAST <= kept <= MOST:
        return Markup(f'<path class="mark" d="M{x:.1f} {y - 5:.1f}v10l{8 if kept > MOST else -8}-5z"/>')
    paths = {
        "star": f"M{x:.1f} {y - 8:.1f}{STAR}",
        "diamond": f"M{x:.1f} {y - 6:.1f}{DIAMOND}",
        "square": f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
    }
    if shape in paths:
        return Markup(f'<path class="mark" d="{paths[shape]}"/>')
    return Markup(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
