"""Condition-annealed sampling (CADS): noise on the caption's embedding that fades as sampling goes on."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._guidance_vector import moved_share


@dataclass(frozen=True)
class AnnealedCondition(Mitigation):
    """Replace the embedding y of each caption at noise level t, a share of the schedule, by a noised one:

        gamma = 1 for t <= low, 0 for t >= high, (high - t) / (high - low) between
        y'    = sqrt(gamma) y + scale sd(y) sqrt(1 - gamma) n,        n ~ N(0, 1), anew at each step
        y''   = (y' - mean(y')) / sd(y') sd(y) + mean(y)
        used  = mixing y'' + (1 - mixing) y'

    Means and standard deviations are those of one caption over all its tokens, which in latent space are padding for the
    most part, as in Stable Diffusion. Early steps hardly see the caption, late ones see it whole. Published for diversity,
    with `scale` 0.25, `low` 0.6, `high` 0.9 and `mixing` 1 for Stable Diffusion, whose embeddings have a standard deviation
    near 1; the published scale has no unit (fidelity B). The released code of arXiv 2411.16738 has it as a baseline against
    memorization, with 0.1, 0.5 and 0.8. Only the caption's embedding is noised, the null condition stays. Equations are
    those of a public implementation for Stable Diffusion, which noises both; of the paper only the abstract was read. Cost:
    none.
    """

    scale: float = 0.25
    low: float = 0.6
    high: float = 0.9
    mixing: float = 1.0

    needs = Needs.CAPTIONS
    fidelity = "B"
    stream = "solidmark.mitigations.cads.AnnealedCondition"
    reference = "CADS: Unleashing the Diversity of Diffusion Models through Condition-Annealed Sampling, arXiv 2310.17347"
    claims = ("It makes images of one caption more diverse at any guidance scale, with little loss of quality.",)

    def __post_init__(self) -> None:
        self.expect(0 <= self.scale < float("inf"), "scale", "a finite number of at least 0")
        self.expect(0 <= self.low <= 1, "low", "a number in [0, 1]")
        self.expect(0 <= self.high <= 1, "high", "a number in [0, 1]")
        self.expect(0 <= self.mixing <= 1, "mixing", "a number in [0, 1]")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that noises the embeddings at every step."""
        return AnnealingSampler(self, inner)

    def _share(self, t: float) -> float:
        """gamma at the noise level t, a share of the schedule. With `low` at or above `high` it falls at `high` at once."""
        if t >= self.high:
            return 0.0
        return 1.0 if t <= self.low else (self.high - t) / (self.high - self.low)

    def settings(self) -> "list[AnnealedCondition]":
        """The sweep, weakest first: the settings of the baseline, the published ones, then later and later annealing."""
        baseline = AnnealedCondition(0.1, 0.5, 0.8)
        return [baseline, AnnealedCondition(), AnnealedCondition(1.0), AnnealedCondition(1.0, 0.3, 0.9)]


class AnnealingSampler(Sampler):
    """Steps with noised embeddings."""

    mitigation: AnnealedCondition

    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The guided prediction under the annealed condition."""
        own = self.mitigation
        share = own._share(t / self.model.schedule.steps)
        noise = torch.randn(batch.embeddings.shape, generator=self.rng).to(batch.embeddings)
        used = batch.embeddings if share == 1 else anneal(batch.embeddings, noise, share, own)
        self.data.dose("embedding_change", moved_share(batch.embeddings, used)[batch.conditional])
        return self.inner.predict(x, t, replace(batch, embeddings=used))


def anneal(y: Tensor, noise: Tensor, share: float, own: AnnealedCondition) -> Tensor:
    """The embeddings as they are used, shaped as `y`, (B, L, D), or (B, D) for labels. A null condition, all 0, stays."""
    rest = tuple(range(1, y.ndim))
    mean, spread = y.mean(dim=rest, keepdim=True), y.std(dim=rest, keepdim=True)
    noised = share**0.5 * y + own.scale * spread * (1 - share) ** 0.5 * noise
    centred = noised - noised.mean(dim=rest, keepdim=True)
    scaled = centred / noised.std(dim=rest, keepdim=True).clamp(min=1e-12) * spread + mean
    mixed: Tensor = own.mixing * scaled + (1 - own.mixing) * noised
    return mixed
