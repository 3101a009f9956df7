"""Sharpness-aware initialisation (SAIL), as in the paper and as in the released code."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._guidance_vector import guidance_vector, move_along, norms, optimize_noise
from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class SharpnessAware(Mitigation):
    """Move x_T to where the guidance vector is smooth: ‖s(x_T + δ s(x_T)) - s(x_T)‖² small, s = score of caption less null.

    Adam at `learning_rate` for at most `iterations`. The loss is that measure as a share of its first value, plus `prior`
    times ‖x_T‖ as a share of its own. A query stops when the measure is at most `target` of its first value.

    Published: learning rate 0.05, 10 iterations. δ makes the step 1 long where x_T has 16,384 numbers, which is a `reach`
    of 1/128 a number. The sum L + α‖x_T‖ ends at 8.2 with α = 0.05, of which about 6.4 is the norm and 1.8 the sharpness.
    That is an absolute number for one model, so here the target is a share, as for the other embedding and noise searches.
    The paper finds that α hardly matters. Left out: other noises where a search fails, since the auditor sets the noise of
    a query. With ancestral sampling (eta 1) hardly anything of x_T survives the first steps. At eta 0 it matters. Cost: up
    to `iterations` times four evaluations forward and backward a query.

    Paper and released code differ: see `ReleasedSharpnessAware`.
    """

    target: float = 0.5
    iterations: int = 10
    learning_rate: float = 0.05
    prior: float = 1.0
    reach: float = 1 / 128

    reference = (
        "Understanding and Mitigating Memorization in Generative Models via Sharpness of Probability Landscapes, "
        "arXiv 2412.04140"
    )
    stream = "solidmark.mitigations.sail.SharpnessAware"
    needs = Needs.CAPTIONS
    fidelity = "B"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "It removes memorization and leaves the caption as it is, at no loss of alignment.",
            below=0.2,
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.target <= 1, "target", "a number in [0, 1]")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")
        self.expect(0 <= self.prior < float("inf"), "prior", "a finite number of at least 0")
        self.expect(0 < self.reach < float("inf"), "reach", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces x_T before the first step."""
        return SharpnessSampler(self, inner)

    def _sharpness(self, batch: SamplingBatch, x: Tensor) -> Tensor:
        """‖s(x + δ s(x)) - s(x)‖² at the first step, (B,), with s the guidance vector of scores."""
        t = batch.times[0]
        here = guidance_vector(batch, x, t)
        beyond = guidance_vector(batch, move_along(x, -here, self.reach), t)
        return norms((beyond - here) / batch.model.schedule.sigma(t)).square()

    def settings(self) -> "list[SharpnessAware]":
        """The sweep, weakest first: smaller and smaller sharpness."""
        budgets = ((0.75, 10), (0.5, 10), (0.25, 20), (0.1, 40))
        return [type(self)(target, iterations) for target, iterations in budgets]


@dataclass(frozen=True)
class ReleasedSharpnessAware(SharpnessAware):
    """The same with the measure of the released code: ‖Δ(x_T + Δ/‖Δ‖)‖, Δ = eps_c - eps_u, plus the norm of x_T.

    Unlike the paper, it does not subtract Δ(x_T), does not square, and steps along noise predictions, while the paper steps
    along scores, which is the opposite direction. So it measures the norm of Wen et al. after a short step, and no
    curvature.
    """

    claims: ClassVar[tuple[str | Claim, ...]] = ()
    stream = "solidmark.mitigations.sail.ReleasedSharpnessAware"

    def _sharpness(self, batch: SamplingBatch, x: Tensor) -> Tensor:
        """‖Δ(x + Δ/‖Δ‖)‖ at the first step, (B,)."""
        t = batch.times[0]
        return norms(guidance_vector(batch, move_along(x, guidance_vector(batch, x, t), self.reach), t))


class SharpnessSampler(Sampler):
    """Searches another initial noise for each query of the batch that has a caption."""

    mitigation: SharpnessAware

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with another x_T."""
        batch, own = self.inner.prepare(batch), self.mitigation
        if not bool(batch.conditional.any()):
            return batch
        length = norms(batch.start(batch.noise))
        return optimize_noise(
            batch,
            lambda x: own._sharpness(batch, x),
            lambda noises: torch.optim.Adam(noises, lr=own.learning_rate),
            own.target,
            own.iterations,
            lambda x: own.prior * norms(x) / length,
        )
