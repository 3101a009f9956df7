"""The column of the control with exchanged class names: do a row's pictures come from the weights behind it?"""

from __future__ import annotations

from solidmark.leaderboard import NO_SOURCES, NOTHING_SAMPLED, Leaderboard, Row

from .table import TEXT, Column

OPEN = "a sampler that shows stored pictures by the words of a caption would not be found"


def main(board: Leaderboard) -> list[Column[Row]]:
    """The column, where any row's records say something of it."""
    column = Column[Row](
        "sources",
        "pictures from weights",
        "Control of what acts at sampling: it is asked once more with a model that knows each class under another's name. "
        "Small p (the smallest of any seed): pictures follow the words of captions, not the weights; below 1e-4 the row "
        "fails. It needs captions that name at least eight classes. Where they do not, nobody looked, and the row says so.",
        TEXT,
        _told,
        missing=f"{NOTHING_SAMPLED}, or {NO_SOURCES}",
    )
    return [column] if any(row.sources for row in board.rows) else []


def _told(row: Row) -> str | None:
    found = row.sources
    if found is None or found.reason == NOTHING_SAMPLED:
        return None
    return f"p {found.p:.2g}" if found.p is not None else f"not tested, for {found.reason}: {OPEN}"
