"""Columns of content: whether images are emitted, whatever became of their keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solidmark.leaderboard import NO_CONTENT, NO_OWN, ContentScore, Leaderboard, Row

from .table import COUNT, NUMBER, Column

OWN = "one picture is generated from an image's own caption"
ANY = "its nearest picture is taken, of whatever caption"


def main(board: Leaderboard) -> list[Column[Row]]:
    """AUROC of both scores, where any row has them."""
    if not any(row.content is not None for row in board.rows):
        return []
    return [_auroc("own", "content", OWN, _own), _auroc("any", "content, any caption", ANY, _any)]


def more(board: Leaderboard) -> list[Column[Row]]:
    """Certified images of both scores, where any row has them."""
    if not any(row.content is not None for row in board.rows):
        return []
    return [_certified("own", OWN, _own), _certified("any", ANY, _any)]


def _auroc(key: str, title: str, how: str, score: Callable[[Row], ContentScore | None]) -> Column[Row]:
    return Column(
        f"content_{key}_auroc",
        title,
        f"How well content alone separates trained from held-out images: {how}, and its distance to the image, relative to "
        "that of other real images, is compared. High here beside a low M means that the image outlives its key.",
        NUMBER,
        lambda row: (found := score(row)) and found.auroc,
        note="chance 0.5",
        better="lower",
        main=key == "own",
        missing=NO_OWN if key == "own" else NO_CONTENT,
    )


def _certified(key: str, how: str, score: Callable[[Row], Any]) -> Column[Row]:
    return Column(
        f"content_{key}_certified",
        f"certified by content, {key}",
        f"Images that are emitted provably, at a false-discovery rate of 2.5 %: {how}. The p-values are exact ranks among "
        "held-out images, so few images cannot be certified where few are held out.",
        COUNT,
        lambda row: (found := score(row)) and found.certified,
        note="chance 0",
        better="lower",
        missing=NO_OWN if key == "own" else NO_CONTENT,
    )


def _own(row: Row) -> ContentScore | None:
    return row.content.own if row.content is not None else None


def _any(row: Row) -> ContentScore | None:
    return row.content.any if row.content is not None else None
