"""Initial-noise adjustment: find an x_T at which the guidance vector is small, for a batch or for each sample."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._calibration import normal_level
from ._chunks import by_chunks
from ._guidance_vector import (
    guidance_norm,
    guidance_vector,
    move_along,
    moved_share,
    norms,
    optimize_noise,
    raw_guidance_vector,
)
from ._origins import STABLE_DIFFUSION

if TYPE_CHECKING:
    from solidmark.api import Scale

REFERENCE = "Adjusting Initial Noise to Mitigate Memorization in Text-to-Image Diffusion Models, arXiv 2510.08625"


@dataclass(frozen=True)
class BatchInitialNoise(Mitigation):
    """Descend the sharpness of the guidance vector without gradients, and guide after the first `share` of the steps.

    `rounds` times: δ = ρ Δ/‖Δ‖, x_T ← x_T - γ (Δ(x_T + δ) - Δ(x_T)), with Δ the difference of caption and null in what the
    network itself puts out at the first step: of v where it predicts v, as in the released code, since at T its eps hardly
    has any of it. The
    guidance scale is 0 before `share` and the usual one afterwards. Published: 2 rounds, γ = 0.7, ρ = 50 where x_T has
    16,384 numbers, which is a `reach` of 50/128 a number, and no guidance in the first 5 of 50 steps. "Batch" means that
    all noises of a batch get the same number of steps and the same transition. The released code divides by the norm of
    each sample by itself, and so do we, so that an answer does not depend on the other queries of the batch. The observed
    pixels of x_T are in place when Δ is taken, and do not move. With ancestral sampling (eta 1) hardly anything of x_T
    survives the first steps, so that only the delay acts. At eta 0 x_T matters. Cost: four evaluations a round.
    """

    share: float = 0.1
    rounds: int = 2
    gamma: float = 0.7
    reach: float = 50 / 128

    reference = REFERENCE
    stream = "solidmark.mitigations.initial_noise.BatchInitialNoise"
    needs = Needs.CAPTIONS
    claims = (
        Claim(
            "It reduces memorization and keeps captions aligned, with guidance that comes sooner.",
            below=0.9,
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")
        self.expect(self.rounds >= 1, "rounds", "at least 1")
        self.expect(0 < self.gamma < float("inf"), "gamma", "a positive finite number")
        self.expect(0 < self.reach < float("inf"), "reach", "a positive finite number")

    def guidance(self, scale: "Scale", step_fraction: float) -> "Scale":
        """0 in the first steps, the usual scale afterwards."""
        return 0.0 if step_fraction < self.share else scale

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that moves x_T before the first step."""
        return NoiseStepSampler(self, inner)

    def settings(self) -> "list[BatchInitialNoise]":
        """The sweep, weakest first: from one round without delay to many larger rounds and guidance in the last fifth."""
        settings = ((0.0, 1), (0.1, 2), (0.5, 8, 7.0), (0.8, 16, 7.0))
        return [BatchInitialNoise(*setting) for setting in settings]


class NoiseStepSampler(Sampler):
    """Moves the initial noise of a batch by a few steps."""

    mitigation: BatchInitialNoise

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with another x_T. A query without a caption keeps its own, since its Δ is zero."""
        batch, own = self.inner.prepare(batch), self.mitigation
        if not bool(batch.conditional.any()):
            return batch
        x, t = batch.start(batch.noise), batch.times[0]
        for _ in range(own.rounds):
            here = raw_guidance_vector(batch, x, t)
            moved = x - own.gamma * (raw_guidance_vector(batch, move_along(x, here, own.reach), t) - here)
            x = torch.where(batch.mask, moved, x)
        before = batch.start(batch.noise)
        self.data.dose("moved_share", moved_share(before, x)[batch.conditional])
        return replace(batch, noise=torch.where(batch.mask, x, batch.noise))


@dataclass(frozen=True)
class SampleInitialNoise(Mitigation):
    """Optimise each query's x_T until ‖eps_c - eps_u‖ at the first step is small, and guide from the start.

    AdamW at `learning_rate` for at most `iterations`. A query stops when its norm is at most `target` times the median norm
    of normal captions, which are put to the same service. Published: learning rate 0.01, at most 1,000 iterations, an
    absolute norm of 0.9 for a single latent, swept from 0.7 to 1.5. On Stable Diffusion 1.4 a normal prompt has about 0.6
    (figures of arXiv 2407.21720), so that 0.9 is 1.5 times normal, and the sweep 1.2 to 2.5. On digits trained captions
    start at 1.2 times normal: the published dose hardly acts there (`acted_on` in the record). For networks that predict v
    the published norm is that of v, which at one timestep is a multiple of this one. The norm of x_T is free to leave its
    Gaussian shell. The observed pixels are in place when the norm is taken, and do not move. With ancestral sampling (eta
    1) hardly anything of x_T survives the first steps; published with eta 0. Cost: up to `iterations` times two evaluations
    forward and backward a query, and 128 to calibrate for each batch of up to 64.
    """

    target: float = 1.5
    iterations: int = 1000
    learning_rate: float = 0.01

    reference = REFERENCE
    stream = "solidmark.mitigations.initial_noise.SampleInitialNoise"
    needs = Needs.CAPTIONS | Needs.CALIBRATION
    claims = (
        "It has the best trade-off of memorization and alignment among methods at sampling.",
        Claim("It reduces memorization with guidance from the first step on.", below=0.9, origin=STABLE_DIFFUSION),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.target < float("inf"), "target", "a finite number of at least 0")
        self.expect(self.iterations >= 1, "iterations", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces x_T before the first step."""
        return NoiseSearchSampler(self, inner)

    def settings(self) -> "list[SampleInitialNoise]":
        """The sweep, weakest first: the published range, 2.5 to 1.2 times normal, and below it."""
        return [SampleInitialNoise(target) for target in (2.5, 1.5, 1.2, 1.0, 0.85)]


class NoiseSearchSampler(Sampler):
    """Searches another initial noise for each query of the batch that has a caption."""

    mitigation: SampleInitialNoise

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with another x_T."""
        batch = self.inner.prepare(batch)
        if not bool(batch.conditional.any()):
            return batch
        level = normal_level(batch, self.data.calibration, self.rng, guidance_norm)
        return by_chunks(batch, lambda part: self._search(part, level))

    def _search(self, batch: SamplingBatch, level: Tensor) -> SamplingBatch:
        """The queries with an x_T whose norm is at most the target, in units of `level`."""
        own = self.mitigation

        def measure(x: Tensor) -> Tensor:
            return norms(guidance_vector(batch, x, batch.times[0]))

        def optimizer(noises: list[Tensor]) -> torch.optim.Optimizer:
            return torch.optim.AdamW(noises, lr=own.learning_rate)

        search = optimize_noise(batch, measure, optimizer, own.target * level, own.iterations)
        search.report(self.data, batch.conditional, unit=level, level=level)
        return replace(batch, noise=search.found)
