"""Random token replacement (RT), at sampling and at training."""

from dataclasses import dataclass

import torch

from solidmark import Mitigation, Stage
from solidmark.api import COMMON_WORDS


@dataclass(frozen=True)
class RandomTokens(Mitigation):
    """Replace words of the caption by random ones.

    With `probability`, round(share x words) distinct words are replaced. The rounding is random, so that the mean is
    exact. Published: 4 tokens at sampling (SolidMark). For captions of 16 words that is a share of 0.25. Every testbed has
    a token for each of the words that are drawn; a small text encoder in pixel space hashes them into its own, a latent one
    has them beside the words of its captions, as CLIP has them.
    """

    share: float = 0.25
    probability: float = 1.0

    stage = Stage.SAMPLING
    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.random_token.RandomTokens"

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")
        self.expect(0 <= self.probability <= 1, "probability", "a number in [0, 1]")

    def caption(self, captions: list[str], rng: torch.Generator) -> list[str]:
        """The captions with replaced words, one draw a caption."""
        return [self._replace_words(caption.split(), rng) for caption in captions]

    def _replace_words(self, words: list[str], rng: torch.Generator) -> str:
        chosen, rounding = torch.rand(2, generator=rng).tolist()
        count = int(self.share * len(words) + rounding) if chosen < self.probability else 0
        for index in torch.randperm(len(words), generator=rng)[:count].tolist():
            words[index] = COMMON_WORDS[int(torch.randint(len(COMMON_WORDS), (), generator=rng))]
        return " ".join(words)

    def settings(self) -> "list[RandomTokens]":
        """The sweep, weakest first: 2, 4, 8 and all words of a caption of 16."""
        return [RandomTokens(share) for share in (0.125, 0.25, 0.5, 1.0)]


@dataclass(frozen=True)
class TrainingRandomTokens(RandomTokens):
    """The same at each access of a training caption. Published code: the whole caption with probability 0.1."""

    share: float = 1.0
    probability: float = 0.1

    stage = Stage.TRAINING
    stream = "solidmark.mitigations.random_token.TrainingRandomTokens"

    def settings(self) -> "list[RandomTokens]":
        """The sweep, weakest first: the whole caption, from one time in ten to nine in ten."""
        return [TrainingRandomTokens(1.0, probability) for probability in (0.1, 0.4, 0.7, 0.9)]
