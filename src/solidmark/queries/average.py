"""Average: several outpaintings, their keys averaged."""

from dataclasses import dataclass

import torch

from ..errors import InvalidValue
from ..sampling import Protocol
from . import Answer, Attack, Audit


@dataclass(frozen=True)
class Average(Attack):
    """Outpaint `draws` times with new noise and average the predicted keys.

    It removes the noise that randomising mitigations add. Cost: `draws` sampling runs.
    """

    draws: int = 4
    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InvalidValue("Average.draws", self.draws, "at least 1", "Ask for one or more.")

    def cost(self, protocol: Protocol) -> float:
        """So many runs."""
        return self.draws * protocol.evaluations

    def ask(self, audit: Audit) -> Answer:
        """Mean over draws; the picture shown is the first."""
        pictures = [audit.outpaint(draw=draw) for draw in range(self.draws)]
        return Answer(torch.stack([audit.read(images) for images in pictures]).mean(dim=0), pictures[0])
