"""Initial-noise adjustment: another x_T, at which the guidance vector is small, found per batch or per sample."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.models import Query

from ._guidance_vector import guidance_vector, norms, quieter, stepped

if TYPE_CHECKING:
    from solidmark.mitigation import Scale

REFERENCE = "Adjusting Initial Noise to Mitigate Memorization in Text-to-Image Diffusion Models, arXiv 2510.08625"


@dataclass(frozen=True)
class BatchInitialNoise(Mitigation):
    """Descend the sharpness of the guidance vector without gradients, then guide after the first `share` of the steps.

    `rounds` times: δ = ρ Δ/‖Δ‖, x_T ← x_T - γ (Δ(x_T + δ) - Δ(x_T)), Δ = eps_c - eps_u at the first step; guidance
    scale 0 before `share`, the usual scale afterwards. Published: 2 rounds, γ = 0.7, ρ = 50 where x_T has 16,384
    numbers, a `reach` of 50/128 a number, and no guidance in the first 5 of 50 steps. All noises of a batch are
    adjusted alike and share the transition, which is what the name says; the released code divides by the norm of each
    sample by itself, and so do we, so that an answer does not depend on who is asked beside it. Known pixels of x_T are
    in place when Δ is taken and are not moved. With ancestral sampling (eta 1) hardly anything of x_T survives the first
    steps, so that the delay is what acts; eta 0 is where x_T counts. Cost: four evaluations a round.
    """

    share: float = 0.1
    rounds: int = 2
    gamma: float = 0.7
    reach: float = 50 / 128

    reference = REFERENCE
    stream = "solidmark.mitigations.initial_noise.BatchInitialNoise"
    needs = Needs.CAPTIONS
    claims = (Claim("It reduces memorization and keeps captions aligned, with guidance that comes sooner.", below=0.9),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")
        self.expect(self.rounds >= 1, "rounds", "at least 1")
        self.expect(0 < self.gamma < float("inf"), "gamma", "a positive finite number")
        self.expect(0 < self.reach < float("inf"), "reach", "a positive finite number")

    def guidance(self, scale: "Scale", progress: float) -> "Scale":
        """0 in the first steps."""
        return 0.0 if progress < self.share else scale

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that moves x_T before the first step."""
        return Adjusted(self, inner)

    def strengths(self) -> "list[BatchInitialNoise]":
        """From one round without delay to many larger ones, and guidance in the last fifth alone."""
        return [BatchInitialNoise(*one) for one in ((0.0, 1), (0.1, 2), (0.5, 8, 7.0), (0.8, 16, 7.0))]


class Adjusted(Sampler):
    """Moves the initial noise of a batch."""

    mitigation: BatchInitialNoise

    def prepare(self, query: Query) -> Query:
        """The query with another x_T; one without a caption keeps its own, since its Δ is zero."""
        query, own = self.inner.prepare(query), self.mitigation
        if not bool(query.conditional.any()):
            return query
        x, t = query.start(query.noise), query.times[0]
        for _ in range(own.rounds):
            here = guidance_vector(query, x, t)
            moved = x - own.gamma * (guidance_vector(query, stepped(x, here, own.reach), t) - here)
            x = torch.where(query.free, moved, x)
        return replace(query, noise=torch.where(query.free, x, query.noise))


@dataclass(frozen=True)
class SampleInitialNoise(Mitigation):
    """Optimise each query's x_T until ‖eps_c - eps_u‖ at the first step is small; guidance from the start.

    AdamW at `learning_rate` for at most `iterations`; a query stops when its norm is at most `target` times the initial
    one. Published: learning rate 0.01, at most 1,000 iterations, an absolute norm of 0.9 for a single latent; a share of
    the initial norm carries over to any model, and with 0.8 a trained caption's is that of others on the digits testbed.
    The norm of x_T is free to drift off its Gaussian shell. Known pixels are in place when the norm is taken and are not
    moved. With ancestral sampling (eta 1) hardly anything of x_T survives the first steps. Cost: up to `iterations` times
    two evaluations forward and backward a query; about 100 iterations for 0.8 there.
    """

    target: float = 0.8
    iterations: int = 1000
    learning_rate: float = 0.01

    reference = REFERENCE
    stream = "solidmark.mitigations.initial_noise.SampleInitialNoise"
    needs = Needs.CAPTIONS
    claims = (
        "It has the best trade-off of memorization and alignment among methods at sampling.",
        Claim("It reduces memorization with guidance from the first step on.", below=0.9),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.target <= 1, "target", "a number in [0, 1]")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that replaces x_T before the first step."""
        return Quieted(self, inner)

    def strengths(self) -> "list[SampleInitialNoise]":
        """Smaller and smaller norms."""
        return [SampleInitialNoise(target) for target in (0.95, 0.9, 0.8, 0.7)]


class Quieted(Sampler):
    """Searches an initial noise for each query of the batch that has a caption."""

    mitigation: SampleInitialNoise

    def prepare(self, query: Query) -> Query:
        """The query with another x_T."""
        query, own = self.inner.prepare(query), self.mitigation
        if not bool(query.conditional.any()):
            return query

        def size(x: Tensor) -> Tensor:
            return norms(guidance_vector(query, x, query.times[0]))

        return quieter(query, size, lambda moved: torch.optim.AdamW(moved, lr=own.learning_rate), own.target, own.iterations)
