"""The answer: which families of a testbed leave less memory than their reference at equal utility, by how much, how sure.

A family is shown at the setting that lies furthest below its reference among those that lose at most 25 % of the utility.
One that is real only as a coin between the baseline and a setting that loses more is shown at that setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from ..schema.row import Row
from .excess import EQUAL, WIDEST, CurveVerdict
from .matched import MatchedComparison
from .paired import FEWEST
from .placing import STANDING, Place, Role, hardest, least, places
from .yardsticks import JointVerdict


@dataclass(frozen=True)
class Shown:
    """A family at one of its settings."""

    row: Row
    place: Place


@dataclass(frozen=True)
class Answer:
    """What one testbed answers. `verdicts` are those of all families with numbers; those that are real come first.

    `families` and `gold` are what is shown of each; `seeds` are the fewest and the most seeds of any verdict. Verdicts are
    corrected for so many `comparisons`: those with an interval, of which a family has one with each of its references.
    """

    verdicts: tuple[JointVerdict, ...]
    families: tuple[Shown, ...]
    gold: tuple[Shown, ...]
    baseline: Shown | None
    places: dict[str, Place]
    seeds: tuple[int, int]
    comparisons: int = 0

    def of(self, verdict: CurveVerdict) -> list[JointVerdict]:
        """The families with this verdict."""
        return [found for found in self.verdicts if found.verdict is verdict]

    @property
    def decides(self) -> bool:
        """Whether any family has as many seeds as a verdict needs."""
        return self.seeds[1] >= FEWEST


def answer(comparison: MatchedComparison, rows: Sequence[Row]) -> Answer:
    """What the rows of one testbed and solver answer."""
    placed = places(comparison, rows)
    shown = [Shown(row, placed[row.mitigation]) for row in rows if placed[row.mitigation].worst is not None]
    judged = sorted(hardest(comparison).values(), key=_by_verdict)
    seeds = [len(found.keys.seeds) for found in judged if found.keys.estimate is not None]
    families: dict[str, list[Shown]] = {}
    for one in shown:
        if one.place.role is Role.FAMILY:
            families.setdefault(one.row.family, []).append(one)
    return Answer(
        tuple(judged),
        tuple(sorted((_furthest(members) for members in families.values()), key=lambda one: one.place.worst or 0.0)),
        tuple(one for one in shown if one.place.role is Role.GOLD),
        next((one for one in shown if one.place.role is Role.BASELINE), None),
        placed,
        (min(seeds, default=0), max(seeds, default=0)),
        max((found.keys.comparisons for found in judged), default=0),
    )


def _furthest(settings: Sequence[Shown]) -> Shown:
    """The setting that lies furthest below its reference, one whose utility is compared before others.

    Without any comparison the most useful one.
    """
    compared = [(one.place.gap.value, one) for one in settings if one.place.gap is not None]
    if not compared:
        return max(settings, key=lambda one: one.place.kept or 0.0)
    useful = [(below, one) for below, one in compared if (one.place.kept or 0.0) >= 1 - WIDEST]
    below, best = max(useful or compared, key=itemgetter(0))
    real = best.place.family is not None and best.place.family.verdict is CurveVerdict.REAL
    return max(compared, key=itemgetter(0))[1] if real and below < EQUAL else best


def _by_verdict(found: JointVerdict) -> tuple[int, float]:
    """Real, equal, undecided, worse; inside, the largest excess by the worse yardstick first."""
    return STANDING.index(found.verdict), -least(found)
