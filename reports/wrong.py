"""What went wrong, and what does not apply: a method that cannot act on a testbed has not failed."""

from __future__ import annotations

from dataclasses import dataclass

from solidmark.leaderboard import Incident, Leaderboard

UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Wrong:
    """Incidents that are faults, and each reason why methods do not apply with their names.

    `count` is what to look at: faults of cases, and what else went wrong.
    """

    incidents: list[Incident]
    unsupported: list[tuple[str, str]]
    count: int


def wrong(board: Leaderboard) -> Wrong:
    """Unsupported cases are told by their reason, one line each, whatever their settings and seeds."""
    faults = [incident for incident in board.incidents if incident.status != UNSUPPORTED]
    reasons: dict[str, list[str]] = {}
    for incident in board.incidents:
        if incident.status == UNSUPPORTED:
            name = incident.mitigation.partition("(")[0] or incident.slug
            where = f"{name} on {incident.testbed}" if len(board.testbeds) > 1 else name
            reasons.setdefault(incident.reason, []).append(where)
    named = [(", ".join(dict.fromkeys(names)), reason) for reason, names in reasons.items()]
    return Wrong(faults, named, len(faults) + len(board.faults))
