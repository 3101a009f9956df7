"""Timestep sampling: train mostly at low noise, where only details are left to learn."""

from dataclasses import dataclass
from math import erf, sqrt

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Trainer
from solidmark.api import Batch


@dataclass(frozen=True)
class TimestepSampling(Mitigation):
    """Draw timesteps from a normal distribution at the clean end, 95 % of it within `width` of the schedule.

    t = floor(T |z|), z ~ N(0, (width / 1.96)^2) cut off at 1, in place of the recipe's own distribution. Published: the
    width of a confidence interval shifts learning along the schedule, and learning at later steps of denoising lowers
    memorization. Centre and default are ours: only the abstract was read. In latent space the schedule is Stable
    Diffusion's, so that the same width is another range of noise. The mean timestep, as a share of the schedule, is told as
    `mean_timestep`. Cost: none.
    """

    width: float = 0.5

    fidelity = "unverified"
    reference = "Memorization Control in Diffusion Models from Denoising-centric Perspective, arXiv 2601.21348"
    stream = "solidmark.mitigations.timestep_sampling.TimestepSampling"
    claims = (Claim("Shifting learning towards later denoising steps reduces memorization.", below=0.9),)

    def __post_init__(self) -> None:
        self.expect(0 < self.width < float("inf"), "width", "a finite positive number")

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer with timesteps of its own."""
        return LowNoiseTrainer(self, inner)

    def settings(self) -> "list[TimestepSampling]":
        """The sweep, weakest first: nearer and nearer to the clean end."""
        return [TimestepSampling(width) for width in (1.0, 0.5, 0.25, 0.1)]


class LowNoiseTrainer(Trainer):
    """Draws timesteps by the inverse of the distribution function."""

    mitigation: TimestepSampling

    def times(self, batch: Batch) -> Tensor:
        """The timesteps, (B,). Small ones are likely."""
        scale, steps = sqrt(2) * self.mitigation.width / 1.96, self.model.schedule.steps
        u = torch.rand(len(batch.clean), generator=self.rng)
        share = scale * torch.erfinv(u * erf(1 / scale))
        t = (steps * share).long().clamp(0, steps - 1)
        self.data.dose("mean_timestep", t / steps)
        return t.to(batch.clean.device)
