"""Fine-grained probabilistic addition of noise (FPAN): large noise on some tokens, not little noise on all."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Stage, Trainer

from ._frozen_encoder import FrozenEncoderTrainer
from ._origins import FINE_TUNED


@dataclass(frozen=True)
class ProbabilisticNoise(Mitigation):
    """Add noise of `scale` standard deviations to each token's embedding with `probability`, at each access.

    e_j <- e_j + b_j scale sd(e) n_j, b_j ~ Bernoulli(probability), for every token, including padding. Published code:
    probability 0.6, scale 1.7 on embeddings whose standard deviation is about 1. Here sd(e) is that of the batch, so that
    a scale means the same for any encoder. As published, the text encoder is frozen: see `gni-training` for what that
    means where it has not been trained before (fidelity B). Trained along, it learned a code that repeats the caption in
    every token. A label counts as one token. In latent space a word may be several tokens, and a caption of few words is
    mostly padding. Cost: none.
    """

    probability: float = 0.6
    scale: float = 1.7

    stage = Stage.TRAINING
    reference = "FPAN: Fine-Grained Probabilistic Addition of Noise to Token Embeddings, arXiv 2505.21848"
    stream = "solidmark.mitigations.fpan.ProbabilisticNoise"
    fidelity = "B"
    claims = (
        Claim(
            "Replication falls by 28.78 % on average without a significant loss of quality.", below=0.8, origin=FINE_TUNED
        ),
        Claim(
            "Replication falls by 26.51 % more than under noise of one magnitude on all tokens.",
            below=0.8,
            against="gni-training",
            origin=FINE_TUNED,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.probability <= 1, "probability", "a number in [0, 1]")
        self.expect(0 <= self.scale < float("inf"), "scale", "a finite number of at least 0")

    def condition(self, embeddings: Tensor, rng: Generator) -> Tensor:
        """The noisy embeddings, (B, L, D), or (B, D) for labels."""
        chosen = torch.rand(embeddings.shape[:-1], generator=rng) < self.probability
        noise = torch.randn(embeddings.shape, generator=rng)
        added = chosen.unsqueeze(-1) * self.scale * embeddings.std().detach() * noise
        return embeddings + added.to(embeddings.dtype)

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer that leaves the text encoder as it is."""
        return FrozenEncoderTrainer(self, inner)

    def settings(self) -> "list[ProbabilisticNoise]":
        """The sweep, weakest first: more and more tokens, in the end with noise that drowns the embedding."""
        return [ProbabilisticNoise(*pair) for pair in ((0.1, 1.7), (0.3, 1.7), (0.6, 1.7), (1.0, 1.7), (1.0, 5.0))]
