"""The overview: what every family leaves, by the worse of keys and content, against the utility that it keeps.

Drawn as SVG by hand: its texts are links, in the page's font, and it has a wide and a narrow form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from solidmark.leaderboard import Curve, MatchedComparison
from solidmark.leaderboard.answer import Answer, Shown
from solidmark.leaderboard.excess import WIDEST, CurveVerdict
from solidmark.leaderboard.measures import CONTENT, KEYS
from solidmark.leaderboard.placing import Role

from .anchors import anchor
from .plot import LEAST, MOST, Frame, axes, bar, drawing, line, mark, places
from .remembered import remembered
from .table import TWO

ROOM = 110
"""A name of a reference needs so much room beside its curve; else it stands below it."""

NAMES = 40
"""So many names stand in the drawing, those of families that leave least; more would not fit on a screen."""

SIGNS = {CurveVerdict.REAL: "✓", CurveVerdict.EQUAL: "=", CurveVerdict.WORSE: "✗", CurveVerdict.UNDECIDED: "?"}


@dataclass(frozen=True)
class Overview:
    """The drawing, what it shows in words, and the families that it shows without their names."""

    svg: Markup
    alternative: str
    unnamed: tuple[Shown, ...] = ()

    @property
    def left(self) -> str:
        """What the families without names leave: `0.98 to 1.00`."""
        values = [TWO.format(one.place.worst or 0.0) for one in self.unnamed]
        return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


WIDE = Frame(820, 36, 500, 10, 700, 536, 20)
NARROW = Frame(386, 32, 162, 10, 600, 178, 18)


def overview(name: str, found: Answer, comparison: MatchedComparison, *, narrow: bool = False) -> Overview | None:
    """The overview of one testbed; None where no row has numbers. `name` makes its ids unique."""
    pinned = [*([found.baseline] if found.baseline else []), *found.gold]
    named = [*found.families[: NAMES - len(pinned)], *pinned]
    unnamed = found.families[NAMES - len(pinned) :]
    if not named:
        return None
    frame = _frame(NARROW if narrow else WIDE, len(named))
    references = [curve for curve in comparison.worse_on(comparison.axis) if curve.reference and curve.points]
    parts = [
        axes(frame, comparison.axis),
        *(_reference(frame, curve, narrow=narrow) for curve in references),
        *(_linked(one, _drawn(frame, one)) for one in unnamed),
        *_named(frame, named, decides=found.decides),
    ]
    alternative = _alternative(found, references)
    return Overview(drawing(frame, "overview", name, alternative, parts), alternative, unnamed)


def _frame(frame: Frame, labels: int) -> Frame:
    """The frame, higher where so many labels need it."""
    bottom = max(frame.bottom, frame.top + labels * frame.line)
    return Frame(frame.width, frame.left, frame.right, frame.top, bottom, frame.labels, frame.line)


def _reference(frame: Frame, curve: Curve, *, narrow: bool) -> Markup:
    """The curve that families of its stage must be below, with its name where there is room."""
    drawn = line(frame, curve, "reference", flat=True)
    if narrow or not drawn:
        return drawn
    (x, y), end = places(frame, curve)[-1], frame.x(1 - WIDEST)
    label = Markup('<text class="name" x="{:.0f}" y="{:.1f}" text-anchor="{}">{}</text>')
    if min(x, end) < frame.left + ROOM:
        return drawn + label.format(x + 6, y + 16, "start", curve.family)
    return drawn + label.format(min(x, end) - 5, y + 4, "end", curve.family)


def _named(frame: Frame, shown: Sequence[Shown], *, decides: bool) -> list[Markup]:
    """Each family with its name; names stand in a column, nearest to where they belong. Too few seeds give no sign."""
    ordered = sorted(shown, key=lambda one: -(one.place.worst or 0.0))
    wanted = [frame.y(one.place.worst or 0.0) for one in ordered]
    at = spread(wanted, frame.line, frame.top + 6, frame.bottom - 2)
    return [
        _one(frame, one, y, _sign(one) if decides or one.place.role is not Role.FAMILY else "")
        for one, y in zip(ordered, at, strict=True)
    ]


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


def _one(frame: Frame, one: Shown, label: float, sign: str) -> Markup:
    """A family with its name, and a line from the name to where it lies."""
    kept, worst = one.place.kept or 0.0, one.place.worst or 0.0
    x, y = frame.x(kept), frame.y(worst)
    leader = f'<path class="leader" d="M{x + 5:.1f} {y:.1f}L{frame.right + 8:g} {label:.1f}H{frame.labels - 4:g}"/>'
    edge = " ▸" if kept > MOST else " ◂" if kept < LEAST else ""
    text = '<text x="{:g}" y="{:.1f}"><tspan class="sign">{}</tspan> {}{} <tspan class="value">{:z.2f}</tspan></text>'
    words = Markup(text).format(frame.labels, label + 4, sign, one.row.family, edge, worst)
    return _linked(one, Markup(leader) + _drawn(frame, one) + words)


def _drawn(frame: Frame, one: Shown) -> Markup:
    """The mark of a family with its interval."""
    kept, worst = one.place.kept or 0.0, one.place.worst or 0.0
    return bar(frame, kept, _limits(one)) + mark(frame, kept, worst, _shape(one))


def _limits(one: Shown) -> tuple[float, float]:
    found = remembered(one.row, CONTENT.name if one.place.worse == CONTENT.name else KEYS.name)
    worst = one.place.worst or 0.0
    return found.limits if found is not None else (worst, worst)


def _linked(one: Shown, drawn: Markup) -> Markup:
    """What is drawn of a family, as a link to its part with its numbers as a title."""
    place, (low, high) = one.place, _limits(one)
    kept, worst = place.kept or 0.0, place.worst or 0.0
    tip = f"{one.row.mitigation}: {place.worse} {worst:z.2f} [{low:z.2f}, {high:z.2f}], keeps {100 * kept:.0f} %"
    return Markup('<a class="{}" href="#{}"><title>{}</title>{}</a>').format(_look(one), anchor(one.row), tip, drawn)


def _shape(one: Shown) -> str:
    """A star for the baseline, a diamond for the gold standard, a square where content is the worse, else a circle."""
    if one.place.role is Role.BASELINE:
        return "star"
    if one.place.role is Role.GOLD:
        return "diamond"
    return "square" if one.place.worse == CONTENT.name else "circle"


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
