"""Embedding optimisation by a measure of anisotropy: the guidance vector's norm, and its alignment at low noise."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._calibration import normal_level
from ._chunks import by_chunks
from ._embedding_search import optimize_embedding
from ._guidance_vector import guidance_norm, guidance_vector, norms
from ._origins import STABLE_DIFFUSION

LOW = 0.04
"""The share of the schedule at which the alignment is taken: the third last step of 50."""
NORMAL = 0.6
"""‖Δ_T‖ of a normal prompt of Stable Diffusion 1.4, about, in the released notebook of arXiv 2407.21720."""


@dataclass(frozen=True)
class AnisotropyEmbedding(Mitigation):
    """Optimise each caption's embedding until M = `size` ‖Δ_T‖ + `alignment` cos(eps_u, Δ_low) is `above` normal captions.

    Δ = eps_c - eps_u. Both terms are taken on x_T itself: the first at the first step, the second as if x_T were an image
    with hardly any noise. Normal is the median of M over calibration captions on the same service. AdamW; the start token
    stays as it is. Published: weights 1 and 2 for Stable Diffusion 1.4 (1 and 0.1 for version 2, 2 and 1 for others), and
    the measure as a detector. The released code mitigates by another method (SAIL), so that loop, learning rate and
    iterations are those of the norm's own optimisation (arXiv 2407.21720), and `above` is our choice. So that the weights
    mean the same for any model, ‖Δ_T‖ is in units in which normal captions have 0.6, as they have on Stable Diffusion 1.4.
    The cosine is over the channels of each cell, averaged, as released; with one channel, where that would be a sign, it
    is of the whole vectors. A network that predicts v has its cosine of v, as released. Cost: up to `iterations` times two
    evaluations forward and backward a query, and two more, and 256 to calibrate for each batch of up to 64.
    """

    above: float = 0.0
    iterations: int = 10
    size: float = 1.0
    alignment: float = 2.0
    learning_rate: float = 0.05

    reference = (
        "Detecting and Mitigating Memorization in Diffusion Models through Anisotropy of the Log-Probability, "
        "arXiv 2601.20642"
    )
    stream = "solidmark.mitigations.anisotropy_embedding.AnisotropyEmbedding"
    needs = Needs.CAPTIONS | Needs.CALIBRATION
    fidelity = "B"
    claims = (
        "It tells memorized prompts from others better than the norm alone.",
        Claim("It mitigates by the measure that it detects by.", below=0.9, origin=STABLE_DIFFUSION),
    )

    def __post_init__(self) -> None:
        self.expect(abs(self.above) < float("inf"), "above", "a finite number")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 <= self.size < float("inf"), "size", "a finite number of at least 0")
        self.expect(0 <= self.alignment < float("inf"), "alignment", "a finite number of at least 0")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces the embeddings before the first step."""
        return AnisotropySampler(self, inner)

    def settings(self) -> "list[AnisotropyEmbedding]":
        """The sweep, weakest first: from above normal captions to far below."""
        budgets = ((1.0, 10), (0.0, 10), (-0.5, 20), (-1.5, 40))
        return [AnisotropyEmbedding(above, iterations) for above, iterations in budgets]


class AnisotropySampler(Sampler):
    """Searches another embedding for each query of the batch that has a caption."""

    mitigation: AnisotropyEmbedding

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with other embeddings."""
        batch = self.inner.prepare(batch)
        if not bool(batch.conditional.any()):
            return batch
        unit = normal_level(batch, self.data.calibration, self.rng, guidance_norm) / NORMAL
        normal = normal_level(batch, self.data.calibration, self.rng, lambda other: self._measure(other, unit))
        return by_chunks(batch, lambda part: self._search(part, unit, normal))

    def _measure(self, batch: SamplingBatch, unit: Tensor) -> Tensor:
        """M, (B,)."""
        own, x, low = self.mitigation, batch.start(batch.noise), round(LOW * self.model.schedule.steps)
        size = norms(guidance_vector(batch, x, batch.times[0])) / unit
        null = self.model.predict(x, low, batch.unconditional).output
        delta = self.model.predict(x, low, batch.embeddings).output - null
        return own.size * size + own.alignment * cosine(null, delta)

    def _search(self, batch: SamplingBatch, unit: Tensor, normal: Tensor) -> SamplingBatch:
        """The queries with embeddings whose M is `above` the normal one."""
        own = self.mitigation

        def measure(embeddings: Tensor) -> Tensor:
            return self._measure(replace(batch, embeddings=embeddings), unit)

        search = optimize_embedding(batch, measure, normal + own.above, own.learning_rate, own.iterations)
        search.report(self.data, batch.conditional, level=normal)
        return replace(batch, embeddings=search.found)


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """The cosine over channels, averaged over cells, (B,); with one channel that of the whole images."""
    if one.shape[1] == 1:
        return torch.cosine_similarity(one.flatten(1), other.flatten(1))
    return torch.cosine_similarity(one, other, dim=1).flatten(1).mean(dim=1)
