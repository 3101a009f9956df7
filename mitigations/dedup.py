"""Deduplication: train on at most so many copies of an image."""

from dataclasses import dataclass

from torch import Generator

from solidmark import Claim, Mitigation
from solidmark.data import ALIKE, Examples


@dataclass(frozen=True)
class Deduplication(Mitigation):
    """Keep an example only while fewer than `copies` of those kept before it are `alike` to it.

    Two images are alike when the root mean square difference of their pixels, unmarked, is at most `alike`. Published:
    one of each cluster of near-duplicates, found by the similarity of features; on images of a few pixels the pixels
    are the feature. The default `alike` is below the distance of any two different digits, so on a testbed without
    duplicates the family does nothing, which is why it is declared a control; the last strength also drops images that
    only resemble each other. Captions and keys of the dropped copies go with them. It costs one comparison a pair.
    """

    copies: int = 1
    alike: float = ALIKE

    control = True
    fidelity = "B"
    reference = "Extracting Training Data from Diffusion Models, arXiv 2301.13188"
    stream = "solidmark.mitigations.dedup.Deduplication"
    claims = (
        Claim(
            "Training on deduplicated data lowers the number of extracted images by 23 %.",
            below=0.9,
            testbed="digits-duplicates",
        ),
        "It removes what duplicates are remembered more than others, and gives single images no guarantee.",
    )

    def __post_init__(self) -> None:
        self.expect(isinstance(self.copies, int) and self.copies >= 1, "copies", "a whole number of at least 1")
        self.expect(0 <= self.alike < float("inf"), "alike", "a finite number of at least 0")

    def prepare(self, examples: Examples, rng: Generator) -> Examples:
        """The examples that are kept, in order."""
        flat = examples.images.flatten(1)
        kept: list[int] = []
        for place, image in enumerate(flat):
            apart = (flat[kept] - image).square().mean(dim=1).sqrt()
            if int((apart <= self.alike).sum()) < self.copies:
                kept.append(place)
        return examples.take(kept)

    def strengths(self) -> "list[Deduplication]":
        """Fewer and fewer copies, at last of whatever looks alike."""
        return [Deduplication(4), Deduplication(2), Deduplication(1), Deduplication(1, alike=0.25)]
