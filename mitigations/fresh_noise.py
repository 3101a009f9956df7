"""Fresh noise at every step: the reference curve of how random the solver is."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Mitigation, Sampler
from solidmark.models import Query


@dataclass(frozen=True)
class FreshNoise(Mitigation):
    """Sample with `eta` times the fresh noise of ancestral sampling: 0 is deterministic, 1 ancestral, beyond is churn.

    A step goes to alpha x0 + (sigma² - s²)^½ eps + s n, with n new noise, s = min(eta s_1, sigma), and s_1 the ancestral
    spread. Where s = sigma nothing of the old noise is left, and the sample forgets all but x0. DDIM ends at
    eta = 1; Karras et al. (arXiv 2206.00364) add and remove more noise a step and call it churn. The default is the
    protocols' own eta, with other noise. Cost: none.
    """

    eta: float = 1.0

    control = True
    reference = "Denoising Diffusion Implicit Models, arXiv 2010.02502"
    stream = "solidmark.mitigations.fresh_noise.FreshNoise"

    def __post_init__(self) -> None:
        self.expect(0 <= self.eta < float("inf"), "eta", "a number of at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that adds the noise after a deterministic step."""
        return Churning(self, inner)

    def strengths(self) -> "list[FreshNoise]":
        """In the order of eta, as the curve is drawn."""
        return [FreshNoise(eta) for eta in (0.0, 0.5, 1.0, 1.5, 2.0, 4.0)]


class Churning(Sampler):
    """The solver takes its step without noise; this link mixes in what it should have had."""

    mitigation: FreshNoise

    def prepare(self, query: Query) -> Query:
        """The solver deterministic."""
        return replace(self.inner.prepare(query), eta=0.0)

    def after(self, x: Tensor, x0: Tensor, t: int, query: Query) -> Tensor:
        """The same x0, a part of its noise replaced; the last step, which has none, is left alone."""
        place = query.times.index(t) + 1
        if place == len(query.times):
            return self.inner.after(x, x0, t, query)
        schedule, to = self.model.schedule, query.times[place]
        kept, sigma = schedule.alpha(t) / schedule.alpha(to), schedule.sigma(to)
        spread = (self.mitigation.eta * sigma / schedule.sigma(t) * (1 - kept.square()).sqrt()).minimum(sigma)
        old = x - schedule.alpha(to) * x0
        fresh = torch.randn(x.shape, generator=self.rng).to(x.device)
        left = (1 - (spread / sigma).square()).clamp(min=0).sqrt()
        return self.inner.after(schedule.alpha(to) * x0 + left * old + spread * fresh, x0, t, query)
