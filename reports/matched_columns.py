"""Columns of the matched comparison: what the family of a row is worth, compared with its reference, and its rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from solidmark.leaderboard import Excess, Leaderboard, MatchedComparison, RankedFamily, Row
from solidmark.leaderboard.curves import MATCHED

from .table import FOUR, LOSS, OVER_SEEDS, PLAIN, SIGNED, TEXT, THREE, Column

Key = tuple[str, str, str]
"""Testbed, solver, and a family or a mitigation."""


def main(board: Leaderboard) -> list[Column[Row]]:
    """The verdict."""
    family = _lookup(_hardest(board))
    return [
        Column(
            "verdict",
            "verdict",
            "What the whole family is, compared with the reference curve of its stage: real, equal, worse or undecided. "
            "Where it has several references, the hardest reference counts.",
            TEXT,
            lambda r: family(r).verdict.value if r.queries and family(r) else None,
            note="of the family",
            main=True,
            missing="not compared",
        )
    ]


def more(board: Leaderboard) -> list[Column[Row]]:
    """All others."""
    return [*_lost(board), *_excess(board), *_ranked(board), _held_out_loss()]


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
    """The family compared with the reference of its stage."""
    family = _lookup(_hardest(board))
    return [
        Column(
            "excess",
            "excess",
            "How far the family's curve is below its reference's, in M*.",
            OVER_SEEDS,
            lambda r: family(r) and family(r).estimate,
            note="reference 0",
            better="higher",
            form=SIGNED,
            missing="not compared",
        ),
        Column(
            "excess_p",
            "p",
            "p-value of that excess, corrected by Holm's method.",
            PLAIN,
            lambda r: family(r) and family(r).p,
            note="Holm",
            form="{:.2g}",
            missing="too few seeds, or not compared",
        ),
        Column(
            "excess_reference",
            "compared with",
            "The reference of that excess.",
            TEXT,
            lambda r: family(r) and family(r).reference,
            missing="not compared",
        ),
    ]


def _ranked(board: Leaderboard) -> list[Column[Row]]:
    """The family's rank at matched utility."""
    ranked = _lookup(_ranks(board))
    return [
        Column(
            "matched",
            "M* matched",
            f"M* of the family where it loses at most {100 * MATCHED:.0f} % of the utility.",
            OVER_SEEDS,
            lambda r: ranked(r) and ranked(r).matched,
            note="chance 0",
            better="lower",
            missing="no curve",
        ),
        Column(
            "ranks",
            "rank",
            "The ranks that the family may have by that M*.",
            TEXT,
            lambda r: ranked(r) and ranked(r).ranks,
            missing="no curve",
        ),
        Column(
            "groups",
            "groups",
            "Families that share a letter do not differ significantly.",
            TEXT,
            lambda r: ranked(r) and " ".join(ranked(r).groups),
            missing="no curve",
        ),
    ]


def _held_out_loss() -> Column[Row]:
    return Column(
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


def _hardest(board: Leaderboard) -> dict[Key, Excess]:
    """The excess of each family on the leading axis, over the reference that leaves it the least."""
    pairs = [
        (_key(comparison, excess.family), excess)
        for comparison in board.matched
        for excess in comparison.excesses_on(comparison.axis)
    ]
    return dict(sorted(pairs, key=lambda pair: -_value(pair[1])))  # the last of equal keys stays


def _value(excess: Excess) -> float:
    return excess.estimate.value if excess.estimate is not None else float("-inf")


def _ranks(board: Leaderboard) -> dict[Key, RankedFamily]:
    rankings = [(comparison, comparison.ranking_on(comparison.axis)) for comparison in board.matched]
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
