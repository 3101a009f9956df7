"""Ambient noise: at high noise the model is trained on a fixed noisy copy of each image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Origin, Trainer
from solidmark.api import Batch


@dataclass(frozen=True)
class AmbientNoise(Mitigation):
    """Above the noise level `level` train on a copy y = x + level z of each image, fixed once and for all.

    Let s(t) = sigma(t) / alpha(t), and D the prediction of the clean image. Where s <= level the loss is the usual one on
    x. Else x_t = alpha (y + r n), r^2 = s^2 - level^2, and the prediction r^2 / s^2 D + level^2 / s^2 x_t / alpha is
    compared with y. In expectation D is then compared with x. This equals (r^2 / s^2)^2 times the loss for the clean image
    y - level^2 / r n in the network's own parametrisation, and is computed in that form. Published: level 0.5 on images
    in [-1, 1], as here, noise fixed. Cost: none. Both ends of `level` are weak: near 0 the copy is the image, and far
    above 1 hardly a timestep uses it. A mark is one gray over many pixels, and noise hardly hides their mean. In latent
    space the copy is a noisy latent, and levels are relative to latents of unit variance. The share of accesses that had a
    copy is told as `on_copies`.
    """

    level: float = 0.5

    reference = "Does Generation Require Memorization? Creative Diffusion Models using Ambient Diffusion, arXiv 2502.21278"
    stream = "solidmark.mitigations.ambient_noise.AmbientNoise"
    claims = (
        Claim("Significantly less memorization at an equal or better Fréchet distance.", below=0.9),
        Claim("The same, where a key is one pixel, which noise drowns.", below=0.9, origin=Origin(("digits-pixels",))),
    )

    def __post_init__(self) -> None:
        self.expect(0 < self.level < float("inf"), "level", "a finite positive number")

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer with a loss of its own."""
        return NoisyCopyTrainer(self, inner)

    def settings(self) -> "list[AmbientNoise]":
        """The sweep: more and more noise in the copy."""
        return [AmbientNoise(level) for level in (0.1, 0.25, 0.5, 1.0, 2.0)]


class NoisyCopyTrainer(Trainer):
    """Takes the loss for the image at low noise, and for its noisy copy at high noise."""

    mitigation: AmbientNoise

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """The losses of the equations of the mitigation, (B,)."""
        level, alpha, sigma = self.mitigation.level, self.model.schedule.alpha(t), self.model.schedule.sigma(t)
        fresh = torch.randn(batch.clean.shape, generator=self.rng).to(batch.clean.device)
        copy = batch.clean + level * batch.fixed_noise("ambient noise")
        ratio = sigma / alpha
        high = ratio > level
        self.data.dose("on_copies", high)
        rest = (ratio.square() - level**2).where(high, 1.0).sqrt()
        x = torch.where(high, alpha * (copy + rest * fresh), alpha * batch.clean + sigma * fresh)
        clean = torch.where(high, copy - level**2 / rest * fresh, batch.clean)
        weight = (rest / ratio).pow(4).where(high, 1.0)
        errors = self.outer.predict(x, t, batch).losses(clean, (x - alpha * clean) / sigma)
        return (weight * errors).flatten(1).mean(dim=1)
