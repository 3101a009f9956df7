"""The overview: what every family leaves, by the worse of keys and content, against the utility that it keeps.

Drawn as SVG by hand: its texts are links, in the page's font, and it has a wide and a narrow form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from solidmark.leaderboard import Curve, MatchedComparison
from solidmark.leaderboard.answer import Answer, Shown
from solidmark.leaderboard.curves import MATCHED
from solidmark.leaderboard.excess import WIDEST, CurveVerdict
from solidmark.leaderboard.measures import CONTENT, KEYS
from solidmark.leaderboard.placing import Role

from .anchors import anchor
from .trade_off import memory

LEAST, MOST = 0.5, 1.06
"""Shares of the utility at the edges; what keeps less or more is drawn there, as an arrow."""

LOW, HIGH = -0.08, 1.02
"""What is remembered at the edges."""

STAR = "l2.4 5 5.5.6-4.1 3.7 1.2 5.4-5-2.8-5 2.8 1.2-5.4-4.1-3.7 5.5-.6z"

SIGNS = {CurveVerdict.REAL: "✓", CurveVerdict.EQUAL: "=", CurveVerdict.WORSE: "✗", CurveVerdict.UNDECIDED: "?"}


@dataclass(frozen=True)
class Overview:
    """The drawing, and what it shows in words."""

    svg: Markup
    alternative: str


@dataclass(frozen=True)
class Frame:
    """Sizes of a form: the whole, the plot in it, where labels begin, and the height of a label."""

    width: float
    left: float
    right: float
    top: float
    bottom: float
    labels: float
    line: float

    def x(self, kept: float) -> float:
        """Where a share of the utility is; at the edge where it is beyond."""
        return self.left + (min(max(kept, LEAST), MOST) - LEAST) / (MOST - LEAST) * (self.right - self.left)

    def y(self, memory: float) -> float:
        """Where a memorization is."""
        return self.bottom - (min(max(memory, LOW), HIGH) - LOW) / (HIGH - LOW) * (self.bottom - self.top)


WIDE = Frame(800, 36, 520, 10, 700, 556, 20)
NARROW = Frame(384, 32, 178, 10, 600, 194, 18)


def overview(name: str, found: Answer, comparison: MatchedComparison, *, narrow: bool = False) -> Overview | None:
    """The overview of one testbed; None where no row has numbers. `name` makes its ids unique."""
    pinned = [*([found.baseline] if found.baseline else []), *found.gold]
    named = [*found.families, *pinned]
    if not named:
        return None
    frame = _frame(NARROW if narrow else WIDE, len(named))
    references = [curve for curve in comparison.curves_on(comparison.axis) if curve.reference and curve.points]
    parts = [
        _axes(frame, comparison),
        *(_reference(frame, number, curve, narrow=narrow) for number, curve in enumerate(references)),
        *_named(frame, named),
    ]
    size = f'viewBox="0 0 {frame.width:g} {frame.bottom + 40:g}"'
    alternative = _alternative(found, references)
    drawn = f'<svg {size} class="overview" role="group" aria-labelledby="{name}"><title id="{name}">{{}}</title>'
    return Overview(Markup(drawn).format(alternative) + Markup("").join(parts) + Markup("</svg>"), alternative)


def _frame(frame: Frame, labels: int) -> Frame:
    """The frame, higher where so many labels need it."""
    bottom = max(frame.bottom, frame.top + labels * frame.line)
    return Frame(frame.width, frame.left, frame.right, frame.top, bottom, frame.labels, frame.line)


def _axes(frame: Frame, comparison: MatchedComparison) -> Markup:
    """Shaded: what is compared; dashed: 5 % lost; a grid and both titles."""
    left, right, top, bottom = frame.left, frame.right, frame.top, frame.bottom
    shade = f'<rect class="judged" x="{frame.x(1 - WIDEST):.0f}" y="{top:g}" width="{frame.x(1) - frame.x(1 - WIDEST):.0f}"'
    parts = [f'{shade} height="{bottom - top:g}"/>']
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = frame.y(level)
        parts.append(f'<path class="{"zero" if level == 0 else "grid"}" d="M{left:g} {y:.1f}H{right:g}"/>')
        parts.append(f'<text class="tick" x="{left - 5:g}" y="{y + 4:.1f}" text-anchor="end">{level:g}</text>')
    for share in (0.5, 0.75, 1.0):
        x = frame.x(share)
        parts.append(f'<text class="tick" x="{x:.0f}" y="{bottom + 15:g}" text-anchor="middle">{100 * share:.0f} %</text>')
    parts.append(f'<path class="matched" d="M{frame.x(1 - MATCHED):.1f} {top:g}V{bottom:g}"/>')
    axis = "accuracy" if comparison.axis == "accuracy" else "fidelity"
    middle = (left + right) / 2
    title = f'<text class="tick" x="{middle:.0f}" y="{bottom + 32:g}" text-anchor="middle">'
    parts.append(f"{title}{axis} kept, of the baseline</text>")
    return Markup("".join(parts))


def _reference(frame: Frame, number: int, curve: Curve, *, narrow: bool) -> Markup:
    """The curve that families of its stage must be below: as far as it was measured, and flat from there on."""
    line = [(frame.x(1 - loss), frame.y(m.value)) for loss, m in curve.line() if 1 - loss >= LEAST]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
    (x, y), end = line[-1], frame.x(1 - WIDEST)
    flat = f'<path class="reference flat" d="M{x:.1f} {y:.1f}H{end:.1f}"/>' if x > end else ""
    drawn = f'<polyline class="reference" points="{points}"/>{flat}'
    label = Markup('<text class="name" x="{}" y="{}" text-anchor="{}">{}</text>')
    place = (f"{min(x, end) - 5:.0f}", f"{y + 4:.1f}", "end")
    return Markup(drawn) + (Markup("") if narrow else label.format(*place, f"{curve.family}"))


def _named(frame: Frame, shown: Sequence[Shown]) -> list[Markup]:
    """Each family with its name; names stand in a column, nearest to where they belong."""
    ordered = sorted(shown, key=lambda one: -(one.place.worst or 0.0))
    wanted = [frame.y(one.place.worst or 0.0) for one in ordered]
    places = spread(wanted, frame.line, frame.top + 6, frame.bottom - 2)
    return [_one(frame, one, at) for one, at in zip(ordered, places, strict=True)]


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Places in the order of those `wanted`, `apart` from each other, from low to high, with the least squared moves.

    Pool adjacent violators: those that would overlap move together, to the mean of what they want.
    """
    pools: list[list[float]] = []
    for index, place in enumerate(wanted):
        pools.append([place - index * apart])
        while len(pools) > 1 and sum(pools[-2]) / len(pools[-2]) > sum(pools[-1]) / len(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    level = [sum(pool) / len(pool) for pool in pools for _ in pool]
    end = high - (len(wanted) - 1) * apart
    return [min(max(base, low), max(end, low)) + index * apart for index, base in enumerate(level)]


def _one(frame: Frame, one: Shown, label: float) -> Markup:
    place, row = one.place, one.row
    kept, worst = place.kept or 0.0, place.worst or 0.0
    x, y = frame.x(kept), frame.y(worst)
    look = _look(one)
    found = memory(row, CONTENT.name if place.worse == CONTENT.name else KEYS.name)
    limits = found.limits if found is not None else (worst, worst)
    bar = f'<path class="bar" d="M{x:.1f} {frame.y(limits[0]):.1f}V{frame.y(limits[1]):.1f}"/>'
    leader = f'<path class="leader" d="M{x + 5:.1f} {y:.1f}L{frame.right + 8:g} {label:.1f}H{frame.labels - 4:g}"/>'
    tip = f"{row.mitigation}: {place.worse} {worst:z.2f} [{limits[0]:z.2f}, {limits[1]:z.2f}], keeps {100 * kept:.0f} %"
    edge = " ▸" if kept > MOST else " ◂" if kept < LEAST else ""
    text = Markup(
        '<text x="{:g}" y="{:.1f}"><tspan class="sign">{}</tspan> {}{} <tspan class="value">{:z.2f}</tspan></text>'
    )
    words = text.format(frame.labels, label + 4, _sign(one), row.family, edge, worst)
    whole = Markup('<a class="{}" href="#{}"><title>{}</title>').format(look, anchor(row), tip)
    return whole + Markup(leader + bar + _marker(one, x, y)) + words + Markup("</a>")


def _marker(one: Shown, x: float, y: float) -> str:
    """A star for the baseline, a diamond for the gold standard, a square where content is the worse, else a circle."""
    if one.place.role is Role.BASELINE:
        return (
            f'<path class="mark" d="M{x:.1f} {y - 8:.1f}l2.4 5 5.5.6-4.1 3.7 1.2 5.4-5-2.8-5 2.8 1.2-5.4-4.1-3.7 5.5-.6z"/>'
        )
    if one.place.role is Role.GOLD:
        return f'<path class="mark" d="M{x:.1f} {y - 6:.1f}l6 6-6 6-6-6z"/>'
    if one.place.worse == CONTENT.name:
        return f'<path class="mark" d="M{x - 4:.1f} {y - 4:.1f}h8v8h-8z"/>'
    return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _look(one: Shown) -> str:
    if one.place.role is not Role.FAMILY:
        return "pinned baseline" if one.place.role is Role.BASELINE else "pinned gold"
    return one.place.family.verdict.value if one.place.family is not None else CurveVerdict.UNDECIDED.value


def _sign(one: Shown) -> str:
    if one.place.role is not Role.FAMILY:
        return "★" if one.place.role is Role.BASELINE else "◆"
    return SIGNS[one.place.family.verdict] if one.place.family is not None else SIGNS[CurveVerdict.UNDECIDED]


def _alternative(found: Answer, references: Sequence[Curve]) -> str:
    names = ", ".join(curve.family for curve in references)
    return (
        f"What {len(found.families)} families leave against the utility that they keep, each at the setting that lies "
        f"furthest below its reference{f' ({names})' if names else ''}; all numbers are in the table"
    )
