"""Coarse captions: train on so few words that they do not identify an image."""

from dataclasses import dataclass

import torch
from torch import Generator

from solidmark import Claim, Mitigation, Stage


@dataclass(frozen=True)
class CoarseCaption(Mitigation):
    """Train on the first `words` words of a caption, on none at 0. Queries use the whole caption.

    A control: what a training remembers without the words that identify an image. No paper trains on truncated captions
    and queries with whole ones. The cited study varies the number of distinct conditions, and finds that unique ones trigger
    memorization. Generalised captions (arXiv 2309.07254) come from a language model. On digits the first word is the class.
    Words that were never trained are in every query, so that a low M mixes "not learned" with "never seen". At each access
    a caption is shortened with `probability`. Below 1 whole captions are learned as well, more slowly.
    """

    words: int = 1
    probability: float = 1.0

    stage = Stage.TRAINING
    control = True
    reference = "On Memorization in Diffusion Models, arXiv 2310.02664"
    stream = "solidmark.mitigations.coarse_caption.CoarseCaption"
    claims = (
        Claim(
            "Unique captions trigger memorization: what captions share triggers little of it.",
            below=0.2,
            also=("by-content",),
        ),
    )

    def __post_init__(self) -> None:
        self.expect(self.words >= 0, "words", "a whole number of at least 0")
        self.expect(0 <= self.probability <= 1, "probability", "a number in [0, 1]")

    def caption(self, captions: list[str], rng: Generator) -> list[str]:
        """The first words of the captions, or all of them."""
        shortened = torch.rand(len(captions), generator=rng) < self.probability
        return [
            " ".join(caption.split()[: self.words]) if short else caption
            for caption, short in zip(captions, shortened.tolist(), strict=True)
        ]

    def settings(self) -> "list[CoarseCaption]":
        """The sweep, weakest first: fewer and fewer words, more and more often."""
        return [CoarseCaption(2), CoarseCaption(1, 0.5), CoarseCaption(1), CoarseCaption(0)]
