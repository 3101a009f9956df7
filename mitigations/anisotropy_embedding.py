"""Embedding optimisation on a measure of anisotropy: the guidance vector's norm, and its alignment at low noise."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.models import Query

from ._embedding_search import searched
from ._guidance_vector import guidance_vector, norms

LOW = 0.04
"""The share of the schedule at which alignment is taken: the third step from the end of 50."""


@dataclass(frozen=True)
class AnisotropyEmbedding(Mitigation):
    """Optimise each caption's embedding until M = `size` ‖Δ_T‖ + `alignment` cos(eps_u, Δ_low) has fallen by `fall`.

    Δ = eps_c - eps_u; both terms are taken on x_T itself, the first at the first step, the second as if it were an image
    with hardly any noise. AdamW, the start token kept. Published: weights 1 and 2 for Stable Diffusion 1.4 (1 and 0.1 for
    version 2, 2 and 1 for others), with the loop, learning rate and iterations of the norm's own optimisation
    (arXiv 2407.21720). The norm is taken as a share of its first value, so that the weights mean the same for any model.
    Code against paper: the released code takes the cosine over the channels of each place and averages; here, with one
    channel, it would be a sign, so it is that of the whole vectors. Cost: up to `iterations` times two evaluations
    forward and backward a query, and two more.
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
        Claim("It mitigates by the measure that it detects by.", below=0.9),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.fall < float("inf"), "fall", "a finite number of at least 0")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 <= self.size < float("inf"), "size", "a finite number of at least 0")
        self.expect(0 <= self.alignment < float("inf"), "alignment", "a finite number of at least 0")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that replaces the embeddings before the first step."""
        return Aligned(self, inner)

    def strengths(self) -> "list[AnisotropyEmbedding]":
        """Larger and larger falls."""
        budgets = ((0.1, 2), (0.5, 10), (1.0, 20), (2.0, 40))
        return [AnisotropyEmbedding(fall, iterations) for fall, iterations in budgets]


class Aligned(Sampler):
    """Searches an embedding for each query of the batch that has a caption."""

    mitigation: AnisotropyEmbedding

    def prepare(self, query: Query) -> Query:
        """The query with other embeddings."""
        query, own = self.inner.prepare(query), self.mitigation
        if not bool(query.conditional.any()):
            return query
        x, high, low = query.start(query.noise), query.times[0], round(LOW * self.model.schedule.steps)
        null = self.model.predict(x, low, query.unconditional).noise
        first = norms(guidance_vector(query, x, high)).clamp(min=1e-12)

        def measured(embeddings: Tensor) -> Tensor:
            asked = replace(query, embeddings=embeddings)
            share = norms(guidance_vector(asked, x, high)) / first
            apart = self.model.predict(x, low, embeddings).noise - null
            return own.size * share + own.alignment * torch.cosine_similarity(null.flatten(1), apart.flatten(1))

        found = searched(query, measured, lambda begun: begun - own.fall, own.learning_rate, own.iterations)
        return replace(query, embeddings=found)
