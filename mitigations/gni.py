"""Gaussian noise on text embeddings (GNI), at sampling and at training."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler, Stage, Trainer
from solidmark.api import SamplingBatch

from ._frozen_encoder import FrozenEncoderTrainer
from ._origins import BY_KEYS, STABLE_DIFFUSION


@dataclass(frozen=True)
class NoisyEmbeddings(Mitigation):
    """Add Gaussian noise of `scale` standard deviations to the text embeddings of both branches: e + scale sd(e) n.

    sd(e) is over all tokens and dimensions of the batch's captions, so that a scale means the same for any encoder.
    Published: 0.1 where CLIP embeddings have a standard deviation of about 1, on the output of the encoder, the null
    prompt's included, whose noise counts 1 - w times under guidance w. So here both get it, the null condition of a caption
    too where that is all zeros. SolidMark's evaluation at sampling computed the noise and did not use it. Here the row
    fails if it changes nothing.
    """

    scale: float = 0.1

    reference = "Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086"
    stream = "solidmark.mitigations.gni.NoisyEmbeddings"
    needs = Needs.CAPTIONS
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

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler with noise on both conditions."""
        return NoisyConditions(self, inner)

    def settings(self) -> "list[NoisyEmbeddings]":
        """The sweep, weakest first: from the published scale to twice the embeddings' own standard deviation."""
        return [NoisyEmbeddings(scale) for scale in (0.1, 0.5, 1.0, 2.0)]


class NoisyConditions(Sampler):
    """Adds noise to the caption and the null condition of each query that has a caption."""

    mitigation: NoisyEmbeddings

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with noisy embeddings."""
        batch, rows = self.inner.prepare(batch), batch.conditional
        if not bool(rows.any()):
            return batch
        spread = self.mitigation.scale * batch.embeddings[rows].std()
        mask = rows.view(-1, *[1] * (batch.embeddings.ndim - 1))
        noise = [torch.randn(batch.embeddings.shape, generator=self.rng).to(batch.embeddings) for _ in range(2)]
        words, null = (torch.where(mask, each + spread * n, each) for each, n in zip(_both(batch), noise, strict=True))
        self.data.dose("noise_in_spreads", ((words - batch.embeddings)[rows].std() / batch.embeddings[rows].std()))
        return replace(batch, embeddings=words, unconditional=null)


def _both(batch: SamplingBatch) -> tuple[Tensor, Tensor]:
    return batch.embeddings, batch.unconditional


def noisy(embeddings: Tensor, scale: float, rng: torch.Generator) -> Tensor:
    """The embeddings with noise of `scale` of their own standard deviations, (B, L, D)."""
    noise = torch.randn(embeddings.shape, generator=rng).to(embeddings.dtype)
    return embeddings + scale * embeddings.std().detach() * noise


@dataclass(frozen=True)
class TrainingNoisyEmbeddings(Mitigation):
    """Add such noise to the embeddings of a training caption at each access, with the text encoder frozen. Published: 0.1.

    The released code adds noise to the output of a pre-trained encoder that is not trained. So the encoder is frozen here,
    too: on a testbed that trains it otherwise it stays as it was drawn, which maps words to nearly orthogonal vectors of
    standard deviation 1.06 (fidelity B). On digits that alone costs hardly any memorization (M 0.88 in place of 0.89, one
    seed, `design/faithful.md`). An encoder that is trained along learns a code that survives the noise.
    """

    scale: float = 0.1

    stage = Stage.TRAINING
    reference = NoisyEmbeddings.reference
    stream = "solidmark.mitigations.gni.TrainingNoisyEmbeddings"
    fidelity = "B"
    form_of = "gni"

    def __post_init__(self) -> None:
        self.expect(0 <= self.scale < float("inf"), "scale", "a finite number of at least 0")

    def condition(self, embeddings: Tensor, rng: torch.Generator) -> Tensor:
        """The noisy embeddings, (B, L, D)."""
        return noisy(embeddings, self.scale, rng)

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer that leaves the text encoder as it is."""
        return FrozenEncoderTrainer(self, inner)

    def settings(self) -> "list[TrainingNoisyEmbeddings]":
        """The sweep, weakest first: from the published scale to twice the embeddings' own standard deviation."""
        return [TrainingNoisyEmbeddings(scale) for scale in (0.1, 0.5, 1.0, 2.0)]
