"""Words at random gaps of a caption, and the training methods that put some there."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import torch

from solidmark import Mitigation, Stage


def insert(words: list[str], new: Iterable[str], rng: torch.Generator) -> str:
    """The caption with each new word at a gap that is drawn evenly, those round earlier ones among them."""
    words = list(words)
    for word in new:
        words.insert(int(torch.randint(len(words) + 1, (), generator=rng)), word)
    return " ".join(words)


def change_at_random(
    captions: list[str], probability: float, change: Callable[[str], str], rng: torch.Generator
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
    def _lengthen(self, words: list[str], rng: torch.Generator) -> str:
        """The caption of these words with `count` more."""

    def caption(self, captions: list[str], rng: torch.Generator) -> list[str]:
        """The captions, those that are chosen with more words."""
        return change_at_random(captions, self.probability, lambda caption: self._lengthen(caption.split(), rng), rng)

    def settings(self) -> list[Self]:
        """The sweep, weakest first: the released code's rate, the paper's, every access, and twice as many words."""
        return [type(self)(*dose) for dose in ((2, 0.1), (2, 0.4), (2, 1.0), (4, 1.0))]
