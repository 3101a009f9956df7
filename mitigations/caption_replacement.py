"""Random caption replacement (RC), at training."""

from dataclasses import dataclass

import torch

from solidmark import Mitigation, Stage
from solidmark.api import Captions

from ._insertion import change_at_random
from .random_token import draw_words


@dataclass(frozen=True)
class CaptionReplacement(Mitigation):
    """Replace a training caption by `count` random tokens, at an access with `probability`.

    Published: 4 tokens (`randrepl` of the released code), with a probability of 0.4, as others quote the paper, which was
    read in no source (fidelity B); the code's default is 0.1. Words are those of `random-token`.
    """

    probability: float = 0.4
    count: int = 4

    stage = Stage.TRAINING
    fidelity = "B"
    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.caption_replacement.CaptionReplacement"

    def __post_init__(self) -> None:
        self.expect(0 <= self.probability <= 1, "probability", "a number in [0, 1]")
        self.expect(isinstance(self.count, int) and self.count >= 1, "count", "a whole number of at least 1")

    def caption(self, captions: Captions, rng: torch.Generator) -> list[str]:
        """The captions, those that are chosen replaced."""
        return change_at_random(captions, self.probability, lambda _: " ".join(draw_words(self.count, rng)), rng)

    def settings(self) -> "list[CaptionReplacement]":
        """The sweep, weakest first: the code's rate, the paper's, and up to nine accesses in ten."""
        return [CaptionReplacement(probability) for probability in (0.1, 0.4, 0.7, 0.9)]
