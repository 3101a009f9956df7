"""Embedding optimisation by a measure of anisotropy: the guidance vector's norm, and its alignment at low noise."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._embedding_search import optimize_embedding
from ._guidance_vector import guidance_vector, norms
from ._origins import STABLE_DIFFUSION

LOW = 0.04
"""The share of the schedule at which the alignment is taken: the third last step of 50."""


@dataclass(frozen=True)
class AnisotropyEmbedding(Mitigation):
    """Optimise each caption's embedding until M = `size` ‖Δ_T‖ + `alignment` cos(eps_u, Δ_low) has fallen by `fall`.

    Δ = eps_c - eps_u. Both terms are taken on x_T itself: the first at the first step, the second as if x_T were an image
    with hardly any noise. AdamW; the start token stays as it is. Published: weights 1 and 2 for Stable Diffusion 1.4 (1
    and 0.1 for version 2, 2 and 1 for others), with the loop, learning rate and iterations of the norm's own optimisation
    (arXiv 2407.21720). The norm is taken as a share of its first value, so that the weights mean the same for any model.
    Code and paper differ: the released code averages the cosine over the channels of each pixel. Here, with one channel,
    that would be a sign, so the cosine is of the whole vectors. Cost: up to `iterations` times two evaluations forward
    and backward a query, and two more.
    """

    fall: float = 0.5
    iterations: int = 10
    size: float = 1.0
    alignment: float = 2.0
    learning_rate: float = 0.05

    reference = (
        "Detecting and Mitigating Memorization in Diffusion Models through Anisotropy of the Log-Probability, "
        "arXiv 2601.20642"
    )
    stream = "solidmark.mitigations.anisotropy_embedding.AnisotropyEmbedding"
    needs = Needs.CAPTIONS
    fidelity = "B"
    claims = (
        "It tells memorized prompts from others better than the norm alone.",
        Claim("It mitigates by the measure that it detects by.", below=0.9, origin=STABLE_DIFFUSION),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.fall < float("inf"), "fall", "a finite number of at least 0")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 <= self.size < float("inf"), "size", "a finite number of at least 0")
        self.expect(0 <= self.alignment < float("inf"), "alignment", "a finite number of at least 0")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces the embeddings before the first step."""
        return AnisotropySampler(self, inner)

    def settings(self) -> "list[AnisotropyEmbedding]":
        """The sweep, weakest first: larger and larger falls of the measure."""
        budgets = ((0.1, 2), (0.5, 10), (1.0, 20), (2.0, 40))
        return [AnisotropyEmbedding(fall, iterations) for fall, iterations in budgets]


class AnisotropySampler(Sampler):
    """Searches another embedding for each query of the batch that has a caption."""

    mitigation: AnisotropyEmbedding

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with other embeddings."""
        batch, own = self.inner.prepare(batch), self.mitigation
        if not bool(batch.conditional.any()):
            return batch
        x, high, low = batch.start(batch.noise), batch.times[0], round(LOW * self.model.schedule.steps)
        null = self.model.predict(x, low, batch.unconditional).noise
        first = norms(guidance_vector(batch, x, high)).clamp(min=1e-12)

        def measure(embeddings: Tensor) -> Tensor:
            share = norms(guidance_vector(replace(batch, embeddings=embeddings), x, high)) / first
            delta = self.model.predict(x, low, embeddings).noise - null
            return own.size * share + own.alignment * torch.cosine_similarity(null.flatten(1), delta.flatten(1))

        best = optimize_embedding(batch, measure, lambda before: before - own.fall, own.learning_rate, own.iterations)
        return replace(batch, embeddings=best)
