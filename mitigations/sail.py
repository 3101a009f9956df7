"""Sharpness-aware initialisation (SAIL), as in the paper and as in the released code."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.models import Query

from ._guidance_vector import guidance_vector, norms, quieter, stepped


@dataclass(frozen=True)
class SharpnessAware(Mitigation):
    """Move x_T where the guidance vector is smooth: ‖s(x_T + δ s(x_T)) - s(x_T)‖² small, s = score of caption less null.

    Adam at `learning_rate` for at most `iterations`, on that measure as a share of its first value plus `prior` times
    ‖x_T‖ as a share of its own; a query stops when the measure is at most `target` of its first value. Published:
    learning rate 0.05, 10 iterations; δ makes the step as long as 1, where x_T has 16,384 numbers, a `reach` of 1/128 a
    number; the sum L + α‖x_T‖ at most 8.2 with α = 0.05, of which about 6.4 is the norm: 1.8 of sharpness, an absolute
    number that no other model shares, so here a share, as for other embedding and noise searches. The paper finds that α
    hardly matters. Left out: drawing other noises where a search fails, for a query's noise is the auditor's. With
    ancestral sampling (eta 1) hardly anything of x_T survives the first steps; eta 0 is where it counts. Cost: up to
    `iterations` times four evaluations forward and backward a query.

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
        Claim("It removes memorization and leaves the caption as it is, at no loss of alignment.", below=0.2),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.target <= 1, "target", "a number in [0, 1]")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")
        self.expect(0 <= self.prior < float("inf"), "prior", "a finite number of at least 0")
        self.expect(0 < self.reach < float("inf"), "reach", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that replaces x_T before the first step."""
        return Smoothed(self, inner)

    def _sharpness(self, query: Query, x: Tensor) -> Tensor:
        """(B,): ‖s(x + δ s(x)) - s(x)‖² at the first step, s the guidance vector of scores."""
        t = query.times[0]
        here = guidance_vector(query, x, t)
        beyond = guidance_vector(query, stepped(x, -here, self.reach), t)
        return norms((beyond - here) / query.model.schedule.sigma(t)).square()

    def strengths(self) -> "list[SharpnessAware]":
        """Smoother and smoother."""
        budgets = ((0.75, 10), (0.5, 10), (0.25, 20), (0.1, 40))
        return [type(self)(target, iterations) for target, iterations in budgets]


@dataclass(frozen=True)
class ReleasedSharpnessAware(SharpnessAware):
    """The same with the measure of the released code: ‖Δ(x_T + Δ/‖Δ‖)‖, Δ = eps_c - eps_u, plus the norm of x_T.

    Against the paper it does not subtract Δ(x_T), does not square, and steps along noise predictions where the paper
    steps along scores, the other way. So it is the norm that Wen et al. make small, a short step aside, and no curvature.
    """

    claims: ClassVar[tuple[str | Claim, ...]] = ()
    stream = "solidmark.mitigations.sail.ReleasedSharpnessAware"

    def _sharpness(self, query: Query, x: Tensor) -> Tensor:
        """(B,): ‖Δ(x + Δ/‖Δ‖)‖ at the first step."""
        t = query.times[0]
        return norms(guidance_vector(query, stepped(x, guidance_vector(query, x, t), self.reach), t))


class Smoothed(Sampler):
    """Searches an initial noise for each query of the batch that has a caption."""

    mitigation: SharpnessAware

    def prepare(self, query: Query) -> Query:
        """The query with another x_T."""
        query, own = self.inner.prepare(query), self.mitigation
        if not bool(query.conditional.any()):
            return query
        length = norms(query.start(query.noise))
        return quieter(
            query,
            lambda x: own._sharpness(query, x),
            lambda moved: torch.optim.Adam(moved, lr=own.learning_rate),
            own.target,
            own.iterations,
            lambda x: own.prior * norms(x) / length,
        )
