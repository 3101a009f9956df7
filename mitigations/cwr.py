"""Caption word repetition (CWR), at sampling and at training."""

from dataclasses import dataclass

import torch

from solidmark import Mitigation, Stage
from solidmark.api import Captions

from ._insertion import Fits, TrainingInsertion, insert


@dataclass(frozen=True)
class RepeatedWords(Mitigation):
    """Insert `count` words drawn from the caption itself at random gaps, whatever its length.

    Published: 4 (SolidMark), 2 by default in the code of the paper. Words are drawn from the caption as it was.
    A word for which the encoder has no room is left out, where published code cuts off the caption's end; `words_added` in
    the record is what was really inserted.
    """

    count: int = 4

    stage = Stage.SAMPLING
    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.cwr.RepeatedWords"

    def __post_init__(self) -> None:
        self.expect(isinstance(self.count, int) and self.count >= 0, "count", "a whole number of at least 0")

    def caption(self, captions: Captions, rng: torch.Generator) -> list[str]:
        """The captions with repeated words."""
        return [repeat_words(caption.split(), self.count, rng, captions.fits) for caption in captions]

    def settings(self) -> "list[RepeatedWords]":
        """The sweep, weakest first: the range of random tokens in the literature."""
        return [RepeatedWords(count) for count in (1, 2, 4, 6, 8)]


@dataclass(frozen=True)
class TrainingRepeatedWords(TrainingInsertion):
    """Insert `count` of a training caption's own words at random gaps, at an access with `probability`.

    Published: 2 words at 40 % of the accesses, which is 0.8 insertions an access, and the same here, however short a
    caption is. The 0.4 is the paper's as others quote it, and was read in no source (fidelity B); the released code, which
    is followed in all else, has 0.1 as its default. Words are drawn from the caption as it was, so that an inserted one is
    not repeated.
    """

    fidelity = "B"
    reference = RepeatedWords.reference
    stream = "solidmark.mitigations.cwr.TrainingRepeatedWords"
    form_of = "cwr"

    def _lengthen(self, words: list[str], rng: torch.Generator, fits: Fits) -> str:
        """The caption with more words."""
        return repeat_words(words, self.count, rng, fits)


def repeat_words(words: list[str], count: int, rng: torch.Generator, fits: Fits) -> str:
    """The caption with `count` of its own words, or as many as fit, each at a random gap."""
    drawn = [words[index] for index in torch.randint(len(words), (count,), generator=rng).tolist()]
    return insert(words, drawn, rng, fits)
