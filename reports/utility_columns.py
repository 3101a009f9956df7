"""Columns of utility: what generation is worth with the mitigation on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solidmark.leaderboard import NO_CLASS, Leaderboard, Row

from .table import DISTANCE, ONE, PLAIN, PROPORTION, SHARE, Column


def main(board: Leaderboard) -> list[Column[Row]]:
    """What matters most."""
    known = [row.utility.accuracy for row in board.rows if row.utility is not None]
    chances = {accuracy.chance for accuracy in known if accuracy is not None}
    alike = len(chances) == 1
    return [
        Column(
            "accuracy",
            "accuracy",
            "Utility: how often a judge trained on real images sees the class that was asked for, on plain generation from "
            "fresh captions with the mitigation active and the mark cropped away."
            + (f" A dash: {NO_CLASS}." if None in known else ""),
            PROPORTION if alike else SHARE,
            _useful("accuracy"),
            note=f"chance {chances.pop():.2g}" if alike else "beside chance",
            better="higher",
            main=True,
            missing=NO_CLASS,
        ),
        Column(
            "frechet",
            "Fréchet",
            "Distance between generated and held-out images in the judge's features, beside the same between two halves of "
            "real images, below which no generator can be expected to come.",
            DISTANCE,
            _useful("frechet"),
            note="floor: real",
            better="lower",
            form=ONE,
            main=True,
        ),
    ]


def more() -> list[Column[Row]]:
    """All others."""
    return [
        Column(
            "kernel",
            "kernel distance",
            "Squared maximum mean discrepancy in the judge's features, beside the same between two real halves; 0 in "
            "expectation for equal distributions.",
            DISTANCE,
            _useful("kernel"),
            note="floor: real",
            better="lower",
        ),
        Column(
            "diversity",
            "diversity",
            "Recall: the share of held-out images that have a generated one as near as generated ones lie to each other.",
            PROPORTION,
            _useful("diversity"),
            note="chance 0",
            better="higher",
        ),
        Column(
            "diversity_real",
            "diversity, real",
            "The same for real images, which no generator can be expected to exceed.",
            PLAIN,
            lambda r: r.utility and r.utility.diversity_real,
            note="ceiling",
        ),
    ]


def _useful(name: str) -> Callable[[Row], Any]:
    return lambda row: row.utility and getattr(row.utility, name)
