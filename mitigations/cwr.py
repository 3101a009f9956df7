"""Caption word repetition (CWR), at sampling and at training."""

from dataclasses import dataclass

import torch

from solidmark import Mitigation, Stage


@dataclass(frozen=True)
class RepeatedWords(Mitigation):
    """Insert words drawn from the caption itself at random gaps.

    With `probability`, round(share x words) words are inserted. The rounding is random, so that the mean is exact.
    Published: 4 words at sampling (SolidMark). For captions of 16 words that is a share of 0.25.
    """

    share: float = 0.25
    probability: float = 1.0

    stage = Stage.SAMPLING
    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.cwr.RepeatedWords"

    def __post_init__(self) -> None:
        self.expect(self.share >= 0, "share", "a number of at least 0")
        self.expect(0 <= self.probability <= 1, "probability", "a number in [0, 1]")

    def caption(self, captions: list[str], rng: torch.Generator) -> list[str]:
        """The captions with repeated words, one draw a caption."""
        return [self._repeat_words(caption.split(), rng) for caption in captions]

    def _repeat_words(self, words: list[str], rng: torch.Generator) -> str:
        chosen, rounding = torch.rand(2, generator=rng).tolist()
        count = int(self.share * len(words) + rounding) if chosen < self.probability else 0
        for index in torch.randint(len(words), (count,), generator=rng).tolist():
            gap = int(torch.randint(len(words) + 1, (), generator=rng))
            words.insert(gap, words[index])
        return " ".join(words)

    def settings(self) -> "list[RepeatedWords]":
        """The sweep, weakest first: 2, 4, 8 and 16 words in a caption of 16."""
        return [RepeatedWords(share) for share in (0.125, 0.25, 0.5, 1.0)]


@dataclass(frozen=True)
class TrainingRepeatedWords(Mitigation):
    """Insert `count` of a training caption's own words at random gaps, at an access with `probability`.

    Published: 2 words at 40 % of the accesses, which is 0.8 insertions an access, and the same here, however short a
    caption is. The 0.4 is the paper's as others quote it; the released code, which is followed here, has 0.1 as its default.
    Words are drawn from the caption as it was, so that an inserted one is not repeated.
    """

    count: int = 2
    probability: float = 0.4

    stage = Stage.TRAINING
    reference = RepeatedWords.reference
    stream = "solidmark.mitigations.cwr.TrainingRepeatedWords"

    def __post_init__(self) -> None:
        self.expect(isinstance(self.count, int) and self.count >= 0, "count", "a whole number of at least 0")
        self.expect(0 <= self.probability <= 1, "probability", "a number in [0, 1]")

    def caption(self, captions: list[str], rng: torch.Generator) -> list[str]:
        """The captions, those that are chosen with repeated words."""
        chosen = torch.rand(len(captions), generator=rng) < self.probability
        return [
            self._repeat_words(caption.split(), rng) if changed else caption
            for caption, changed in zip(captions, chosen.tolist(), strict=True)
        ]

    def _repeat_words(self, words: list[str], rng: torch.Generator) -> str:
        given = list(words)
        for index in torch.randint(len(given), (self.count,), generator=rng).tolist():
            words.insert(int(torch.randint(len(words) + 1, (), generator=rng)), given[index])
        return " ".join(words)

    def settings(self) -> "list[TrainingRepeatedWords]":
        """The sweep, weakest first: the released code's rate, the paper's, every access, and twice as many words."""
        return [TrainingRepeatedWords(*dose) for dose in ((2, 0.1), (2, 0.4), (2, 1.0), (4, 1.0))]
