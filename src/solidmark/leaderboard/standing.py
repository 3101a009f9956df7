"""Standing: the rows of a testbed in the order of a reader's questions: what helps, and what is left at worst.

First the rows that nothing is claimed of (the baseline, reference curves and controls), then families by their verdict, in
the order of `CurveVerdict`, then rows without numbers. Families of one verdict are ordered by their least worst case, as
their stage is judged, and so are the rows of a family, which stay together: the verdict is the family's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..schema.numbers import Estimate
from ..schema.row import Row
from .build import Leaderboard, TestbedFacts
from .excess import CurveVerdict
from .matched import MatchedComparison
from .measures import reach, recalled
from .yardsticks import ORDER, JointVerdict


@dataclass(frozen=True)
class Standing:
    """A row with the verdict of its family, where it has one."""

    row: Row
    verdict: JointVerdict | None

    @property
    def word(self) -> str:
        """The verdict, or what the row is to others: `baseline`, `reference`, `control`; empty where it has no numbers."""
        row = self.row
        if not row.ok:
            return ""
        if self.verdict is not None:
            return self.verdict.verdict.value
        return "baseline" if row.baseline else "reference" if row.reference_curve else "control" if row.control else ""

    @property
    def memory(self) -> Estimate | None:
        """M of the worst case: over the queries of a user of the service where a part acts at sampling, else over all.

        M of the leading query where the row has no worst case; None where it has no numbers.
        """
        return memory(self.row)


def memory(row: Row) -> Estimate | None:
    """What a row remembers at worst, as its stage is judged (see `Standing.memory`)."""
    worst = getattr(row, reach(row.stage))
    if worst is not None:
        found: Estimate = worst.memorization
        return found
    return row.lead.memorization if row.lead is not None else None


def standings(board: Leaderboard, facts: TestbedFacts) -> list[Standing]:
    """The rows of one testbed and solver in order."""
    verdicts = hardest(board.comparison(facts))
    found = [Standing(row, verdicts.get(row.family) if row.ok else None) for row in board.of(facts)]
    least: dict[str, float] = {}
    for one in found:
        least[one.row.family] = min(_value(one), least.get(one.row.family, float("inf")))
    return sorted(found, key=lambda one: (*_group(one), least[one.row.family], one.row.family, _value(one)))


def hardest(comparison: MatchedComparison) -> dict[str, JointVerdict]:
    """The verdict of each family on the leading axis, over the reference that leaves it the least."""
    found = sorted(comparison.verdicts_on(comparison.axis), key=_least, reverse=True)
    return {verdict.keys.family: verdict for verdict in found}  # the last of equal keys stays


def _least(found: JointVerdict) -> tuple[int, float]:
    """What sorts the hardest reference first: its verdict, then the least excess."""
    estimates = [excess.estimate for excess in (found.keys, found.content) if excess is not None]
    values = [estimate.value if estimate is not None else float("-inf") for estimate in estimates]
    return ORDER.index(found.verdict), min(values)


def _group(standing: Standing) -> tuple[int, int]:
    """What is pinned, what has a verdict, what has no numbers; the baseline above all, and verdicts in their order."""
    if not standing.row.ok:
        return 2, 0
    if standing.verdict is None:
        return 0, int(not standing.row.baseline)
    return 1, list(CurveVerdict).index(standing.verdict.verdict)


def _value(standing: Standing) -> float:
    """By its size where keys are avoided, which gives an image away too."""
    return recalled(standing.memory) if standing.memory is not None else float("inf")


def tally(found: Sequence[Standing]) -> dict[str, list[str]]:
    """The families of each verdict, in the order of the rows; verdicts that no family has are left out."""
    families: dict[str, list[str]] = {}
    for standing in found:
        if standing.verdict is not None and standing.row.family not in families.get(standing.word, []):
            families.setdefault(standing.word, []).append(standing.row.family)
    return families
