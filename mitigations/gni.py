"""Gaussian noise on text embeddings (GNI), at sampling and at training."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Stage, Trainer

from ._frozen_encoder import FrozenEncoderTrainer
from ._origins import BY_KEYS, STABLE_DIFFUSION


@dataclass(frozen=True)
class NoisyEmbeddings(Mitigation):
    """Add Gaussian noise of `scale` standard deviations to the text embeddings: e + scale sd(e) n.

    sd(e) is over all tokens and dimensions of the batch, so that a scale means the same for any encoder. Published: 0.1
    where CLIP embeddings have a standard deviation of about 1. The published evaluation at sampling computed the noise
    and did not use it. Here the row fails if it changes nothing.
    """

    scale: float = 0.1

    stage = Stage.SAMPLING
    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.gni.NoisyEmbeddings"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "At sampling it makes no meaningful difference to pixel memorization.",
            above=0.9,
            source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
            origin=BY_KEYS,
        ),
        Claim(
            "Noise of a tenth of the embeddings' spread does not mitigate.",
            above=0.9,
            parameters={"scale": 0.1},
            source="Towards Memorization-Free Diffusion Models, arXiv 2404.00922",
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.scale < float("inf"), "scale", "a finite number of at least 0")

    def condition(self, embeddings: Tensor, rng: torch.Generator) -> Tensor:
        """The noisy embeddings, (B, L, D)."""
        noise = torch.randn(embeddings.shape, generator=rng)
        return embeddings + self.scale * embeddings.std().detach() * noise

    def settings(self) -> "list[NoisyEmbeddings]":
        """The sweep, weakest first: from the published scale to twice the embeddings' own standard deviation."""
        return [NoisyEmbeddings(scale) for scale in (0.1, 0.5, 1.0, 2.0)]


@dataclass(frozen=True)
class TrainingNoisyEmbeddings(NoisyEmbeddings):
    """The same at each access of a training caption, with the text encoder frozen. Published: 0.1.

    The released code adds noise to the output of a pre-trained encoder that is not trained. So the encoder is frozen here,
    too: on a testbed that trains it otherwise it stays as it was drawn, which maps words to nearly orthogonal vectors of
    standard deviation 1.06. On digits that alone costs hardly any memorization (M 0.88 in place of 0.89, one seed,
    `design/faithful.md`). An encoder that is trained along learns a code that survives the noise.
    """

    stage = Stage.TRAINING
    claims: ClassVar[tuple[str | Claim, ...]] = ()
    stream = "solidmark.mitigations.gni.TrainingNoisyEmbeddings"

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer that leaves the text encoder as it is."""
        return FrozenEncoderTrainer(self, inner)

    def settings(self) -> "list[NoisyEmbeddings]":
        """The sweep, weakest first: from the published scale to twice the embeddings' own standard deviation."""
        return [TrainingNoisyEmbeddings(scale) for scale in (0.1, 0.5, 1.0, 2.0)]
