"""Grid: start from the likeliest proposal and try several grays on each segment."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidValue
from ..sampling import SolverConfig
from . import Access, Answer, Attack, Audit
from .likelihood import LEVELS, Likelihood, denoising_loss, likeliest, propose


@dataclass(frozen=True)
class Grid(Attack):
    """Start from the best of `proposals`, then sweep once over the segments, trying `grays` values on each.

    The loss is that of `likelihood`. Where the model has learned each key a little, the loss separates single grays
    that no whole proposal contains. Where the model is half trained, the sweep follows noise, so this is a query of its
    own. Cost: the proposals, and S x grays losses.
    """

    proposals: int = 8
    grays: int = 9
    segments: int = 8

    access = Access.WHITE_BOX
    reference = "this project; the published query is arXiv 2503.00592"

    def __post_init__(self) -> None:
        if self.proposals < 1 or self.grays < 2 or self.segments < 1:
            found = f"proposals={self.proposals}, grays={self.grays}, segments={self.segments}"
            raise InvalidValue("Grid", found, "at least 1 proposal, 2 grays and 1 segment", "Correct the numbers.")

    def cost(self, solver: SolverConfig) -> float:
        """The cost of proposals and sweep. At most `segments` keys of a mark are swept over."""
        return Likelihood(self.proposals).cost(solver) + len(LEVELS) * self.segments * self.grays

    def ask(self, audit: Audit) -> Answer:
        """The keys after one sweep."""
        keys, loss = likeliest(audit, propose(audit, self.proposals, Likelihood.steps))
        for segment in range(min(audit.mark.segments, self.segments)):
            keys, loss = self._sweep(audit, keys, loss, segment)
        return Answer(keys, audit.painted(keys))

    def _sweep(self, audit: Audit, keys: Tensor, loss: Tensor, segment: int) -> tuple[Tensor, Tensor]:
        """Keys and losses after all grays were tried on one segment."""
        for gray in torch.linspace(0, 1, self.grays).tolist():
            proposal = keys.clone()
            proposal[:, segment] = gray
            proposal_loss = denoising_loss(audit, proposal)
            better = proposal_loss < loss
            keys = torch.where(better[:, None], proposal, keys)
            loss = torch.where(better, proposal_loss, loss)
        return keys, loss
