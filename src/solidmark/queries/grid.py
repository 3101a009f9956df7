"""Grid: from the likeliest proposal, try every gray on every segment."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidValue
from ..sampling import Protocol
from . import Access, Answer, Attack, Audit
from .likelihood import LEVELS, Likelihood, denoising_loss, likeliest


@dataclass(frozen=True)
class Grid(Attack):
    """Start from the best of `proposals`, then sweep once over the segments, trying `grays` values on each.

    The loss is that of `likelihood`. Where the model has learned each key a little, single grays are told apart
    that no whole proposal hits; where it is half trained, the sweep follows noise, so it is a query of its own.
    Cost: the proposals, and S x grays losses.
    """

    proposals: int = 8
    grays: int = 9
    segments: int = 8

    access = Access.WEIGHTS
    reference = "this project; the published query is arXiv 2503.00592"

    def __post_init__(self) -> None:
        if self.proposals < 1 or self.grays < 2 or self.segments < 1:
            found = f"proposals={self.proposals}, grays={self.grays}, segments={self.segments}"
            raise InvalidValue("Grid", found, "at least 1 proposal, 2 grays and 1 segment", "Mend the numbers.")

    @property
    def _proposing(self) -> Likelihood:
        return Likelihood(self.proposals)

    def cost(self, protocol: Protocol) -> float:
        """Proposals and sweep; marks of more than `segments` keys are swept over that many of them."""
        return self._proposing.cost(protocol) + len(LEVELS) * self.segments * self.grays

    def ask(self, audit: Audit) -> Answer:
        """The keys after one sweep."""
        protocol = self._proposing._protocol(audit.protocol)
        proposed = [audit.read(audit.outpaint(draw=draw, protocol=protocol)) for draw in range(self.proposals)]
        keys, loss = likeliest(audit, proposed)
        for segment in range(min(audit.mark.segments, self.segments)):
            keys, loss = self._swept(audit, keys, loss, segment)
        return Answer(keys, audit.painted(keys))

    def _swept(self, audit: Audit, keys: Tensor, loss: Tensor, segment: int) -> tuple[Tensor, Tensor]:
        for gray in torch.linspace(0, 1, self.grays).tolist():
            tried = keys.clone()
            tried[:, segment] = gray
            tried_loss = denoising_loss(audit, tried)
            better = tried_loss < loss
            keys = torch.where(better[:, None], tried, keys)
            loss = torch.where(better, tried_loss, loss)
        return keys, loss
