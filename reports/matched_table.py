"""The matched comparison as tables: the excess over the reference by both yardsticks, and curves in numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from solidmark.leaderboard import (
    Curve,
    CurveVerdict,
    Estimate,
    Excess,
    JointVerdict,
    MatchedComparison,
)
from solidmark.leaderboard.excess import too_few
from solidmark.leaderboard.measures import AXES, CONTENT, KEYS

from .columns import spans
from .table import EMPTY, OVER_SEEDS, SIGNED, TEXT, Column, with_interval

SIGNS = {CurveVerdict.REAL: "✓", CurveVerdict.EQUAL: "=", CurveVerdict.WORSE: "✗", CurveVerdict.UNDECIDED: "?"}
"""Shown with the word, so that verdicts differ without colour."""

LEVELS = (0.0, 0.02, 0.05, 0.1, 0.25)
"""Relative losses of utility at which a curve is given in numbers."""


@dataclass(frozen=True)
class Line:
    """A family with one reference: on the leading axis by both yardsticks, on the second one, and for the leading query."""

    both: JointVerdict
    second: JointVerdict | None
    query: Excess | None

    @property
    def lead(self) -> Excess:
        """By keys, on the leading axis."""
        return self.both.keys


def lines(comparison: MatchedComparison) -> list[Line]:
    """Every family with numbers and each reference of its stages, in the order real, equal, worse, undecided."""
    axis = comparison.axis
    seconds = {_pair(found.keys): found for a in AXES if a.name != axis for found in comparison.verdicts_on(a.name)}
    queries = {_pair(excess): excess for excess in comparison.excesses_on(axis, "lead")}
    pairs = [(found, _pair(found.keys)) for found in comparison.verdicts_on(axis)]
    table = [Line(found, seconds.get(pair), queries.get(pair)) for found, pair in pairs]
    order = list(CurveVerdict)
    return sorted(table, key=lambda line: (order.index(line.both.verdict), line.lead.stage, -_value(line.lead)))


def _pair(excess: Excess) -> tuple[str, str | None]:
    return excess.family, excess.reference


def _value(excess: Excess) -> float:
    return excess.estimate.value if excess.estimate is not None else -9.0


def counts(comparison: MatchedComparison) -> str:
    """`compared with the reference of their stage, families are: 5 real, 3 equal, 1 worse, 20 undecided`, or empty."""
    found = comparison.verdicts_on(comparison.axis)
    if not found:
        return ""
    verdicts = [joint.verdict for joint in found]
    numbers = ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in CurveVerdict)
    text = f"compared with the reference of their stage, families are: {numbers}"
    if comparison.unmeasured:
        text += f"; without numbers here: {', '.join(comparison.unmeasured)}"
    if comparison.keys_only:
        return text
    alone = sum(joint.keys.verdict is CurveVerdict.REAL and not joint.keys_only for joint in found)
    unread = sum(joint.keys_only for joint in found)
    by_keys = f"; of those read by both yardsticks, keys alone would call {alone} real"
    return text + by_keys + (f"; {unread} by keys only" if unread else "")


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
        *(_by_keys_alone if comparison.keys_only else _by_both)(lead, titles[lead]),
        Column("reason", "because", "Why.", TEXT, lambda line: line.both.reason),
    ]
    if comparison.has_numbers(second):
        columns += _by_second(second, titles[second], keys_only=comparison.keys_only)
    query = _excess("query", "excess in M", "The leading query alone, on the first utility.", lambda line: line.query)
    return (*columns, query)


def _by_second(axis: str, title: str, *, keys_only: bool) -> list[Column[Line]]:
    """The same by the second utility."""
    keys = _excess(
        axis, f"excess {'' if keys_only else 'in keys '}by {title}", "M* against the second utility.", _second_keys
    )
    content = _excess(
        f"content_{axis}",
        f"excess in content by {title}",
        "Content against the second utility.",
        lambda line: line.second.content if line.second is not None else None,
        f"{CONTENT.title}; reference 0",
    )
    says = Column[Line](
        "second", f"by {title}", "What that utility says.", TEXT, lambda line: line.second and verdict(line.second)
    )
    return [keys, says] if keys_only else [keys, content, says]


def _by_keys_alone(axis: str, title: str) -> list[Column[Line]]:
    return [
        _excess(axis, f"excess by {title}", "M* against this utility.", lambda line: line.lead),
        _p("p", _keys),
        _verdict(),
    ]


def _by_both(axis: str, title: str) -> list[Column[Line]]:
    """The verdict, which yardstick decides, and the excess in each."""
    decides = "The yardstick that it is worse by, which decides."
    by = "What this yardstick alone says."
    return [
        _verdict(),
        Column("worse", "decided by", decides, TEXT, lambda line: _decided_by(line.both)),
        _excess(axis, f"excess in keys by {title}", "M* against this utility.", _keys, "M*; reference 0"),
        _p("p", _keys),
        Column("by_keys", "by keys", by, TEXT, lambda line: verdict(line.lead)),
        _excess(
            "content",
            f"excess in content by {title}",
            "Content against this utility.",
            _content,
            f"{CONTENT.title}; reference 0",
        ),
        _p("p_content", _content),
        Column("by_content", "by content", by, TEXT, lambda line: line.both.content and verdict(line.both.content)),
        _excess(
            "together",
            "in both at once",
            "What one choice of settings is below the reference in the worse of both, which two curves may not be.",
            lambda line: line.both.together,
        ),
    ]


def _keys(line: Line) -> Excess | None:
    return line.both.keys


def _content(line: Line) -> Excess | None:
    return line.both.content


def _second_keys(line: Line) -> Excess | None:
    return line.second.keys if line.second is not None else None


def _decided_by(both: JointVerdict) -> str:
    return "keys only" if both.keys_only else both.worse


def _verdict() -> Column[Line]:
    return Column("verdict", "verdict", "What the worse of the yardsticks says.", TEXT, lambda line: verdict(line.both))


def _p(key: str, of: Callable[[Line], Excess | None]) -> Column[Line]:
    def text(line: Line) -> str | None:
        excess = of(line)
        return p_text(excess) if excess is not None else None

    return Column(key, "p", "Paired t test over seeds, Holm's correction.", TEXT, text, note="Holm")


def _excess(
    key: str, title: str, meaning: str, of: Callable[[Line], Excess | None], note: str = "reference 0"
) -> Column[Line]:
    def estimate(line: Line) -> Estimate | None:
        excess = of(line)
        return excess.estimate if excess is not None else None

    return Column(f"excess_{key}", title, meaning, OVER_SEEDS, estimate, note=note, better="higher", form=SIGNED)


def p_text(excess: Excess) -> str | None:
    """The corrected p-value, or that there are too few seeds for one."""
    if excess.estimate is None:
        return None
    return "too few seeds" if excess.p is None else f"{excess.p:.2g}"


def verdict(found: Excess | JointVerdict) -> str:
    """`✓ real`."""
    return f"{SIGNS[found.verdict]} {found.verdict.value}"


def levels(comparison: MatchedComparison, measure: str = KEYS.name) -> list[tuple[str, list[str]]]:
    """Every curve of the leading axis in numbers: M*, or content, with its band at each of `LEVELS`."""
    curves = comparison.curves_on(comparison.axis, measure)
    return [(curve.family, [_level(curve, loss) for loss in LEVELS]) for curve in curves]


def _level(curve: Curve, loss: float) -> str:
    estimate = curve.at(loss)
    return EMPTY if estimate is None else with_interval(estimate)
