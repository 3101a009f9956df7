"""Multiple captions (MC): no caption alone stands for an image."""

from dataclasses import dataclass, replace

import torch
from torch import Generator

from solidmark import Claim, Mitigation, Needs
from solidmark.data import Examples, join
from solidmark.errors import NotApplicable


@dataclass(frozen=True)
class MultipleCaptions(Mitigation):
    """Train every image with `captions` captions, each seen equally often; queries use the first, its own.

    Published: 20 captions of each image from a captioning model, one of them drawn a step. Here the others keep the
    caption's first word, which on digits is its class, and have words of other captions in place of the rest: what a
    captioner with the vocabulary of the data would say of the class. In an epoch every image comes once with each of
    its captions, so that drawing is without replacement; the number of steps stays. It costs nothing in training, and
    a captioner beforehand. Captions of one word have nothing to vary.
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
        ),
    )

    def __post_init__(self) -> None:
        self.expect(isinstance(self.captions, int) and self.captions >= 1, "captions", "a whole number of at least 1")

    def prepare(self, examples: Examples, rng: Generator) -> Examples:
        """The examples, then as many again for each further caption, with the same ids."""
        words = [word for caption in examples.captions for word in caption.split()[1:]]
        if not words:
            cure = "Choose a testbed whose captions tell images apart."
            raise NotApplicable("multiple captions", "captions of one word", "captions with words to vary", cure)
        others = [
            replace(examples, captions=[_another(caption.split(), words, rng) for caption in examples.captions])
            for _ in range(self.captions - 1)
        ]
        return join([examples, *others])

    def strengths(self) -> "list[MultipleCaptions]":
        """From every second caption its own to one in a hundred."""
        return [MultipleCaptions(captions) for captions in (2, 5, 20, 100)]


def _another(words: list[str], vocabulary: list[str], rng: Generator) -> str:
    """The first word, and others in place of the rest."""
    chosen = torch.randint(len(vocabulary), (max(0, len(words) - 1),), generator=rng).tolist()
    return " ".join([*words[:1], *(vocabulary[place] for place in chosen)])
