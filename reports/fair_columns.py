"""Columns of fair comparison: what the family of a row is worth beside its reference, and its rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from solidmark.leaderboard import Excess, Fairness, Leaderboard, Place, Row
from solidmark.leaderboard.curves import MATCHED

from .table import FOUR, LOSS, OVER_SEEDS, PLAIN, SIGNED, TEXT, THREE, Column

Key = tuple[str, str, str]
"""Testbed, protocol, and a family or a mitigation."""


def main(board: Leaderboard) -> list[Column[Row]]:
    """The verdict."""
    family = _found(_hardest(board))
    return [
        Column(
            "standing",
            "verdict",
            "What the whole family is beside the reference curve of its stage: real, equal, worse or undecided; "
            "where it has several references, beside the hardest.",
            TEXT,
            lambda r: family(r).standing.value if r.queries and family(r) else None,
            note="of the family",
            main=True,
            missing="not compared",
        )
    ]


def more(board: Leaderboard) -> list[Column[Row]]:
    """All others."""
    return [*_lost(board), *_beside(board), *_ranked(board), _held_out_loss()]


def _lost(board: Leaderboard) -> list[Column[Row]]:
    loss = _found(_losses(board), "mitigation")
    return [
        Column(
            "utility_loss",
            "utility lost",
            "Relative loss of utility against the baseline, mean over seeds.",
            PLAIN,
            loss,
            note="baseline 0",
            better="lower",
            form=THREE,
            missing="no point of its family's curve",
        ),
    ]


def _beside(board: Leaderboard) -> list[Column[Row]]:
    """The family beside the reference of its stage."""
    family = _found(_hardest(board))
    return [
        Column(
            "excess",
            "excess",
            "How far the family's curve lies below its reference's, in M*.",
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
            "Of that excess, corrected by Holm's method.",
            PLAIN,
            lambda r: family(r) and family(r).p,
            note="Holm",
            form="{:.2g}",
            missing="too few seeds, or not compared",
        ),
        Column(
            "excess_reference",
            "beside",
            "The reference of that excess.",
            TEXT,
            lambda r: family(r) and family(r).reference,
            missing="not compared",
        ),
    ]


def _ranked(board: Leaderboard) -> list[Column[Row]]:
    """The family's place at matched utility."""
    place = _found(_places(board))
    return [
        Column(
            "matched",
            "M* matched",
            f"M* of the family at a loss of utility of at most {100 * MATCHED:.0f} %.",
            OVER_SEEDS,
            lambda r: place(r) and place(r).matched,
            note="chance 0",
            better="lower",
            missing="no curve",
        ),
        Column(
            "ranks",
            "rank",
            "The ranks that the family may have by that.",
            TEXT,
            lambda r: place(r) and place(r).ranks,
            missing="no curve",
        ),
        Column(
            "groups",
            "groups",
            "Families that share a letter cannot be told apart.",
            TEXT,
            lambda r: place(r) and " ".join(place(r).groups),
            missing="no curve",
        ),
    ]


def _held_out_loss() -> Column[Row]:
    return Column(
        "denoising_loss",
        "held-out loss",
        "Denoising loss of held-out images, on the pixels that bear no mark, beside that of the trained ones; for rows "
        "whose weights are not the baseline's.",
        LOSS,
        lambda r: r.denoising_loss,
        note="beside trained",
        better="lower",
        form=FOUR,
        missing="its weights are the baseline's, or it was not recorded",
    )


def _hardest(board: Leaderboard) -> dict[Key, Excess]:
    """The excess of each family on the leading axis, beside the reference that leaves it the least."""
    found = [(_key(fair, one.family), one) for fair in board.fairness for one in fair.beside(fair.axis)]
    return dict(sorted(found, key=lambda pair: -_value(pair[1])))  # the last of equal keys stays


def _value(one: Excess) -> float:
    return one.estimate.value if one.estimate is not None else float("-inf")


def _places(board: Leaderboard) -> dict[Key, Place]:
    rankings = [(fair, fair.ranked(fair.axis)) for fair in board.fairness]
    return {_key(fair, place.family): place for fair, found in rankings if found for place in found.places}


def _losses(board: Leaderboard) -> dict[Key, float]:
    points = [(fair, point) for fair in board.fairness for curve in fair.drawn(fair.axis) for point in curve.points]
    return {_key(fair, point.mitigation): point.loss for fair, point in points}


def _key(ground: Fairness | Row, name: str) -> Key:
    return ground.testbed, str(dict(ground.protocol)), name


def _found(table: Mapping[Key, Any], name: str = "family") -> Callable[[Row], Any]:
    """What a table has of a row, by its family or its mitigation."""
    return lambda row: table.get(_key(row, getattr(row, name)))
