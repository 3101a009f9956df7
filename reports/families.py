"""A family's part of the page: its curves, verdict, settings, seeds, queries, doses, claims and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from solidmark.leaderboard import Curve, JointVerdict, Leaderboard, Row, TestbedFacts
from solidmark.leaderboard.answer import Answer
from solidmark.leaderboard.excess import CurveVerdict
from solidmark.leaderboard.measures import CONTENT, KEYS, content_of, reach
from solidmark.leaderboard.placing import Place, Role, order

from . import by_query, cost_columns, gallery, remembered
from .columns import reported_text, seeds_text
from .family_curve import family_curve
from .finding_cards import Card
from .table import COUNT, NUMBER, PLAIN, TEXT, TWO, Column


@dataclass(frozen=True)
class Part:
    """One family on one testbed. `verdicts` are those over each reference of its stages on the leading axis of utility.

    `asked` is M of each query for each setting, by name of query; `pictures` are of the setting that is shown.
    """

    facts: TestbedFacts
    rows: list[Row]
    role: Role
    verdict: CurveVerdict | None
    verdicts: list[JointVerdict]
    curves: list[tuple[str, Markup]]
    settings: tuple[Column[Row], ...]
    claims: list[Card]
    pictures: gallery.Wall | None
    reason: str = ""
    lines: list[by_query.Line] = field(default_factory=list)

    @property
    def lost(self) -> list[tuple[str, str]]:
        """The settings without numbers, those of one reason together, and what became of them."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            if not row.ok:
                told = f"{row.status.replace('_', ' ')}: {row.reason}"
                found.setdefault(told, []).append(row.setting or row.mitigation)
        return [(", ".join(settings), told) for told, settings in found.items()]

    @property
    def word(self) -> str:
        """Its verdict against its hardest reference, or what it is instead; empty where too few seeds say nothing."""
        if self.role is not Role.FAMILY:
            return str(self.role.value)
        return str(self.verdict.value) if self.verdict is not None else ""

    @property
    def first(self) -> Row:
        """The row that names it."""
        return self.rows[0]

    @property
    def queries(self) -> list[str]:
        """The queries that any of its settings was asked."""
        return list(dict.fromkeys(name for row in self.rows for name in row.queries or {}))

    @property
    def not_applicable(self) -> list[tuple[str, str]]:
        """Each query that could not be asked, and why."""
        return sorted({pair for row in self.rows for pair in row.not_applicable.items()})


def parts(board: Leaderboard, answers: Sequence[Answer], runs: Sequence[Path]) -> list[Part]:
    """All families of all testbeds, in the order of their best rows."""
    return [
        part
        for number, (facts, found) in enumerate(zip(board.testbeds, answers, strict=True))
        for part in _of_testbed(number, board, facts, found, runs)
    ]


def _of_testbed(number: int, board: Leaderboard, facts: TestbedFacts, found: Answer, runs: Sequence[Path]) -> list[Part]:
    families: dict[str, list[Row]] = {}
    for row in board.of(facts):
        families.setdefault(row.family, []).append(row)
    ordered = sorted(families.values(), key=lambda rows: min(order(found.places[row.mitigation]) for row in rows))
    return [_part(f"{number}-{index}", board, facts, rows, found, runs) for index, rows in enumerate(ordered)]


