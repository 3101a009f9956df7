"""Random token addition (RTA), at sampling and at training."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from solidmark import Claim, Mitigation, Stage
from solidmark.api import COMMON_WORDS, Captions

from ._insertion import Fits, TrainingInsertion, insert
from ._origins import STABLE_DIFFUSION


def draw_words(count: int, rng: torch.Generator) -> list[str]:
    """Random words, each of them a token on every testbed."""
    return [COMMON_WORDS[index] for index in torch.randint(len(COMMON_WORDS), (count,), generator=rng).tolist()]


@dataclass(frozen=True)
class RandomTokens(Mitigation):
    """Insert `count` random tokens at random gaps of the caption, whatever its length.

    Published: 4 (SolidMark; Wen et al., arXiv 2407.21720, as "random token addition"), 2 by default in the released code;
    others sweep 1 to 8. There a token is drawn from all of CLIP's and decoded, so that some are parts of words. Here it is
    one of 100 nouns that are a token each on every testbed: a small text encoder in pixel space hashes them into its own, a
    latent one has them beside the words of its captions, as CLIP has them. A token for which the encoder has no room is left
    out, where published code cuts off the caption's end; `words_added` in the record is what was really inserted.
    """

    count: int = 4

    stage = Stage.SAMPLING
    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.random_token.RandomTokens"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "Four random tokens take away nine tenths of verbatim memorization.",
            below=0.2,
            source="Finding NeMo: Localizing Neurons Responsible For Memorization in Diffusion Models, arXiv 2406.02366",
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(isinstance(self.count, int) and self.count >= 0, "count", "a whole number of at least 0")

    def caption(self, captions: Captions, rng: torch.Generator) -> list[str]:
        """The captions with random words."""
        return [insert(caption.split(), draw_words(self.count, rng), rng, captions.fits) for caption in captions]

    def settings(self) -> "list[RandomTokens]":
        """The sweep, weakest first: the published range."""
        return [RandomTokens(count) for count in (1, 2, 4, 6, 8)]


@dataclass(frozen=True)
class TrainingRandomTokens(TrainingInsertion):
    """Insert `count` random tokens at random gaps of a training caption, at an access with `probability`.

    Published: 2 words at 40 % of the accesses. The 0.4 is the paper's as others quote it, and was read in no source
    (fidelity B); the released code (`randwordadd`), which is followed in all else, has 0.1 as its default. Words are those
    of `random-token`: tokens of their own in latent space, hashed into those of the small text encoder in pixel space.
    """

    fidelity = "B"
    reference = RandomTokens.reference
    stream = "solidmark.mitigations.random_token.TrainingRandomTokens"
    form_of = "random-token"

    def _lengthen(self, words: list[str], rng: torch.Generator, fits: Fits) -> str:
        """The caption with more words."""
        return insert(words, draw_words(self.count, rng), rng, fits)
