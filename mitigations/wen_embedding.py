"""Prompt-embedding optimisation: make the text-conditional prediction small before sampling begins."""

from dataclasses import dataclass, replace

from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.models import Query

from ._embedding_search import searched
from ._guidance_vector import norms


@dataclass(frozen=True)
class EmbeddingOptimisation(Mitigation):
    """Optimise each caption's embedding e* until ‖eps(x_T, T, e*) - eps(x_T, T, null)‖ is small, then sample with it.

    AdamW at `learning_rate` for at most `iterations`, the start token kept; a query stops when its norm is
    at most `target` times the initial one. Published: learning rate 0.05, 10 iterations, an absolute norm
    of 3 taken over a batch of 4 latents; a share of the initial norm carries over to any model. Cost: up
    to `iterations` evaluations forward and backward a query.
    """

    target: float = 0.5
    iterations: int = 10
    learning_rate: float = 0.05

    reference = "Detecting, Explaining, and Mitigating Memorization in Diffusion Models, arXiv 2407.21720"
    stream = "solidmark.mitigations.wen_embedding.EmbeddingOptimisation"
    needs = Needs.CAPTIONS
    claims = (Claim("It removes at least 85 % of memorization, there measured by copy-detection similarity.", below=0.15),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.target <= 1, "target", "a number in [0, 1]")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(self.learning_rate > 0, "learning_rate", "a positive number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that replaces the embeddings before the first step."""
        return Optimised(self, inner)

    def strengths(self) -> "list[EmbeddingOptimisation]":
        """Smaller and smaller norms."""
        budgets = ((0.75, 10), (0.5, 10), (0.25, 20), (0.1, 40))
        return [EmbeddingOptimisation(target, iterations) for target, iterations in budgets]


class Optimised(Sampler):
    """Searches an embedding for each query of the batch that has a caption."""

    mitigation: EmbeddingOptimisation

    def prepare(self, query: Query) -> Query:
        """The query with other embeddings."""
        query = self.inner.prepare(query)
        if not bool(query.conditional.any()):
            return query
        x, t = query.start(query.noise), query.times[0]
        null = self.model.predict(x, t, query.unconditional).noise

        def size(embeddings: Tensor) -> Tensor:
            return norms(self.model.predict(x, t, embeddings).noise - null)

        own = self.mitigation
        found = searched(query, size, lambda first: own.target * first, own.learning_rate, own.iterations)
        return replace(query, embeddings=found)
