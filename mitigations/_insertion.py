"""Words at random gaps of a caption, and the training methods that put some there."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import torch

from solidmark import Mitigation, Stage
from solidmark.api import Captions

Fits = Callable[[str], bool]
"""Whether the text encoder takes all words of a caption."""


def insert(words: list[str], new: Iterable[str], rng: torch.Generator, fits: Fits) -> str:
    """The caption with each new word at a gap that is drawn evenly, those round earlier ones among them.

    A word for which the encoder has no room is left out, so that none pushes the caption's own words off the end.
    """
    words = list(words)
    for word in new:
        place = int(torch.randint(len(words) + 1, (), generator=rng))
        longer = [*words[:place], word, *words[place:]]
        words = longer if fits(" ".join(longer)) else words
    return " ".join(words)


def change_at_random(
    captions: Captions, probability: float, change: Callable[[str], str], rng: torch.Generator
) -> list[str]:
    """The captions, each changed with `probability`; which ones is drawn before any is changed."""
    chosen = torch.rand(len(captions), generator=rng) < probability
    return [change(caption) if changed else caption for caption, changed in zip(captions, chosen.tolist(), strict=True)]


@dataclass(frozen=True)
class TrainingInsertion(Mitigation):
    """Insert `count` words into a training caption, at an access with `probability`. A subclass says which words."""

    count: int = 2
    probability: float = 0.4

    stage = Stage.TRAINING

    def __post_init__(self) -> None:
        self.expect(isinstance(self.count, int) and self.count >= 0, "count", "a whole number of at least 0")
        self.expect(0 <= self.probability <= 1, "probability", "a number in [0, 1]")

    @abstractmethod
    def _lengthen(self, words: list[str], rng: torch.Generator, fits: Fits) -> str:
        """The caption of these words with `count` more, or as many as fit."""

    def caption(self, captions: Captions, rng: torch.Generator) -> list[str]:
        """The captions, those that are chosen with more words."""

        def lengthen(caption: str) -> str:
            return self._lengthen(caption.split(), rng, captions.fits)

        return change_at_random(captions, self.probability, lengthen, rng)

    def settings(self) -> list[Self]:
        """The sweep, weakest first: the released code's rate, the paper's, every access, and twice as many words."""
        return [type(self)(*dose) for dose in ((2, 0.1), (2, 0.4), (2, 1.0), (4, 1.0))]
