"""Average: the mean of the keys of several outpaintings."""

from dataclasses import dataclass

import torch

from ..errors import InvalidValue
from ..sampling import SolverConfig
from . import Answer, Attack, Audit


@dataclass(frozen=True)
class Average(Attack):
    """Outpaint `draws` times with new noise and average the predicted keys.

    This removes the noise that randomising mitigations add. Cost: `draws` sampling runs.
    """

    draws: int = 4
    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InvalidValue("Average.draws", self.draws, "at least 1", "Take one or more.")

    def cost(self, solver: SolverConfig) -> float:
        """The cost of `draws` runs."""
        return self.draws * solver.evaluations

    def ask(self, audit: Audit) -> Answer:
        """The mean over draws, with the images of the first."""
        answers = [audit.outpaint(draw=draw) for draw in range(self.draws)]
        return Answer(torch.stack([audit.read(images) for images in answers]).mean(dim=0), answers[0])
