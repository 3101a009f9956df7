"""Multiple captions (MC): train each image with several captions, so that no single one identifies it."""

from dataclasses import dataclass, replace

import torch
from torch import Generator

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Examples, NotApplicable, join

from ._origins import FINE_TUNED


@dataclass(frozen=True)
class MultipleCaptions(Mitigation):
    """Train every image with `captions` captions, each equally often. Queries use the first, the image's own.

    Published: 20 captions of each image from a captioning model, one of them drawn a step. Here the other captions keep
    the first word, which on digits is the class, and have words of other captions in place of the rest, as a captioner
    with the vocabulary of the data might write. In an epoch every image occurs once with each of its captions, so that
    drawing is without replacement. The number of steps stays. Cost: none in training, and a captioner beforehand.
    Captions of one word have nothing to vary.
    """

    captions: int = 20

    needs = Needs.CAPTIONS
    fidelity = "B"
    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.multiple_captions.MultipleCaptions"
    claims = (
        Claim(
            "Of the mitigations by captions at training it reduces replication the most: more than random numbers.",
            "difference",
            below=0.0,
            against="rna-training",
            origin=FINE_TUNED,
            also=("by-content",),
        ),
    )

    def __post_init__(self) -> None:
        self.expect(isinstance(self.captions, int) and self.captions >= 1, "captions", "a whole number of at least 1")

    def prepare(self, examples: Examples, rng: Generator) -> Examples:
        """The examples, and as many again for each further caption, with the same ids.

        Raises NotApplicable where the captions have no word after the first.
        """
        words = [word for caption in examples.captions for word in caption.split()[1:]]
        if not words:
            cure = "Choose a testbed whose captions identify images."
            raise NotApplicable("multiple captions", "captions of one word", "captions with words to vary", cure)
        others = [
            replace(examples, captions=[_reword(caption.split(), words, rng) for caption in examples.captions])
            for _ in range(self.captions - 1)
        ]
        return join([examples, *others])

    def settings(self) -> "list[MultipleCaptions]":
        """The sweep, weakest first: the image's own caption from one time in two to one in a hundred."""
        return [MultipleCaptions(captions) for captions in (2, 5, 20, 100)]


def _reword(words: list[str], vocabulary: list[str], rng: Generator) -> str:
    """The first word, and words of the vocabulary in place of the rest."""
    chosen = torch.randint(len(vocabulary), (max(0, len(words) - 1),), generator=rng).tolist()
    return " ".join([*words[:1], *(vocabulary[index] for index in chosen)])
