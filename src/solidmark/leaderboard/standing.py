"""Standing: the rows of a testbed in the order of the page (see `placing`), each with what it remembers at worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..schema.numbers import Estimate, Share
from ..schema.row import Row
from .build import Leaderboard, TestbedFacts
from .measures import judged_by
from .placing import STANDING, Place, Role, order, places


@dataclass(frozen=True)
class Standing:
    """A row and its place."""

    row: Row
    place: Place

    @property
    def word(self) -> str:
        """The verdict that the row wears, or what it is to others; `–` where it wears none, its status without numbers."""
        if not self.row.ok:
            return self.row.status
        if self.place.role is not Role.FAMILY:
            return str(self.place.role.value)
        return self.place.verdict.value if self.place.verdict is not None else "–"

    @property
    def memory(self) -> Estimate | None:
        """M of the worst case: over the queries of a user of the service where a part acts at sampling, else over all.

        M of the leading query where the row has no worst case; None where it has no numbers.
        """
        keys = judged_by(self.row)
        return keys.memorization if keys is not None else None

    @property
    def certified(self) -> Share | None:
        """The images that the same worst case certifies."""
        keys = judged_by(self.row)
        return keys.certified if keys is not None else None


def standings(board: Leaderboard, facts: TestbedFacts) -> list[Standing]:
    """The rows of one testbed and solver in order."""
    rows = board.of(facts)
    placed = places(board.comparison(facts), rows)
    return sorted((Standing(row, placed[row.mitigation]) for row in rows), key=lambda one: order(one.place))


def tally(found: Sequence[Standing]) -> dict[str, list[str]]:
    """The families by their verdict, in the order of the rows; verdicts that no family has are left out."""
    families = {one.row.family: one.place.family.verdict for one in found if one.place.family is not None}
    each = {word.value: [name for name, verdict in families.items() if verdict is word] for word in STANDING}
    return {word: names for word, names in each.items() if names}
