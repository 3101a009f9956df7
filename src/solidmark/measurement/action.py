"""Action: on which share of queries or images the parts of a row say that they acted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..mitigation.handout import ACTED_ON
from ..schema.record import Plain, Reports


def of_part(report: dict[str, Plain]) -> float | None:
    """The share that a part tells, 0 where it found nothing to change; None where it says neither."""
    share = 0.0 if report.get("no_op") is True else report.get(ACTED_ON)
    return float(share) if isinstance(share, int | float) else None


def of_row(stages: Iterable[Reports], parts: Sequence[object]) -> float | None:
    """The largest share that any of all `parts` tells, from what each stage reports; None where one does not say.

    A training that skips samples tells which share of them.
    """
    reported = [report for reports in stages for report in reports.values()]
    told = [share for report in reported if (share := _of_any(report)) is not None]
    return max(told) if 0 < len(told) == len(parts) else None


def _of_any(report: dict[str, Plain]) -> float | None:
    acted, skipped = of_part(report), report.get("skipped_share")
    return float(skipped) if acted is None and isinstance(skipped, int | float) else acted
