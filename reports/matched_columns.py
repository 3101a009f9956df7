"""Columns of the matched comparison: what the family of a row is worth, compared with its reference, and its rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from solidmark.leaderboard import Excess, JointVerdict, Leaderboard, MatchedComparison, RankedFamily, Row
from solidmark.leaderboard.curves import MATCHED
from solidmark.leaderboard.measures import CONTENT, KEYS
from solidmark.leaderboard.placing import hardest

from .matched_prose import keys_only
from .table import FOUR, LOSS, OVER_SEEDS, PLAIN, SIGNED, TEXT, THREE, Cell, Column, Kind

Key = tuple[str, str, str]
"""Testbed, solver, and a family or a mitigation."""


def main(board: Leaderboard) -> list[Column[Row]]:
    """The verdict, and where content was measured, how the row's yardsticks differ."""
    family = _lookup(_hardest(board))
    column = Column[Row](
        "verdict",
        "verdict",
        "What the whole family is, compared with the reference curve of its stage: real, equal, worse or undecided, by the "
        "worse of keys and content. Where it has several references, the hardest reference counts.",
        _VERDICT,
        lambda r: (family(r), not keys_only(board)) if r.queries and family(r) else None,
        note="of the family",
        main=True,
        missing="not compared",
    )
    silent = keys_only(board) and not any(row.disagreement for row in board.rows)
    return [column] if silent else [column, _disagreement()]


def _verdict_cell(found: tuple[JointVerdict, bool], _: str) -> Cell:
    """The verdict's word; `keys only` is told where others were read by content as well."""
    joint, told = found
    word = joint.verdict.value
    return Cell(word, comparison="keys only" if told and joint.keys_only else "", order=word, flat={"": word})


_VERDICT = Kind("text", ("",), _verdict_cell)


def _disagreement() -> Column[Row]:
    return Column(
        "disagreement",
        "keys and content",
        "How the two yardsticks differ in this row, in words that “How to read it” explains; empty where they do not.",
        TEXT,
        lambda r: r.disagreement,
        main=True,
        missing="both say the same, or one was not measured",
    )


def more(board: Leaderboard) -> list[Column[Row]]:
    """All others."""
    both = [] if keys_only(board) else _each_yardstick(board)
    return [*_lost(board), *_excess(board), *both, *_ranked(board), *_held_out_loss()]


def _lost(board: Leaderboard) -> list[Column[Row]]:
    loss = _lookup(_losses(board), "mitigation")
    return [
        Column(
            "utility_loss",
            "utility lost",
            "Relative loss of utility, compared with the baseline; mean over seeds.",
            PLAIN,
            loss,
            note="baseline 0",
            better="lower",
            form=THREE,
            missing="no point of its family's curve",
        ),
    ]


def _excess(board: Leaderboard) -> list[Column[Row]]:
    """The family compared with the reference of its stage, by keys."""
    family = _lookup(_hardest(board))
    return [
        _estimate("excess", "excess", "How far the family's curve is below its reference's, in M*.", _of(family, "keys")),
        _p_value("excess_p", _of(family, "keys")),
        Column(
            "excess_reference",
            "compared with",
            "The reference of that excess.",
            TEXT,
            lambda r: family(r) and family(r).keys.reference,
            missing="not compared",
        ),
    ]


def _each_yardstick(board: Leaderboard) -> list[Column[Row]]:
    """The same by content, by both at once, and which yardstick decides."""
    family = _lookup(_hardest(board))
    content, together = _of(family, "content"), _of(family, "together")
    below = "How far the family's curve is below its reference's"
    return [
        _estimate("excess_content", "excess in content", f"{below}, in {CONTENT.title}.", content),
        _p_value("excess_content_p", content),
        _estimate(
            "excess_together", "excess in both at once", f"{below} in the worse of both, at the same settings.", together
        ),
        _word("verdict_keys", "by keys", "What keys alone say.", _of(family, "keys")),
        _word("verdict_content", "by content", "What content alone says.", content),
        Column(
            "decided_by",
            "decided by",
            "The yardstick by which the family is worse.",
            TEXT,
            lambda r: family(r) and ("keys only" if family(r).keys_only else family(r).worse),
            missing="not compared",
        ),
    ]


Of = Callable[[Row], Excess | None]
"""The excess of a row's family by one yardstick."""


