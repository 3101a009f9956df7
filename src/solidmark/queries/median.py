"""Median: several outpaintings, the median of their keys."""

from dataclasses import dataclass

import torch

from ..errors import InvalidValue
from ..sampling import Protocol
from . import Answer, Attack, Audit


@dataclass(frozen=True)
class Median(Attack):
    """Outpaint `draws` times with new noise and take the median of each predicted key.

    Where a mitigation randomises its input, a few draws may hit and the others miss; a median forgets the
    outliers that a mean keeps. Cost: `draws` sampling runs.
    """

    draws: int = 8
    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InvalidValue("Median.draws", self.draws, "at least 1", "Ask for one or more.")

    def cost(self, protocol: Protocol) -> float:
        """So many runs."""
        return self.draws * protocol.evaluations

    def ask(self, audit: Audit) -> Answer:
        """Median over draws; the picture shown is the first."""
        pictures = [audit.outpaint(draw=draw) for draw in range(self.draws)]
        keys = torch.stack([audit.read(images) for images in pictures])
        return Answer(keys.quantile(0.5, dim=0), pictures[0])
