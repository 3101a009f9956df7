"""Sharpness-aware initialisation (SAIL), as in the paper and as in the released code."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._calibration import normal_level
from ._chunks import by_chunks
from ._guidance_vector import guidance_vector, move_along, norms, optimize_noise
from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class SharpnessAware(Mitigation):
    """Move x_T to where the guidance vector is smooth: ‖s(x_T + δ s(x_T)) - s(x_T)‖² small, s = score of caption less null.

    Adam at `learning_rate` for at most `iterations`. The loss is that measure in units of its median over normal captions,
    which are put to the same service, plus `prior` times ‖x_T‖ as a share of its own. A query stops when the loss is at
    most `target` + `prior`.

    Published: learning rate 0.05, 10 iterations. δ makes the step 1 long where x_T has 16,384 numbers, which is a `reach`
    of 1/128 a number. The sum L + α‖x_T‖ ends at 8.2 with α = 0.05 on Stable Diffusion 1.4, swept from 7.6 to 9.0, of which
    6.4 is the norm and 1.8 (1.2 to 2.6) the measure. These numbers are of the released measure, which a normal prompt has
    at about 0.6: 1.8 is 3 times normal, and 6.4 a prior of 10.7 in such units. For the measure of the paper no level is
    known; it gets the same multiples. On digits the published dose hardly acts (`acted_on` in the record). Left out: the
    choice of the first 4 of 8 noises that succeed, since the auditor sets the noise of a query. With ancestral sampling
    (eta 1) hardly anything of x_T survives the first steps; published with eta 0. Cost: up to `iterations` times four
    evaluations forward and backward a query, and 256 to calibrate for each batch of up to 64.

    Paper and released code differ: see `ReleasedSharpnessAware`.
    """

    target: float = 3.0
    iterations: int = 10
    learning_rate: float = 0.05
    prior: float = 10.7
    reach: float = 1 / 128

    reference = (
        "Understanding and Mitigating Memorization in Generative Models via Sharpness of Probability Landscapes, "
        "arXiv 2412.04140"
    )
    stream = "solidmark.mitigations.sail.SharpnessAware"
    needs = Needs.CAPTIONS | Needs.CALIBRATION
    fidelity = "B"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "It removes memorization and leaves the caption as it is, at no loss of alignment.",
            below=0.2,
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.target < float("inf"), "target", "a finite number of at least 0")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")
        self.expect(0 <= self.prior < float("inf"), "prior", "a finite number of at least 0")
        self.expect(0 < self.reach < float("inf"), "reach", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces x_T before the first step."""
        return SharpnessSampler(self, inner)

    def _sharpness(self, batch: SamplingBatch, x: Tensor, begin: Tensor) -> Tensor:
        """‖s(x + δ s(x)) - s(x)‖² at the first step, (B,), with s the guidance vector of scores."""
        t = batch.times[0]
        here = guidance_vector(batch, x, t)
        beyond = guidance_vector(batch, move_along(x, -here, self.reach), t)
        return norms((beyond - here) / batch.model.schedule.sigma(t)).square()

    def settings(self) -> "list[SharpnessAware]":
        """The sweep, weakest first: the published range, 4.3 to 2 times normal, and far below."""
        budgets = ((4.3, 10), (3.0, 10), (2.0, 10), (0.5, 20), (0.1, 40))
        return [type(self)(target, iterations) for target, iterations in budgets]


@dataclass(frozen=True)
class ReleasedSharpnessAware(SharpnessAware):
    """The same with the measure of the released code: ‖Δ(x_T + d)‖, d = Δ/‖Δ‖ at the noise that the search began with.

    Δ = eps_c - eps_u. Unlike the paper, it does not subtract Δ(x_T), does not square, and takes the direction of the step
    at the first x_T, though its gradient flows. So it measures the norm of Wen et al. a short step aside, and no curvature.
    For Stable Diffusion 1.4 the step is along noise predictions, against the paper's scores; for networks that predict v
    it is along scores, which is the other way, and the measure is a difference of scores. Both are followed. For those the
    released α is 0.01 in place of 0.05, which would be a `prior` of 2.1 in the units of Stable Diffusion 1.4.
    """

    claims: ClassVar[tuple[str | Claim, ...]] = ()
    stream = "solidmark.mitigations.sail.ReleasedSharpnessAware"
    form_of = "sail"

    def _sharpness(self, batch: SamplingBatch, x: Tensor, begin: Tensor) -> Tensor:
        """‖Δ(x + d)‖ at the first step, (B,), d taken at `begin`, of scores where the network predicts v."""
        t = batch.times[0]
        stale = begin.detach() + x - x.detach()  # the value of `begin`, and the gradient of x
        scores = batch.model.config.prediction == "v_prediction"
        direction = guidance_vector(batch, stale, t) * (-1 if scores else 1)
        beyond = guidance_vector(batch, move_along(x, direction, self.reach), t)
        return norms(beyond / batch.model.schedule.sigma(t) if scores else beyond)


class SharpnessSampler(Sampler):
    """Searches another initial noise for each query of the batch that has a caption."""

    mitigation: SharpnessAware

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with another x_T."""
        batch, own = self.inner.prepare(batch), self.mitigation
        if not bool(batch.conditional.any()):
            return batch

        def at_start(normal: SamplingBatch) -> Tensor:
            x = normal.start(normal.noise)
            return own._sharpness(normal, x, x)

        level = normal_level(batch, self.data.calibration, self.rng, at_start)
        return by_chunks(batch, lambda part: self._search(part, level))

    def _search(self, batch: SamplingBatch, level: Tensor) -> SamplingBatch:
        """The queries with an x_T whose loss is at most the target, in units of `level`."""
        own, begin = self.mitigation, batch.start(batch.noise)
        length = norms(begin)

        def loss(x: Tensor) -> Tensor:
            return own._sharpness(batch, x, begin) / level + own.prior * norms(x) / length

        def optimizer(noises: list[Tensor]) -> torch.optim.Optimizer:
            return torch.optim.Adam(noises, lr=own.learning_rate)

        search = optimize_noise(batch, loss, optimizer, own.target + own.prior, own.iterations)
        search.report(self.data, batch.conditional, level=level)
        return replace(batch, noise=search.found)
