"""Median: the median of the keys of several outpaintings."""

from dataclasses import dataclass

import torch

from ..errors import InvalidValue
from ..sampling import SolverConfig
from . import Answer, Attack, Audit


@dataclass(frozen=True)
class Median(Attack):
    """Outpaint `draws` times with new noise and take the median of each predicted key.

    Where a mitigation randomises its input, some draws may fail entirely. Such outliers move a mean, and not a median.
    Cost: `draws` sampling runs.
    """

    draws: int = 8
    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InvalidValue("Median.draws", self.draws, "at least 1", "Take one or more.")

    def cost(self, solver: SolverConfig) -> float:
        """The cost of `draws` runs."""
        return self.draws * solver.evaluations

    def ask(self, audit: Audit) -> Answer:
        """The median over draws, with the images of the first."""
        answers = [audit.outpaint(draw=draw) for draw in range(self.draws)]
        keys = torch.stack([audit.read(images) for images in answers])
        return Answer(keys.quantile(0.5, dim=0), answers[0])