def _of(family: Callable[[Row], JointVerdict | None], yardstick: str) -> Of:
    return lambda r: getattr(found, yardstick) if (found := family(r)) else None


def _estimate(key: str, title: str, meaning: str, of: Of) -> Column[Row]:
    return Column(
        key,
        title,
        meaning,
        OVER_SEEDS,
        lambda r: found.estimate if (found := of(r)) else None,
        note="reference 0",
        better="higher",
        form=SIGNED,
        missing="not compared",
    )


def _p_value(key: str, of: Of) -> Column[Row]:
    return Column(
        key,
        "p",
        "p-value of that excess, corrected by Holm's method.",
        PLAIN,
        lambda r: found.p if (found := of(r)) else None,
        note="Holm",
        form="{:.2g}",
        missing="too few seeds, or not compared",
    )


def _word(key: str, title: str, meaning: str, of: Of) -> Column[Row]:
    return Column(
        key, title, meaning, TEXT, lambda r: found.verdict.value if (found := of(r)) else None, missing="not compared"
    )


def _ranked(board: Leaderboard) -> list[Column[Row]]:
    """The family's rank at matched utility, and what it remembers there by each yardstick."""
    ranked, keys, content = (_lookup(_ranks(board, measure)) for measure in (None, KEYS.name, CONTENT.name))
    columns = [
        _matched("matched", "M* matched", "M*", keys),
        Column[Row](
            "ranks",
            "rank",
            "The ranks that the family may have by that M*."
            if keys_only(board)
            else "The ranks that the family may have by the worse of keys and content there.",
            TEXT,
            lambda r: ranked(r) and ranked(r).ranks,
            missing="no curve",
        ),
        Column[Row](
            "groups",
            "groups",
            "Families that share a letter do not differ significantly.",
            TEXT,
            lambda r: ranked(r) and " ".join(ranked(r).groups),
            missing="no curve",
        ),
    ]
    if keys_only(board):
        return columns
    more = [
        ("matched_content", "content matched", CONTENT.title, content),
        ("matched_worse", "worse matched", "The worse", ranked),
    ]
    return [*columns, *(_matched(*each) for each in more)]


def _matched(key: str, title: str, what: str, ranked: Callable[[Row], Any]) -> Column[Row]:
    return Column(
        key,
        title,
        f"{what} of the family where it loses at most {100 * MATCHED:.0f} % of the utility.",
        OVER_SEEDS,
        lambda r: ranked(r) and ranked(r).matched,
        note="chance 0",
        better="lower",
        missing="no curve",
    )


def _held_out_loss() -> list[Column[Row]]:
    column = Column[Row](
        "denoising_loss",
        "held-out loss",
        "Denoising loss of held-out images, and of trained ones, on the pixels without a mark. Only for rows whose weights "
        "are not the baseline's.",
        LOSS,
        lambda r: r.denoising_loss,
        note="beside trained",
        better="lower",
        form=FOUR,
        missing="its weights are the baseline's, or it was not recorded",
    )
    return [column]


def _hardest(board: Leaderboard) -> dict[Key, JointVerdict]:
    """The verdict of each family on the leading axis, over the reference that leaves it the least."""
    return {_key(ground, family): found for ground in board.matched for family, found in hardest(ground).items()}


def _ranks(board: Leaderboard, measure: str | None) -> dict[Key, RankedFamily]:
    """Each family's place by one measure of memorization; by that which leads where none is named."""
    rankings = [
        (
            comparison,
            comparison.ranking_on(comparison.axis, measure) if measure else comparison.leading_ranking(comparison.axis),
        )
        for comparison in board.matched
    ]
    return {_key(ground, family.family): family for ground, ranking in rankings if ranking for family in ranking.families}


def _losses(board: Leaderboard) -> dict[Key, float]:
    return {
        _key(comparison, point.mitigation): point.loss
        for comparison in board.matched
        for curve in comparison.curves_on(comparison.axis)
        for point in curve.points
    }


def _key(ground: MatchedComparison | Row, name: str) -> Key:
    return ground.testbed, str(dict(ground.solver)), name


def _lookup(table: Mapping[Key, Any], name: str = "family") -> Callable[[Row], Any]:
    """What a table has of a row, by its family or its mitigation."""
    return lambda row: table.get(_key(row, getattr(row, name)))
