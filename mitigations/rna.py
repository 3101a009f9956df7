"""Random number addition (RNA), at sampling and at training."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from solidmark import Claim, Mitigation, Stage
from solidmark.api import Captions

from ._insertion import Fits, TrainingInsertion, insert
from ._origins import BY_KEYS, FINE_TUNED


@dataclass(frozen=True)
class RandomNumbers(Mitigation):
    """Insert `count` random numbers below 10^5 at random gaps of the caption, whatever its length.

    Published: 4 (SolidMark), 2 by default in the code of the paper; both codes draw below 10^5. CLIP splits a number into
    its digits, five tokens for most, and a miniature of it in latent space into pairs of digits. A number for which the
    encoder has no room is left out, where published code cuts off the caption's end; `words_added` in the record is what was
    really inserted. In pixel space, where the encoder has no token for a number, it is read as one of its filler words, and
    this is `random-token`.
    """

    count: int = 4

    stage = Stage.SAMPLING
    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.rna.RandomNumbers"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "At sampling it makes no meaningful difference to pixel memorization.",
            above=0.9,
            source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
            origin=BY_KEYS,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(isinstance(self.count, int) and self.count >= 0, "count", "a whole number of at least 0")

    def caption(self, captions: Captions, rng: torch.Generator) -> list[str]:
        """The captions with random numbers."""
        return [insert_numbers(caption.split(), self.count, rng, captions.fits, 10**5) for caption in captions]

    def settings(self) -> "list[RandomNumbers]":
        """The sweep, weakest first: the range of random tokens in the literature."""
        return [RandomNumbers(count) for count in (1, 2, 4, 6, 8)]


@dataclass(frozen=True)
class TrainingRandomNumbers(TrainingInsertion):
    """Insert `count` random numbers below 10^6 at random gaps of a training caption, at an access with `probability`.

    Published: 2 numbers at 40 % of the accesses, which is 0.8 insertions an access, and the same here, however short a
    caption is: on digits it then has five words in place of three. The 0.4 and the numbers are the paper's as others quote
    it; the released code inserts no numbers at training, and has 0.1 as the default of its other words. Where the
    encoder has no token for a number, the number is read as one of its filler words. In latent space it is up to three
    tokens, as in Stable Diffusion. Where the encoder has no room for it, it is left out, and `words_added` says so.
    """

    fidelity = "unverified"
    reference = RandomNumbers.reference
    claims: ClassVar[tuple[str | Claim, ...]] = (Claim("At training it reduces replication.", below=0.9, origin=FINE_TUNED),)
    stream = "solidmark.mitigations.rna.TrainingRandomNumbers"
    form_of = "rna"

    def _lengthen(self, words: list[str], rng: torch.Generator, fits: Fits) -> str:
        """The caption with more words."""
        return insert_numbers(words, self.count, rng, fits)


def insert_numbers(words: list[str], count: int, rng: torch.Generator, fits: Fits, end: int = 10**6) -> str:
    """The caption with `count` random numbers below `end`, or as many as fit, each at a random gap."""
    return insert(words, map(str, torch.randint(end, (count,), generator=rng).tolist()), rng, fits)
