"""The matched comparison as tables: the excess over the reference, the ranking, and curves in numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from solidmark.leaderboard import (
    Curve,
    CurveVerdict,
    Estimate,
    Excess,
    Leaderboard,
    MatchedComparison,
    RankedFamily,
    Row,
    TestbedFacts,
)
from solidmark.leaderboard.curves import MATCHED
from solidmark.leaderboard.excess import EQUAL, WIDEST, too_few
from solidmark.leaderboard.measures import AXES

from .columns import spans
from .table import EMPTY, OVER_SEEDS, PLAIN, SIGNED, TEXT, TIMES, Column, with_interval

TITLE = "Less memory at the same utility?"
ABOUT = (
    "The settings of a family make a curve: how much is remembered (M*, the worst case over queries) against the share of "
    "the baseline's utility that is left. The reference of a stage is plain under-fitting, plain lower guidance, or plain "
    "fine-tuning: only a curve below it mitigates. Excess is the mean distance below the reference over losses of up to "
    f"{100 * WIDEST:.0f} % of the utility, paired over seeds. Real: at least {EQUAL:g} of M below the reference, "
    f"significant after Holm's correction for all families. Equal: within ±{EQUAL:g}. Worse: above it. Undecided: these "
    "seeds cannot say."
)
RANKING = "At matched utility"
ABOUT_RANKING = (
    f"M* at a loss of at most {100 * MATCHED:.0f} % of the baseline's utility, read off each family's curve. A rank is a "
    "range: what paired tests over seeds, with Holm's correction for all pairs, leave open. Families that share a letter "
    "do not differ significantly."
)
SIGNS = {CurveVerdict.REAL: "✓", CurveVerdict.EQUAL: "=", CurveVerdict.WORSE: "✗", CurveVerdict.UNDECIDED: "?"}
"""Shown with the word, so that verdicts differ without colour."""

LEVELS = (0.0, 0.02, 0.05, 0.1, 0.25)
"""Relative losses of utility at which a curve is given in numbers."""


@dataclass(frozen=True)
class Line:
    """A family with one reference: on the leading axis, on the second one, and for the leading query alone."""

    lead: Excess
    second: Excess | None
    query: Excess | None


def lines(comparison: MatchedComparison) -> list[Line]:
    """Every family with each reference of its stages, the verdicts in the order real, equal, worse, undecided."""
    axis = comparison.axis
    seconds = {_pair(excess): excess for a in AXES if a.name != axis for excess in comparison.excesses_on(a.name)}
    queries = {_pair(excess): excess for excess in comparison.excesses_on(axis, "lead")}
    table = [Line(lead, seconds.get(_pair(lead)), queries.get(_pair(lead))) for lead in comparison.excesses_on(axis)]
    order = list(CurveVerdict)
    return sorted(table, key=lambda line: (order.index(line.lead.verdict), line.lead.stage, -_value(line.lead)))


def _pair(excess: Excess) -> tuple[str, str | None]:
    return excess.family, excess.reference


def _value(excess: Excess) -> float:
    return excess.estimate.value if excess.estimate is not None else -9.0


def counts(comparison: MatchedComparison) -> str:
    """`compared with the reference of their stage, families are: 5 real, 3 equal, 1 worse, 20 undecided`, or empty."""
    verdicts = [excess.verdict for excess in comparison.excesses_on(comparison.axis)]
    if not verdicts:
        return ""
    numbers = [f"{verdicts.count(verdict)} {verdict.value}" for verdict in CurveVerdict]
    return f"compared with the reference of their stage, families are: {', '.join(numbers)}"


def few(comparison: MatchedComparison) -> str:
    """Why there are no p-values, where there are none; empty otherwise."""
    excesses = comparison.excesses_on(comparison.axis)
    seeds = [len(excess.seeds) for excess in excesses if excess.estimate is not None]
    return too_few(max(seeds)) if seeds and all(excess.p is None for excess in excesses) else ""


def columns(comparison: MatchedComparison) -> tuple[Column[Line], ...]:
    """The columns of the table of excesses."""
    titles = {axis.name: axis.title for axis in AXES}
    lead, second = comparison.axis, next(axis.name for axis in AXES if axis.name != comparison.axis)
    columns = [
        Column("family", "family", "The technique, all its settings.", TEXT, lambda line: line.lead.family),
        Column("stage", "stage", "When it acts.", TEXT, lambda line: line.lead.stage),
        Column("reference", "reference", "The curve that it must be below.", TEXT, lambda line: line.lead.reference),
        Column(
            "seeds",
            "seeds",
            "The seeds of both curves.",
            TEXT,
            lambda line: spans(line.lead.seeds) or None,
            missing="none in common",
        ),
        _excess(lead, f"excess by {titles[lead]}", "M* against this utility.", lambda line: line.lead),
        Column("p", "p", "Paired t test over seeds, Holm's correction.", TEXT, lambda line: p_text(line.lead), note="Holm"),
        Column("verdict", "verdict", "What the excess says.", TEXT, lambda line: verdict(line.lead)),
        Column("reason", "because", "Why.", TEXT, lambda line: line.lead.reason),
    ]
    if comparison.has_numbers(second):
        columns += [
            _excess(second, f"excess by {titles[second]}", "M* against the second utility.", lambda line: line.second),
            Column(
                "second",
                f"by {titles[second]}",
                "What that excess says.",
                TEXT,
                lambda line: line.second and verdict(line.second),
            ),
        ]
    query = _excess("query", "excess in M", "The leading query alone, on the first utility.", lambda line: line.query)
    return (*columns, query)


def _excess(key: str, title: str, meaning: str, of: Callable[[Line], Excess | None]) -> Column[Line]:
    def estimate(line: Line) -> Estimate | None:
        excess = of(line)
        return excess.estimate if excess is not None else None

    return Column(f"excess_{key}", title, meaning, OVER_SEEDS, estimate, note="reference 0", better="higher", form=SIGNED)


def p_text(excess: Excess) -> str | None:
    """The corrected p-value, or that there are too few seeds for one."""
    if excess.estimate is None:
        return None
    return "too few seeds" if excess.p is None else f"{excess.p:.2g}"


def verdict(excess: Excess) -> str:
    """`✓ real`."""
    return f"{SIGNS[excess.verdict]} {excess.verdict.value}"


@dataclass(frozen=True)
class RankingLine:
    """One family of a ranking with the row of its setting."""

    family: RankedFamily
    row: Row | None


def ranking_lines(board: Leaderboard, facts: TestbedFacts) -> list[RankingLine]:
    """The ranking of a testbed by its leading utility."""
    comparison = board.comparison(facts)
    ranking, rows = comparison.ranking_on(comparison.axis), {row.mitigation: row for row in board.of(facts)}
    return [RankingLine(family, rows.get(family.setting)) for family in ranking.families] if ranking else []


def _label(line: RankingLine) -> str:
    kind = " (reference)" if line.family.reference else " (control)" if line.family.control else ""
    return f"{line.family.family}{kind}"


RANKING_COLUMNS: tuple[Column[RankingLine], ...] = (
    Column("ranks", "rank", "The ranks that it may have.", TEXT, lambda line: line.family.ranks),
    Column(
        "groups",
        "groups",
        "Families that share a letter do not differ significantly.",
        TEXT,
        lambda line: " ".join(line.family.groups),
    ),
    Column(
        "family",
        "family",
        "The technique.",
        TEXT,
        _label,
    ),
    Column("stage", "stage", "When it acts.", TEXT, lambda line: line.family.stage),
    Column(
        "matched",
        "M*",
        "M* at matched utility, with its interval over seeds.",
        OVER_SEEDS,
        lambda line: line.family.matched,
        note=f"at most {100 * MATCHED:.0f} % loss; chance 0",
        better="lower",
    ),
    Column(
        "setting",
        "best setting",
        "The setting that remembers least at matched utility.",
        TEXT,
        lambda line: line.family.setting or None,
        missing="no setting keeps so much utility: M* is between the baseline and the weakest setting",
    ),
    Column(
        "training",
        "training",
        "Evaluations of training and editing at that setting, divided by the baseline's training.",
        PLAIN,
        lambda line: line.row and line.row.cost and line.row.cost.relative,
        note="of baseline",
        better="lower",
        form=TIMES,
    ),
    Column(
        "sampling",
        "sampling",
        "Evaluations an image at that setting, divided by the baseline's.",
        PLAIN,
        lambda line: line.row and line.row.cost and line.row.cost.sampling_relative,
        note="of baseline",
        better="lower",
        form=TIMES,
    ),
)


def levels(comparison: MatchedComparison) -> list[tuple[str, list[str]]]:
    """Every curve of the leading axis in numbers: M* with its band at each of `LEVELS`."""
    return [(curve.family, [_level(curve, loss) for loss in LEVELS]) for curve in comparison.curves_on(comparison.axis)]


def _level(curve: Curve, loss: float) -> str:
    estimate = curve.at(loss)
    return EMPTY if estimate is None else with_interval(estimate)
