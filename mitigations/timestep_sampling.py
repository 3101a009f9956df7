"""Timestep sampling: train mostly at low noise, where nothing but details is left to learn."""

from dataclasses import dataclass
from math import erf, sqrt

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Trainer
from solidmark.models import Batch


@dataclass(frozen=True)
class TimestepSampling(Mitigation):
    """Draw timesteps from a normal distribution about the clean end, 95 % of it within `width` of the schedule.

    t = floor(T |z|), z ~ N(0, (width / 1.96)^2) cut off at 1, in place of the recipe's own distribution. Published: the
    width of a confidence interval is what moves learning along the schedule, and learning at later steps of denoising
    lowers memorization; centre and default are this suite's, hence fidelity C. It costs nothing.
    """

    width: float = 0.5

    fidelity = "C"
    reference = "Memorization Control in Diffusion Models from Denoising-centric Perspective, arXiv 2601.21348"
    stream = "solidmark.mitigations.timestep_sampling.TimestepSampling"
    claims = (Claim("Shifting learning towards later denoising steps reduces memorization.", below=0.9),)

    def __post_init__(self) -> None:
        self.expect(0 < self.width < float("inf"), "width", "a finite positive number")

    def trainer(self, inner: Trainer) -> Trainer:
        """A link with times of its own."""
        return NearClean(self, inner)

    def strengths(self) -> "list[TimestepSampling]":
        """Nearer and nearer to the clean end."""
        return [TimestepSampling(width) for width in (1.0, 0.5, 0.25, 0.1)]


class NearClean(Trainer):
    """Draws by the inverse of the distribution function."""

    mitigation: TimestepSampling

    def times(self, batch: Batch) -> Tensor:
        """(B,): small numbers are likely."""
        spread, steps = sqrt(2) * self.mitigation.width / 1.96, self.model.schedule.steps
        u = torch.rand(len(batch.clean), generator=self.rng)
        share = spread * torch.erfinv(u * erf(1 / spread))
        return (steps * share).long().clamp(0, steps - 1).to(batch.clean.device)
