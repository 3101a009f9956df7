"""Prompt-embedding optimisation: make the text-conditional prediction small before sampling begins."""

from dataclasses import dataclass, replace

from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._embedding_search import optimize_embedding
from ._guidance_vector import norms
from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class EmbeddingOptimisation(Mitigation):
    """Optimise each caption's embedding e* until ‖eps(x_T, T, e*) - eps(x_T, T, null)‖ is small, and sample with it.

    AdamW at `learning_rate` for at most `iterations`; the start token stays as it is. A query stops when its norm is at
    most `target` times the initial one. Published: learning rate 0.05, 10 iterations, an absolute norm of 3 over a batch
    of 4 latents. A share of the initial norm means the same for any model. Cost: up to `iterations` evaluations forward
    and backward a query.
    """

    target: float = 0.5
    iterations: int = 10
    learning_rate: float = 0.05

    reference = "Detecting, Explaining, and Mitigating Memorization in Diffusion Models, arXiv 2407.21720"
    stream = "solidmark.mitigations.wen_embedding.EmbeddingOptimisation"
    needs = Needs.CAPTIONS
    claims = (
        Claim(
            "It removes at least 85 % of memorization, there measured by copy-detection similarity.",
            below=0.15,
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.target <= 1, "target", "a number in [0, 1]")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(self.learning_rate > 0, "learning_rate", "a positive number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces the embeddings before the first step."""
        return EmbeddingSearchSampler(self, inner)

    def settings(self) -> "list[EmbeddingOptimisation]":
        """The sweep, weakest first: smaller and smaller norms."""
        budgets = ((0.75, 10), (0.5, 10), (0.25, 20), (0.1, 40))
        return [EmbeddingOptimisation(target, iterations) for target, iterations in budgets]


class EmbeddingSearchSampler(Sampler):
    """Searches another embedding for each query of the batch that has a caption."""

    mitigation: EmbeddingOptimisation

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with other embeddings."""
        batch = self.inner.prepare(batch)
        if not bool(batch.conditional.any()):
            return batch
        x, t = batch.start(batch.noise), batch.times[0]
        null = self.model.predict(x, t, batch.unconditional).noise

        def measure(embeddings: Tensor) -> Tensor:
            return norms(self.model.predict(x, t, embeddings).noise - null)

        own = self.mitigation
        best = optimize_embedding(batch, measure, lambda first: own.target * first, own.learning_rate, own.iterations)
        return replace(batch, embeddings=best)
