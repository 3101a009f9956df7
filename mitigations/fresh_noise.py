"""Fresh noise at every step: a reference for the randomness of the solver."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Mitigation, Sampler
from solidmark.api import SamplingBatch


@dataclass(frozen=True)
class FreshNoise(Mitigation):
    """Sample with `eta` times the fresh noise of ancestral sampling: 0 is deterministic, 1 ancestral, more is churn.

    A step goes to alpha x0 + (sigma² - s²)^½ eps + s n, with new noise n, s = min(eta s_1, sigma), and s_1 the ancestral
    standard deviation. Where s = sigma nothing of the old noise is left, and the sample depends on x0 alone. DDIM ends at
    eta = 1. Karras et al. (arXiv 2206.00364) add and remove more noise a step and call it churn. The default is the
    solvers' own eta, with other noise. Cost: none.
    """

    eta: float = 1.0

    control = True
    reference = "Denoising Diffusion Implicit Models, arXiv 2010.02502"
    stream = "solidmark.mitigations.fresh_noise.FreshNoise"

    def __post_init__(self) -> None:
        self.expect(0 <= self.eta < float("inf"), "eta", "a number of at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that adds the noise after a deterministic step."""
        return ChurnSampler(self, inner)

    def settings(self) -> "list[FreshNoise]":
        """The sweep, in the order of eta."""
        return [FreshNoise(eta) for eta in (0.0, 0.5, 1.0, 1.5, 2.0, 4.0)]


class ChurnSampler(Sampler):
    """Lets the solver take its step without noise, and then mixes in the fresh noise."""

    mitigation: FreshNoise

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with a deterministic solver."""
        return replace(self.inner.prepare(batch), eta=0.0)

    def after(self, x: Tensor, x0: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The sample with the same x0 and a part of its noise replaced. The last step has no noise and stays as it is."""
        schedule, to = self.model.schedule, batch.target(t)
        if to < 0:
            return self.inner.after(x, x0, t, batch)
        ratio, sigma = schedule.alpha(t) / schedule.alpha(to), schedule.sigma(to)
        s = (self.mitigation.eta * sigma / schedule.sigma(t) * (1 - ratio.square()).sqrt()).minimum(sigma)
        old = x - schedule.alpha(to) * x0
        fresh = torch.randn(x.shape, generator=self.rng).to(x)
        share = (1 - (s / sigma).square()).clamp(min=0).sqrt()
        return self.inner.after(schedule.alpha(to) * x0 + share * old + s * fresh, x0, t, batch)
