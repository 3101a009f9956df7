"""Multiple captions (MC): train each image with several captions of its own, so that no single one unlocks it."""

from dataclasses import dataclass, field, replace

import torch
from torch import Generator

from solidmark import Claim, Mitigation, Needs
from solidmark.api import COMMON_WORDS, Examples, NotApplicable, join

from ._caption_file import read_captions, take_digest
from ._origins import FINE_TUNED

WHERE = "mitigation multiple-captions, file"


@dataclass(frozen=True)
class MultipleCaptions(Mitigation):
    """Train every image with `captions` captions of the same image, each equally often. Queries use the first, its own.

    Published: 20 captions of each image from a captioning model, one of them drawn a step. With a `file` the others are
    those of a captioner: a JSON object a line, {"caption": its own, "captions": [others]}, as many of them as are asked for
    and there. On Stable Diffusion give one. Without a file the others are paraphrases of the image's own caption: its words,
    which describe this image and no other, in a random order, with one or two words that say nothing of it (fidelity B).
    A captioner may also leave out what identifies an image; a paraphrase here never does. In an epoch every image occurs
    once with each of its captions, so that drawing is without replacement. The number of steps stays. `digest` is that of
    the file, and is read from it. Cost: none in training, and a captioner beforehand. Captions of one word have nothing to
    vary.
    """

    captions: int = 20
    file: str = field(default="", metadata={"place": True})
    digest: str = ""

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
        take_digest(self, self.file, self.digest, WHERE)

    def prepare(self, examples: Examples, rng: Generator) -> Examples:
        """The examples, and as many again for each further caption, with the same ids.

        Raises NotApplicable where the captions have no word after the first, or where the file lacks an image.
        """
        if self.file:
            return self._from_file(examples, rng)
        if not any(len(caption.split()) > 1 for caption in examples.captions):
            cure = "Choose a testbed whose captions identify images."
            raise NotApplicable("multiple captions", "captions of one word", "captions with words to vary", cure)
        others = [
            replace(examples, captions=[paraphrase(caption.split(), rng) for caption in examples.captions])
            for _ in range(self.captions - 1)
        ]
        return join([examples, *others])

    def _from_file(self, examples: Examples, rng: Generator) -> Examples:
        """The same with the captions of the file, in a random order; an image with few of them occurs as often as others."""
        known = read_captions(self.file, WHERE)
        missing = [caption for caption in examples.captions if caption not in known]
        if missing:
            cure = "Caption all images of the testbed."
            raise NotApplicable(WHERE, f"no line for {missing[0]!r} and {len(missing) - 1} more", "one an image", cure)
        orders = [_shuffled(known[caption], rng) for caption in examples.captions]
        others = [
            replace(examples, captions=[order[turn % len(order)] for order in orders]) for turn in range(self.captions - 1)
        ]
        return join([examples, *others])

    def settings(self) -> "list[MultipleCaptions]":
        """The sweep, weakest first: the image's own caption from one time in two to one in a hundred."""
        return [MultipleCaptions(captions) for captions in (2, 5, 20, 100)]


def paraphrase(words: list[str], rng: Generator) -> str:
    """All words in a random order, and one or two of the common words between them."""
    ordered = _shuffled(words, rng)
    for _ in range(1 + int(torch.randint(2, (), generator=rng))):
        word = COMMON_WORDS[int(torch.randint(len(COMMON_WORDS), (), generator=rng))]
        ordered.insert(int(torch.randint(len(ordered) + 1, (), generator=rng)), word)
    return " ".join(ordered)


def _shuffled(values: list[str], rng: Generator) -> list[str]:
    return [values[index] for index in torch.randperm(len(values), generator=rng).tolist()]
