"""Several testbeds side by side: each family's verdict and what it leaves on each, and whether they rank families alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from solidmark.leaderboard import Agreement, Leaderboard, RankedFamily, Row
from solidmark.leaderboard.answer import Answer
from solidmark.leaderboard.excess import CurveVerdict
from solidmark.leaderboard.placing import Role, hardest

from .overview import spread
from .plot import HIGH, LOW, Frame, drawing
from .table import TWO, with_interval

SQUARE = Frame(520, 34, 300, 10, 276, 318, 15.5)

ABOUT = (
    "What a family leaves at a loss of at most 5 % of the utility, on each testbed: by the worse of keys and content, or by "
    "keys where one testbed has no content. The rank correlation is Spearman's over the families that both rank; 0 is what "
    "testbeds give that have nothing in common, 1 is the same order. Few seeds draw it towards 0, families that do "
    "nothing on either up or down, as the others lie. References are left out."
)


@dataclass(frozen=True)
class Found:
    """What one testbed says of a family: its row for a link, its verdict, its place in the ranking, else a `word`."""

    row: Row
    verdict: CurveVerdict | None
    ranked: RankedFamily | None
    word: str = "measured"


@dataclass(frozen=True)
class Pair:
    """Two testbeds: the figure of what families leave on both, and the correlation in words."""

    agreement: Agreement
    svg: Markup | None
    words: str


@dataclass(frozen=True)
class SideBySide:
    """All testbeds: a line a family with what each says, and every two of them."""

    titles: list[str]
    lines: list[tuple[str, list[Found | None]]]
    pairs: list[Pair]


def side_by_side(board: Leaderboard, answers: Sequence[Answer]) -> SideBySide | None:
    """None where there is one testbed."""
    if len(board.testbeds) < 2:
        return None
    found = [_of_testbed(board, number, answer) for number, answer in enumerate(answers)]
    names = dict.fromkeys(name for each in found for name in each)
    lines = [(name, [each.get(name) for each in found]) for name in names]
    several = sorted(lines, key=lambda line: -sum(one is not None for one in line[1]))
    pairs = [_pair(number, agreement) for number, agreement in enumerate(board.agreements)]
    return SideBySide([facts.title for facts in board.testbeds], several, pairs)


def _of_testbed(board: Leaderboard, number: int, answer: Answer) -> dict[str, Found]:
    """What one testbed says of each family that it judges, the real ones first, then of those without numbers."""
    comparison, rows = board.matched[number], board.of(board.testbeds[number])
    ranking = comparison.leading_ranking(comparison.axis)
    ranked = {family.family: family for family in ranking.families} if ranking is not None else {}
    verdicts = hardest(comparison)
    first = {row.family: row for row in reversed(rows) if answer.places[row.mitigation].role is Role.FAMILY}
    names = [verdict.keys.family for verdict in answer.verdicts if verdict.keys.family in first]
    told = {name: verdicts[name].verdict if answer.decides else None for name in names}
    found = {name: Found(first[name], told[name], ranked.get(name)) for name in names}
    without = {name: _without(name, rows) for name in comparison.unmeasured if name in first}
    return found | {name: Found(first[name], None, None, word) for name, word in without.items()}


def _without(family: str, rows: Sequence[Row]) -> str:
    """What stands for the verdict of a family without numbers."""
    statuses = {row.status for row in rows if row.family == family}
    return "not applicable here" if statuses == {"unsupported"} else "no numbers"


def _pair(number: int, agreement: Agreement) -> Pair:
    where = f"{agreement.one} and {agreement.other}"
    same = f"{agreement.same} of {agreement.judged} families that both decide have the same verdict"
    if not agreement.judged:
        same = "no family has a verdict on both"
    if agreement.correlation is None:
        return Pair(agreement, None, f"{where}: no rank correlation, {agreement.reason}; {same}.")
    rho = with_interval(agreement.correlation)
    words = f"{where}: rank correlation {rho} over {len(agreement.left)} families, chance 0{_moving(agreement)}; {same}."
    return Pair(agreement, _figure(f"agreement-{number}", agreement, words), words)


def _moving(agreement: Agreement) -> str:
    """What the correlation is without families that do nothing on either testbed."""
    if not agreement.idle:
        return ""
    others = len(agreement.left) - agreement.idle
    told = f"; {agreement.idle} of them leave the whole memory on both"
    if agreement.moving is None:
        return f"{told}, and the other {others} are too few for one"
    return f"{told}, and over the other {others} it is {with_interval(agreement.moving)}"


def _figure(name: str, agreement: Agreement, words: str) -> Markup:
    """A point a family, named at the right; on the diagonal both testbeds say the same."""
    ordered = sorted(agreement.left, key=lambda point: -point[2])
    frame = SQUARE
    high = max(frame.bottom, frame.top + len(ordered) * frame.line)
    frame = Frame(frame.width, frame.left, frame.right, frame.top, high, frame.labels, frame.line)
    places = spread([frame.y(y) for *_, y in ordered], frame.line, frame.top + 6, frame.bottom)
    points = [_point(frame, point, at) for point, at in zip(ordered, places, strict=True)]
    return drawing(frame, "pair", name, words, [_square(frame, agreement), *points])


def _across(frame: Frame, value: float) -> float:
    return frame.left + (min(max(value, LOW), HIGH) - LOW) / (HIGH - LOW) * (frame.right - frame.left)


def _square(frame: Frame, agreement: Agreement) -> Markup:
    """The grid, the diagonal, and which testbed is which."""
    low, high = (_across(frame, 0), frame.y(0)), (_across(frame, 1), frame.y(1))
    parts = [f'<path class="matched" d="M{low[0]:.1f} {low[1]:.1f}L{high[0]:.1f} {high[1]:.1f}"/>']
    for level in (0.0, 0.5, 1.0):
        x, y = _across(frame, level), frame.y(level)
        parts.append(f'<path class="grid" d="M{frame.left:g} {y:.1f}H{frame.right:g}"/>')
        parts.append(f'<text class="tick" x="{frame.left - 5:g}" y="{y + 4:.1f}" text-anchor="end">{level:g}</text>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{frame.bottom + 15:g}" text-anchor="middle">{level:g}</text>')
    title = Markup('<text class="tick" x="{:.0f}" y="{:g}" text-anchor="middle">across: {}, up: {}</text>')
    return Markup("".join(parts)) + title.format(
        (frame.left + frame.right) / 2, frame.bottom + 32, agreement.one, agreement.other
    )


def _point(frame: Frame, point: tuple[str, float, float], label: float) -> Markup:
    family, one, other = point
    x, y = _across(frame, one), frame.y(other)
    leader = f'<path class="leader" d="M{x + 4:.1f} {y:.1f}L{frame.right + 4:g} {label:.1f}H{frame.labels - 4:g}"/>'
    words = Markup("<title>{}: {} and {}</title>").format(family, TWO.format(one), TWO.format(other))
    text = Markup('<text x="{:g}" y="{:.1f}">{}</text>').format(frame.labels, label + 4, family)
    dot = f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return Markup("<g>{}{}{}</g>").format(words, Markup(leader + dot), text)
