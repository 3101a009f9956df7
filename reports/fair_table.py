"""Fair comparison as tables: the excess over the reference, the ranking at matched utility, and curves in numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solidmark.leaderboard import Curve, Excess, Fairness, Leaderboard, Place, Row, Standing, TestbedFacts
from solidmark.leaderboard.curves import AXES, MATCHED
from solidmark.leaderboard.excess import EQUAL, WIDEST, too_few

from .columns import spans
from .table import OVER_SEEDS, PLAIN, SIGNED, TEXT, TIMES, Column

TITLE = "Less memory at the same utility?"
ABOUT = (
    "A family of settings is a curve: how much is remembered (M*, the worst case over queries) against the share of the "
    "baseline's utility that is kept. Only a curve below the reference of its stage, which is plain under-fitting, plain "
    f"lower guidance, or plain fine-tuning, mitigates. Excess is the mean distance below it over losses of up to "
    f"{100 * WIDEST:.0f} % of the utility, paired over seeds. Real: below the reference by at least {EQUAL:g} of M, "
    f"significant after Holm's correction for all families. Equal: within ±{EQUAL:g}. Worse: above it. Undecided: these "
    "seeds do not tell."
)
RANKING = "At matched utility"
ABOUT_RANKING = (
    f"M* at a loss of at most {100 * MATCHED:.0f} % of the baseline's utility, read off each family's curve. No place is "
    "a number by itself: a rank is the range that paired tests over seeds, with Holm's correction for all pairs, leave "
    "open, and families that share a letter cannot be told apart."
)
SIGNS = {Standing.REAL: "✓", Standing.EQUAL: "=", Standing.WORSE: "✗", Standing.UNDECIDED: "?"}
"""Beside the word, so that verdicts are told apart without colour."""

LEVELS = (0.0, 0.02, 0.05, 0.1, 0.25)
"""Relative losses of utility at which a curve is told in numbers."""


@dataclass(frozen=True)
class Line:
    """A family beside one reference: on the leading axis, on the other one, and for the leading query alone."""

    lead: Excess
    other: Excess | None
    query: Excess | None


def lines(fair: Fairness) -> list[Line]:
    """Every family beside each reference of its stages, the verdicts in the order real, equal, worse, undecided."""
    axis = fair.axis
    others = {_pair(one): one for axis_ in AXES if axis_.name != axis for one in fair.beside(axis_.name)}
    queries = {_pair(one): one for one in fair.beside(axis, "lead")}
    found = [Line(one, others.get(_pair(one)), queries.get(_pair(one))) for one in fair.beside(axis)]
    order = list(Standing)
    return sorted(found, key=lambda line: (order.index(line.lead.standing), line.lead.stage, -_value(line.lead)))


def _pair(one: Excess) -> tuple[str, str | None]:
    return one.family, one.reference


def _value(one: Excess) -> float:
    return one.estimate.value if one.estimate is not None else -9.0


def counts(fair: Fairness) -> str:
    """`beside their references 5 families are real, 3 equal, 1 worse, 20 undecided`; empty where there are none."""
    found = [one.standing for one in fair.beside(fair.axis)]
    if not found:
        return ""
    told = [f"{found.count(standing)} {standing.value}" for standing in Standing]
    return f"beside the reference of their stage, families are: {', '.join(told)}"


def few(fair: Fairness) -> str:
    """Why there are no p-values, where there are none; empty otherwise."""
    seeds = [len(one.seeds) for one in fair.beside(fair.axis) if one.estimate is not None]
    return too_few(max(seeds)) if seeds and all(one.p is None for one in fair.beside(fair.axis)) else ""


def columns(fair: Fairness) -> tuple[Column[Line], ...]:
    """The columns of the table of excesses."""
    titles = {axis.name: axis.title for axis in AXES}
    lead, other = fair.axis, next(axis.name for axis in AXES if axis.name != fair.axis)
    shown = [
        Column("family", "family", "The technique, all its strengths.", TEXT, lambda line: line.lead.family),
        Column("stage", "stage", "When it acts.", TEXT, lambda line: line.lead.stage),
        Column("reference", "reference", "The curve that it must lie below.", TEXT, lambda line: line.lead.reference),
        Column(
            "seeds",
            "seeds",
            "The seeds of both curves.",
            TEXT,
            lambda line: spans(line.lead.seeds) or None,
            missing="none in common",
        ),
        _excess(lead, f"excess by {titles[lead]}", "M* against this utility.", lambda line: line.lead),
        Column("p", "p", "Paired t test over seeds, Holm's correction.", TEXT, lambda line: p_told(line.lead), note="Holm"),
        Column("standing", "verdict", "What the excess says.", TEXT, lambda line: verdict(line.lead)),
        Column("reason", "because", "Why.", TEXT, lambda line: line.lead.reason),
    ]
    if fair.measured(other):
        shown.append(_excess(other, f"excess by {titles[other]}", "M* against the other utility.", lambda line: line.other))
        shown.append(
            Column(
                "other",
                f"by {titles[other]}",
                "What that excess says.",
                TEXT,
                lambda line: line.other and verdict(line.other),
            )
        )
    shown.append(_excess("query", "excess in M", "The leading query alone, on the first utility.", lambda line: line.query))
    return tuple(shown)


def _excess(key: str, title: str, meaning: str, of: Callable[[Line], Excess | None]) -> Column[Line]:
    def estimate(line: Line) -> Any:
        one = of(line)
        return one.estimate if one is not None else None

    return Column(f"excess_{key}", title, meaning, OVER_SEEDS, estimate, note="reference 0", better="higher", form=SIGNED)


def p_told(one: Excess) -> str | None:
    """The corrected p-value, or that there are too few seeds for one."""
    if one.estimate is None:
        return None
    return "too few seeds" if one.p is None else f"{one.p:.2g}"


def verdict(one: Excess) -> str:
    """`✓ real`."""
    return f"{SIGNS[one.standing]} {one.standing.value}"


@dataclass(frozen=True)
class Ranked:
    """One family of a ranking with the row of its setting."""

    place: Place
    row: Row | None


def ranked(board: Leaderboard, facts: TestbedFacts) -> list[Ranked]:
    """The ranking of a testbed by its leading utility."""
    fair = board.fair(facts)
    found, rows = fair.ranked(fair.axis), {row.mitigation: row for row in board.of(facts)}
    return [Ranked(place, rows.get(place.setting)) for place in found.places] if found else []


def _named(one: Ranked) -> str:
    kind = " (reference)" if one.place.reference else " (control)" if one.place.control else ""
    return f"{one.place.family}{kind}"


RANKED: tuple[Column[Ranked], ...] = (
    Column("ranks", "rank", "The ranks that it may have.", TEXT, lambda one: one.place.ranks),
    Column(
        "groups",
        "groups",
        "Families that share a letter cannot be told apart.",
        TEXT,
        lambda one: " ".join(one.place.groups),
    ),
    Column(
        "family",
        "family",
        "The technique.",
        TEXT,
        _named,
    ),
    Column("stage", "stage", "When it acts.", TEXT, lambda one: one.place.stage),
    Column(
        "matched",
        "M*",
        "M* at matched utility, with its interval over seeds.",
        OVER_SEEDS,
        lambda one: one.place.matched,
        note=f"at most {100 * MATCHED:.0f} % loss; chance 0",
        better="lower",
    ),
    Column(
        "setting",
        "best setting",
        "The strength that remembers least at matched utility.",
        TEXT,
        lambda one: one.place.setting or None,
        missing="no strength keeps so much utility: M* lies between the baseline and its weakest",
    ),
    Column(
        "training",
        "training",
        "Evaluations of training and editing at that setting, against the baseline's training.",
        PLAIN,
        lambda one: one.row and one.row.cost and one.row.cost.relative,
        note="of baseline",
        better="lower",
        form=TIMES,
    ),
    Column(
        "sampling",
        "sampling",
        "Evaluations an image at that setting, against the baseline's.",
        PLAIN,
        lambda one: one.row and one.row.cost and one.row.cost.sampling_relative,
        note="of baseline",
        better="lower",
        form=TIMES,
    ),
)


def levels(fair: Fairness) -> list[tuple[str, list[str]]]:
    """Every curve of the leading axis in numbers: M* with its band at each of `LEVELS`."""
    return [(curve.family, [_level(curve, loss) for loss in LEVELS]) for curve in fair.drawn(fair.axis)]


def _level(curve: Curve, loss: float) -> str:
    found = curve.at(loss)
    if found is None:
        return "–"
    return f"{found.value:z.2f}" + ("" if found.low is None else f" [{found.low:z.2f}, {found.high:z.2f}]")
