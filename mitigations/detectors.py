"""Detectors of memorized prompts, each with the signal that a mitigation here acts on."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from solidmark.api import Detector, SamplingBatch

from ._bright_ending import ending_map, local_norms
from ._calibration import sample_steps
from ._guidance_vector import guidance_norm, guidance_vector
from ._local_dimension import local_dimension
from .anisotropy_embedding import LOW, NORMAL, AnisotropyEmbedding, cosine
from .bright_ending import BrightEnding
from .flipd import LocalDimension
from .nemo import NeuronsAQuery, nearest
from .sail import SharpnessAware


@dataclass(frozen=True)
class GuidanceNorm(Detector):
    """‖eps_c - eps_u‖ at the first step: what `refusal`, `prss`, `wen-filter` and `wen-embedding` act on."""

    reference = "Detecting, Explaining, and Mitigating Memorization in Diffusion Models, arXiv 2407.21720"

    def score(self, batch: SamplingBatch, rng: Generator) -> Tensor:
        """The norms, from two evaluations a prompt."""
        return guidance_norm(batch)


@dataclass(frozen=True)
class Anisotropy(Detector):
    """`size` ‖Δ_T‖ + `alignment` cos(eps_u, Δ_low), both on x_T: what `anisotropy-embedding` descends.

    The cosine is over the channels of each cell, averaged, and of the network's own outputs, as released; with one channel
    it is of the whole vectors. The norm is in units in which the median of the batch has 0.6, as a normal prompt of Stable
    Diffusion 1.4, so that the published weights mean about the same for any model; a detector is told of no normal prompts.
    """

    size: float = 1.0
    alignment: float = 2.0

    reference = AnisotropyEmbedding.reference

    def score(self, batch: SamplingBatch, rng: Generator) -> Tensor:
        """The sums, from four evaluations a prompt."""
        x, low = batch.start(batch.noise), round(LOW * batch.model.schedule.steps)
        null = batch.model.predict(x, low, batch.unconditional).output
        delta = batch.model.predict(x, low, batch.embeddings).output - null
        first = guidance_norm(batch)
        size = NORMAL * first / first.median().clamp(min=1e-12)
        return self.size * size + self.alignment * cosine(null, delta)


@dataclass(frozen=True)
class Sharpness(Detector):
    """‖s(x_T + δ s(x_T)) - s(x_T)‖², s = score of the caption less that of the null condition: what `sail` descends.

    It is the Hessian of the log-probability times the score, by a finite difference, as published.
    """

    reference = SharpnessAware.reference

    def score(self, batch: SamplingBatch, rng: Generator) -> Tensor:
        """The squared norms, from four evaluations a prompt."""
        x = batch.start(batch.noise)
        return SharpnessAware()._sharpness(batch, x, x)


@dataclass(frozen=True)
class LocalNorm(Detector):
    """The guidance vector's norm where the last step attends to the end token: what `bright-ending` descends."""

    reference = BrightEnding.reference

    def score(self, batch: SamplingBatch, rng: Generator) -> Tensor:
        """‖Δ_T ∘ m‖ / mean(m), from a sampling run and two evaluations a prompt. Raises NotApplicable without attention."""
        weights = ending_map(batch, rng)
        return local_norms(guidance_vector(batch, batch.start(batch.noise), batch.times[0]), weights)


@dataclass(frozen=True)
class FewDimensions(Detector):
    """How few dimensions the model sees round a generated image x0: -FLIPD at alpha x0, under the caption, at `level`.

    `level` is a share of the schedule, 0.05 as that of the estimator (arXiv 2406.03537). The trace has one normal probe.
    """

    level: float = 0.05

    reference = LocalDimension.reference

    def score(self, batch: SamplingBatch, rng: Generator) -> Tensor:
        """-FLIPD as a share of the dimensions, from a sampling run and three evaluations a prompt."""
        *_, last = sample_steps(batch, rng)
        x0 = last.clean
        t, schedule = round(self.level * batch.model.schedule.steps), batch.model.schedule
        probes = torch.randn(x0.shape, generator=rng).to(x0)

        def predict(x: Tensor) -> Tensor:
            return batch.model.predict(x, t, batch.embeddings).noise

        return -local_dimension(predict, schedule.alpha(t) * x0, float(schedule.sigma(t)), probes)


@dataclass(frozen=True)
class AlikeNoise(Detector):
    """The largest structural similarity of eps - x_T between `seeds` noises of a prompt: what `nemo` searches by.

    Differences are scaled to [0, 1] a channel, as there.
    """

    seeds: int = 4

    reference = NeuronsAQuery.reference

    def score(self, batch: SamplingBatch, rng: Generator) -> Tensor:
        """The similarities, from `seeds` evaluations a prompt."""
        noise = torch.randn((self.seeds, *batch.model.shape), generator=rng).to(batch.noise)
        differences = torch.stack([self._difference(batch, one.expand_as(batch.noise)) for one in noise], dim=1)
        return nearest(differences).amax(dim=1)

    def _difference(self, batch: SamplingBatch, x: Tensor) -> Tensor:
        """eps - x_T, scaled, (B, C, H, W)."""
        difference = batch.model.predict(x, batch.times[0], batch.embeddings).noise - x
        low, high = difference.amin(dim=(2, 3), keepdim=True), difference.amax(dim=(2, 3), keepdim=True)
        return (difference - low) / (high - low).clamp(min=1e-12)
