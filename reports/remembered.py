"""What a row remembers, as curves and the table show it: by keys and by content, each with its interval."""

from __future__ import annotations

from solidmark.leaderboard import Estimate, Row, Share
from solidmark.leaderboard.measures import CONTENT, content_of, reach


def keys(row: Row) -> Estimate | None:
    """M*, by the queries that the row's stage answers for; M of its only query where there is no worst case."""
    scores = getattr(row, reach(row.stage)) or row.lead
    return scores.memorization if scores is not None else None


def certified(row: Row) -> Share | None:
    """The images that the same queries certify."""
    scores = getattr(row, reach(row.stage)) or row.lead
    return scores.certified if scores is not None else None


def remembered(row: Row, measure: str) -> Estimate | None:
    """By the yardstick of a curve's measure."""
    return content_of(row) if measure == CONTENT.name else keys(row)