def _part(name: str, board: Leaderboard, facts: TestbedFacts, rows: list[Row], found: Answer, runs: Sequence[Path]) -> Part:
    comparison, first = board.comparison(facts), rows[0]
    place = found.places[first.mitigation]
    judgements = [each.family for row in rows if (each := found.places[row.mitigation]).family is not None]
    verdicts = [each for each in comparison.verdicts_on(comparison.axis) if each.keys.family == first.family]
    own = [(measure, comparison.curves_on(comparison.axis, measure.name)) for measure in (KEYS, CONTENT)]
    table = {row.mitigation: row for row in board.of(facts)}
    curves = [
        (measure.title if measure is KEYS else "content", family_curve(f"curve-{name}-{measure.name}", curve, refs, table))
        for measure, all_curves in own
        for curve in all_curves
        if curve.family == first.family and curve.points
        for refs in [_references(curve, all_curves)]
    ]
    reasons = [curve.reason for curve in own[0][1] if curve.family == first.family and curve.reason]
    judged = next((each.verdict for each in judgements if each is not None and found.decides), None)
    shown = next((one.row for one in found.families if one.row.family == first.family), first)
    claims = [card for outcome in board.findings if (card := Card(outcome)).method == first.family]
    lines = by_query.lines(first, facts) if place.role is Role.BASELINE and first.ok else []
    return Part(
        facts,
        rows,
        place.role,
        judged,
        verdicts,
        curves,
        _columns(rows, found.places, decides=found.decides),
        [card for card in claims if _about(card, board, facts)],
        gallery.extremes(shown, runs) if shown.ok else None,
        "; ".join(reasons),
        lines,
    )


def _references(curve: Curve, curves: Sequence[Curve]) -> list[Curve]:
    """The references of the stages in which a family acts, without itself."""
    stages = curve.stage.split("+")
    return [each for each in curves if each.reference and each.stage in stages and each is not curve and each.points]


def _about(card: Card, board: Leaderboard, facts: TestbedFacts) -> bool:
    """Whether a claim was tested on what this testbed is known as, or does not say where.

    What a testbed is known as is told by the claims that were read on it: a board knows it by its name alone.
    """
    found = (outcome.finding for outcome in board.findings if outcome.finding is not None)
    known_as = {finding.where for finding in found if finding.testbed == facts.name}
    where = card.outcome.finding.where if card.outcome.finding is not None else ""
    return where in ("", facts.name, *known_as)


def _columns(rows: Sequence[Row], places: dict[str, Place], *, decides: bool) -> tuple[Column[Row], ...]:
    """What the settings of a family differ in; a column that says nothing of any is left out."""
    columns: list[Column[Row]] = [
        Column("parameters", "setting", "Its parameters.", TEXT, lambda r: r.setting or r.mitigation),
        Column(
            "verdict",
            "verdict here",
            "What it wears, or why it wears none.",
            TEXT,
            lambda r: _worn(places[r.mitigation]) if decides else None,
        ),
        Column("keys", "keys", "M*.", NUMBER, remembered.keys, note="M*, chance 0", better="lower"),
        Column("weights", "keys, with weights", "M* over all queries.", NUMBER, _weights, note="all queries, chance 0"),
        Column("content", "content", CONTENT.title, NUMBER, content_of, note=f"{CONTENT.title}, chance 0"),
        Column("kept", "utility kept", "", PLAIN, lambda r: _percent(places[r.mitigation].kept), form="{:.0f} %"),
        Column("below", "below reference", "", NUMBER, lambda r: places[r.mitigation].gap, note="at that utility"),
        Column("certified", "certified", "", COUNT, remembered.certified, note="chance 0"),
        *cost_columns.main(),
        Column("seeds", "seeds", "", TEXT, seeds_text),
        Column("each", "keys by seed", "M* of each seed.", TEXT, _each_seed),
        Column("dose", "what it did", "", TEXT, lambda r: reported_text(r.reported.values) if r.reported else None),
    ]
    return tuple(column for column in columns if any(column.of(row) is not None for row in rows))


def _percent(kept: float | None) -> float | None:
    return None if kept is None else 100 * kept


def _worn(place: Place) -> str | None:
    if place.role is not Role.FAMILY:
        return None
    return place.verdict.value if place.verdict is not None else place.reason or None


def _weights(row: Row) -> object:
    """M* over all queries, where the row is judged by those of the service alone."""
    return row.worst.memorization if row.worst is not None and reach(row.stage) == "worst_service" else None


def _each_seed(row: Row) -> str | None:
    """`0.13, 0.12, 0.15`: what is left of the keys in each seed, in their order."""
    attempts = sorted(row.attempts, key=lambda attempt: attempt.seed or 0)
    found = [getattr(attempt, reach(row.stage)) or attempt.memorization for attempt in attempts]
    values = [TWO.format(each.value) for each in found if each is not None]
    return ", ".join(values) if len(values) > 1 else None
