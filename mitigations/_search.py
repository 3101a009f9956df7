"""What a search before sampling found, and the doses that it reports."""

from dataclasses import dataclass

from torch import Tensor

from solidmark.api import Data


@dataclass(frozen=True)
class Search:
    """`found`, (B, ...), is what was searched for, and `moved`, (B,) booleans, says for which queries it was moved at all.

    `first` and `last`, (B,), are the measure's first value, and the last one that was computed.
    """

    found: Tensor
    moved: Tensor
    first: Tensor
    last: Tensor

    def report(self, data: Data, conditional: Tensor, level: float | Tensor = 1.0) -> None:
        """Report the share of queries that were moved, and the measure before and after, as multiples of `level`."""
        if not bool(conditional.any()):
            return
        data.dose("acted_on", self.moved[conditional])
        data.dose("before", self.first[conditional] / level)
        data.dose("after", self.last[conditional] / level)
        data.dose("normal_level", level)
