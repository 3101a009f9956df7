"""Coarse captions: train on fewer words than identify an image."""

from dataclasses import dataclass

from torch import Generator

from solidmark import Claim, Mitigation, Stage


@dataclass(frozen=True)
class CoarseCaption(Mitigation):
    """Train on the first `words` words of each caption, on none at 0; queries use the whole caption.

    On the digits testbed the first word is the class. Unique conditions are what triggers memorization in
    the cited study, and captions generalised by a language model are its practical form (arXiv 2309.07254).
    """

    words: int = 1

    stage = Stage.TRAINING
    reference = "On Memorization in Diffusion Models, arXiv 2310.02664"
    claims = (Claim("Unique captions trigger memorization: what captions share triggers little of it.", below=0.2),)

    def __post_init__(self) -> None:
        self.expect(self.words >= 0, "words", "a whole number of at least 0")

    def caption(self, captions: list[str], rng: Generator) -> list[str]:
        """The first words."""
        return [" ".join(caption.split()[: self.words]) for caption in captions]

    def strengths(self) -> "list[CoarseCaption]":
        """Fewer and fewer words."""
        return [CoarseCaption(words) for words in (2, 1, 0)]
