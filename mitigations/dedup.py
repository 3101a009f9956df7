"""Deduplication: train on at most so many copies of an image."""

from dataclasses import dataclass

from torch import Generator

from solidmark import Claim, Mitigation, Origin
from solidmark.api import ALIKE, Examples


@dataclass(frozen=True)
class Deduplication(Mitigation):
    """Keep an example only while fewer than `copies` of the examples kept before it are `alike` to it.

    Two images are alike when the root mean square difference of their unmarked pixels is at most `alike`. Published: one
    image of each cluster of near-duplicates, by the similarity of features. On images of few pixels the pixels are the
    features. The default `alike` is below the distance of any two different digits. So on a testbed without duplicates
    the family does nothing, and it is declared a control. The last setting also drops images that only resemble each
    other. Captions and keys of dropped copies are dropped, too. Cost: one comparison a pair.
    """

    copies: int = 1
    alike: float = ALIKE

    control = True
    reference = "Extracting Training Data from Diffusion Models, arXiv 2301.13188"
    stream = "solidmark.mitigations.dedup.Deduplication"
    claims = (
        Claim(
            "Training on deduplicated data lowers the number of extracted images by 23 %.",
            below=0.9,
            origin=Origin(("digits-duplicates",)),
        ),
        "It removes what duplicates are remembered more than others, and gives single images no guarantee.",
    )

    def __post_init__(self) -> None:
        self.expect(isinstance(self.copies, int) and self.copies >= 1, "copies", "a whole number of at least 1")
        self.expect(0 <= self.alike < float("inf"), "alike", "a finite number of at least 0")

    def prepare(self, examples: Examples, rng: Generator) -> Examples:
        """The kept examples, in order."""
        flat = examples.images.flatten(1)
        kept: list[int] = []
        for index, image in enumerate(flat):
            distances = (flat[kept] - image).square().mean(dim=1).sqrt()
            if int((distances <= self.alike).sum()) < self.copies:
                kept.append(index)
        return examples.take(kept)

    def settings(self) -> "list[Deduplication]":
        """The sweep, weakest first: fewer and fewer copies, in the end of images that only resemble each other."""
        return [Deduplication(4), Deduplication(2), Deduplication(1), Deduplication(1, alike=0.25)]
