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

    def report(
        self, data: Data, conditional: Tensor, unit: float | Tensor = 1.0, level: float | Tensor | None = None
    ) -> None:
        """Report the share of queries that were moved, and the measure before and after, as multiples of `unit`.

        `level` is what normal captions have, and is reported where the method asks them.
        """
        if not bool(conditional.any()):
            return
        data.dose("acted_on", self.moved[conditional])
        data.dose("before", self.first[conditional] / unit)
        data.dose("after", self.last[conditional] / unit)
        if level is not None:
            data.dose("normal_level", level)
