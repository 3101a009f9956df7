"""What a row remembers, as curves and the table show it: by keys and by content, each with its interval."""

from __future__ import annotations

from solidmark.leaderboard import Estimate, Row, Share
from solidmark.leaderboard.measures import CONTENT, reach


def keys(row: Row) -> Estimate | None:
    """M*, by the queries that the row's stage answers for; M of its only query where there is no worst case."""
    scores = getattr(row, reach(row.stage)) or row.lead
    return scores.memorization if scores is not None else None


def certified(row: Row) -> Share | None:
    """The images that the same queries certify."""
    scores = getattr(row, reach(row.stage)) or row.lead
    return scores.certified if scores is not None else None


def content(row: Row) -> Estimate | None:
    """2 AUROC - 1 of the content score that finds most."""
    if row.content is None:
        return None
    areas = [score.auroc for score in (row.content.own, row.content.any) if score is not None]
    most = max(areas, key=lambda area: area.value)
    low, high = most.limits
    return Estimate(2 * most.value - 1, 2 * low - 1, 2 * high - 1, chance=0.0)


def remembered(row: Row, measure: str) -> Estimate | None:
    """By the yardstick of a curve's measure."""
    return content(row) if measure == CONTENT.name else keys(row)
