"""FLIPD: prompt-embedding optimisation that raises the local intrinsic dimension of what a caption leads to."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch, guide

from ._chunks import by_chunks
from ._embedding_search import optimize_embedding
from ._local_dimension import local_dimension
from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class LocalDimension(Mitigation):
    """Optimise each caption's embedding until FLIPD at x_T, as a share of the dimensions D, has risen by `rise`.

        FLIPD = D - sigma tr(∂eps/∂x) + ‖eps‖²,     eps guided as the solver guides, at the first step

    An image that is memorized lies on a manifold of few dimensions, in the end of none, so that its captions are moved to
    where the model sees more of them. The loop is that of `wen-embedding`: AdamW at `learning_rate` for at most
    `iterations`, and the start token stays as it is. The trace is estimated with one normal vector, as in the released
    code, which draws it with one seed, so that all iterations share it. In latent space D counts the numbers of the latent,
    and the dimension is that of what the autoencoder makes of images, as published for Stable Diffusion.

    Not as published: the released code has no stopping value, it shows images after each iteration; its inner function
    holds the unconditional prediction constant, so that its trace is of the conditional branch alone, which looks like a
    slip, and here the whole guided prediction is differentiated; the derivative is a central difference of 0.01 in place of
    forward-mode differentiation. Cost: up to `iterations` times six evaluations forward and backward a query.
    """

    rise: float = 0.1
    iterations: int = 10
    learning_rate: float = 0.05

    needs = Needs.CAPTIONS
    fidelity = "B"
    stream = "solidmark.mitigations.flipd.LocalDimension"
    reference = "A Geometric Framework for Understanding Memorization in Generative Models, arXiv 2411.00113"
    claims = (
        Claim("It mitigates as well as the optimisation of the guidance vector's norm.", below=0.9, origin=STABLE_DIFFUSION),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.rise < float("inf"), "rise", "a finite number of at least 0")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces the embeddings before the first step."""
        return DimensionSampler(self, inner)

    def settings(self) -> "list[LocalDimension]":
        """The sweep, weakest first: a larger and larger rise."""
        budgets = ((0.02, 5), (0.1, 10), (0.3, 20), (1.0, 40))
        return [LocalDimension(rise, iterations) for rise, iterations in budgets]


class DimensionSampler(Sampler):
    """Searches another embedding for each query of the batch that has a caption."""

    mitigation: LocalDimension

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with other embeddings."""
        batch = self.inner.prepare(batch)
        if not bool(batch.conditional.any()):
            return batch
        return by_chunks(batch, self._search, torch.randn(batch.noise.shape, generator=self.rng).to(batch.noise))

    def _search(self, batch: SamplingBatch, probes: Tensor) -> SamplingBatch:
        """The queries with embeddings whose dimension has risen, as `probes` see it, (B, C, H, W)."""
        own, model = self.mitigation, self.model
        x, t = batch.start(batch.noise), batch.times[0]
        sigma = float(model.schedule.sigma(t))

        def measure(embeddings: Tensor) -> Tensor:
            def guided(x: Tensor) -> Tensor:
                unconditional, conditional = (model.predict(x, t, one).noise for one in (batch.unconditional, embeddings))
                return guide(unconditional, conditional, batch.guidance)

            return -local_dimension(guided, x, sigma, probes)

        search = optimize_embedding(batch, measure, lambda first: first - own.rise, own.learning_rate, own.iterations)
        search.report(self.data, batch.conditional)
        return replace(batch, embeddings=search.found)
