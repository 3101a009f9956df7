"""Consistent diffusion with Tweedie: training on noisy copies alone, and consistency below their level of noise."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Trainer
from solidmark.api import Batch, Prediction


@dataclass(frozen=True)
class TweedieConsistency(Mitigation):
    """Train on one noisy copy x_n = alpha_n x + sigma_n z of each image, fixed once and for all; x itself is never seen.

    At t > n noise is added to the copy, x_t = (alpha_t / alpha_n) x_n + ... n, and the mean of x_n that follows from the
    predicted clean image D (Tweedie's formula twice) is compared with x_n:

        E[x_n | x_t] = (a sigma_n² x_t + alpha_n v D(x_t)) / sigma_t²,    a = alpha_t / alpha_n, v = sigma_t² - a² sigma_n²

    In expectation D is then compared with x. At t <= n nothing is known but that D is the mean of what it leads to:

        weight (D(x_t) - D(x_n)) · (D(x_t') - D(x_n))

    with x_t, x_t' two draws of one ancestral step from the copy x_n to t under D(x_n), which has no gradient. The product of
    two draws is without bias, and may be negative. n is the last timestep at which sigma / alpha is at most `level`. This is
    what `ambient-noise` leaves out: it shows the clean image below the level, where a key sits. Published, with
    Stable Diffusion XL: n of 100, 500 and 800 of 1,000 steps; the released code has the step of consistency at up to 100
    timesteps below, from everywhere or from the copy, and its own setting of the weight is 0.

    Fidelity B: the step leads from the copy to any t below it; the weight is our choice; errors of x_n are in units of
    x (divided by alpha_n). The code draws t from n on alone, uniformly, and adds the term of consistency at the same
    accesses; here t is drawn as in the training, and an access at or below n has that term in place of the other. The code
    trains adapters of rank 4; what is trained here is the testbed's. In latent space the copy is a
    noisy latent, as there. The share of accesses above the level is told as `on_copies`. Cost: three evaluations forward
    and two backward for accesses below the level, one of each above.
    """

    level: float = 0.5
    weight: float = 1.0

    fidelity = "B"
    costly = True
    stream = "solidmark.mitigations.tweedie_consistency.TweedieConsistency"
    reference = (
        "Consistent Diffusion Meets Tweedie: Training Exact Ambient Diffusion Models with Noisy Data, arXiv 2404.10177"
    )
    claims = (Claim("A model that is fine-tuned on noisy copies memorizes less.", below=0.9),)

    def __post_init__(self) -> None:
        self.expect(0 < self.level < float("inf"), "level", "a finite positive number")
        self.expect(0 <= self.weight < float("inf"), "weight", "a finite number of at least 0")

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer with a loss of its own."""
        return ConsistentTrainer(self, inner)

    def settings(self) -> "list[TweedieConsistency]":
        """The sweep, weakest first: more and more noise in the copy."""
        return [TweedieConsistency(level) for level in (0.1, 0.25, 0.5, 1.0, 2.0)]


class ConsistentTrainer(Trainer):
    """Compares with the copy above its level, and with itself below."""

    mitigation: TweedieConsistency

    def prepare(self) -> None:
        """Find n."""
        self.inner.prepare()
        steps = torch.arange(self.model.schedule.steps, device=self.model.device)
        ratios = (self.model.schedule.sigma(steps) / self.model.schedule.alpha(steps)).flatten()
        self.boundary = max(int((ratios <= self.mitigation.level).sum()) - 1, 0)

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """(B,) losses: of the copy where t is above n, of consistency elsewhere."""
        schedule, high = self.model.schedule, t > self.boundary
        self.data.dose("on_copies", high)
        copy = schedule.add_noise(batch.clean, batch.fixed_noise("tweedie consistency"), self.boundary)
        losses = torch.zeros(len(t), device=batch.clean.device)
        for chosen, loss in ((high, self._of_the_copy), (~high, self._of_consistency)):
            rows = chosen.nonzero().flatten()
            if len(rows):
                losses = losses.index_put((rows,), loss(_rows(batch, rows), copy[rows], t[rows]))
        return losses

    def _of_the_copy(self, batch: Batch, copy: Tensor, t: Tensor) -> Tensor:
        """‖E[x_n | x_t] - x_n‖² / alpha_n², mean over the numbers of an image, (B,)."""
        step, sigma = self._from_the_copy(t), self._levels(t)[1]
        alpha_n, sigma_n = self._levels(self.boundary)
        added = (sigma.square() - (step * sigma_n).square()).clamp(min=0)
        x = step * copy + added.sqrt() * self._noise(copy)
        clean = self.outer.predict(x, t, batch).clean
        mean = (step * sigma_n.square() * x + alpha_n * added * clean) / sigma.square()
        return ((mean - copy) / alpha_n).square().flatten(1).mean(dim=1)

    def _of_consistency(self, batch: Batch, copy: Tensor, t: Tensor) -> Tensor:
        """The product of the differences of two draws from what the copy leads to, mean over the numbers, (B,)."""
        with torch.no_grad():
            here = self.outer.predict(copy, torch.full_like(t, self.boundary), batch)
        draws = torch.cat([self._step_down(here, t, self._noise(copy)) for _ in range(2)])
        twice = _rows(batch, torch.arange(len(t), device=t.device).repeat(2))
        first, second = (self.outer.predict(draws, t.repeat(2), twice).clean - here.clean.repeat(2, 1, 1, 1)).chunk(2)
        return self.mitigation.weight * (first * second).flatten(1).mean(dim=1)

    def _step_down(self, here: Prediction, t: Tensor, noise: Tensor) -> Tensor:
        """One ancestral step from the copy to the levels t, (B, C, H, W)."""
        (alpha, sigma), (alpha_n, sigma_n) = self._levels(t), self._levels(self.boundary)
        fresh = sigma / sigma_n * (1 - (alpha_n / alpha).square()).clamp(min=0).sqrt()
        old = (sigma.square() - fresh.square()).clamp(min=0).sqrt()
        return alpha * here.clean + old * here.noise + fresh * noise

    def _from_the_copy(self, t: Tensor) -> Tensor:
        """alpha_t / alpha_n."""
        return self.model.schedule.alpha(t) / self.model.schedule.alpha(self.boundary)

    def _levels(self, t: int | Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma at t."""
        return self.model.schedule.alpha(t), self.model.schedule.sigma(t)

    def _noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.rng).to(like)


def _rows(batch: Batch, rows: Tensor) -> Batch:
    """The part of a batch with these rows."""
    extra = None if batch.extra is None else batch.extra[rows]
    ids = tuple(batch.ids[row] for row in rows.tolist())
    chosen = rows.to(batch.indices.device)
    return replace(
        batch,
        clean=batch.clean[rows],
        embeddings=batch.embeddings[rows],
        indices=batch.indices[chosen],
        ids=ids,
        extra=extra,
    )
