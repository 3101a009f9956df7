"""Bright ending: prompt-embedding optimisation where the image is memorized, by the attention to the end token."""

from dataclasses import dataclass, replace

from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._bright_ending import ending_map, local_norms
from ._calibration import normal_level
from ._chunks import by_chunks
from ._embedding_search import optimize_embedding
from ._guidance_vector import guidance_vector
from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class BrightEnding(Mitigation):
    """Optimise each caption's embedding e* until ‖(eps(x_T, T, e*) - eps(x_T, T, null)) ∘ m‖ / mean(m) is small.

    m is the cross-attention to the end token at the last step of a whole sampling run: for memorized captions it is bright
    where the image is memorized. So the norm of arXiv 2407.21720 counts there, also where only a part is memorized, as a
    border is. Published with the optimisation of that norm and with `prss`; the released code takes m from the layers of
    the encoder at the full resolution of the latent (64 x 64), mean over heads and layers, at the last of 50 steps, and
    does not bring it to a fixed range.

    Fidelity B: these networks attend in their middle alone, at a quarter of the resolution or less, and that map is
    enlarged; so it is in latent space, where the map is one of cells, and a miniature has few of them. As in
    `wen-embedding`, a query stops at `target` times the median of normal captions, which are put to the same service, each
    with a map of its own; the released command stops both norms at 1 on Stable Diffusion 1.4, which is 1.67 times normal by
    the norm of all. Queries below the target are left as they are. Cost: two sampling runs more (two evaluations a step),
    one of them of 16 normal queries or more, and up to `iterations` evaluations forward and backward a query.
    """

    target: float = 2.5
    iterations: int = 10
    learning_rate: float = 0.05

    needs = Needs.CAPTIONS | Needs.CALIBRATION
    fidelity = "B"
    stream = "solidmark.mitigations.bright_ending.BrightEnding"
    reference = "Exploring Local Memorization in Diffusion Models via Bright Ending Attention, arXiv 2410.21665"
    claims = (
        Claim(
            "With the local norm the optimisation mitigates better than with the norm of all.",
            "difference",
            below=0.0,
            against="wen-embedding",
            origin=STABLE_DIFFUSION,
        ),
        "The local norm tells memorized prompts from others with an AUC of 0.99.",
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.target < float("inf"), "target", "a finite number of at least 0")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces the embeddings before the first step."""
        return LocalSearchSampler(self, inner)

    def settings(self) -> "list[BrightEnding]":
        """The sweep, weakest first: that of `wen-embedding`."""
        budgets = ((4.2, 10), (2.5, 10), (0.8, 10), (0.5, 20), (0.1, 40))
        return [BrightEnding(target, iterations) for target, iterations in budgets]


class LocalSearchSampler(Sampler):
    """Searches another embedding for each query of the batch that has a caption."""

    mitigation: BrightEnding

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with other embeddings. Raises NotApplicable without cross-attention."""
        batch = self.inner.prepare(batch)
        if not bool(batch.conditional.any()):
            return batch
        level = normal_level(batch, self.data.calibration, self.rng, self._local_norms, by_runs=True)
        return by_chunks(batch, lambda part, weights: self._search(part, weights, level), ending_map(batch, self.rng))

    def _search(self, batch: SamplingBatch, weights: Tensor, level: Tensor) -> SamplingBatch:
        """The queries with embeddings whose local norm is at most the target, in units of `level`."""
        own, x, t = self.mitigation, batch.start(batch.noise), batch.times[0]
        null = self.model.predict(x, t, batch.unconditional).noise

        def measure(embeddings: Tensor) -> Tensor:
            return local_norms(self.model.predict(x, t, embeddings).noise - null, weights)

        search = optimize_embedding(batch, measure, own.target * level, own.learning_rate, own.iterations)
        search.report(self.data, batch.conditional, unit=level, level=level)
        return replace(batch, embeddings=search.found)

    def _local_norms(self, batch: SamplingBatch) -> Tensor:
        """‖Δ_T ∘ m‖ / mean(m) of each query, by a map of its own, (B,)."""
        weights = ending_map(batch, self.rng)
        return local_norms(guidance_vector(batch, batch.start(batch.noise), batch.times[0]), weights)
