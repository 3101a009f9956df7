"""Batches, as plain data: what the training loop works on, and what the sampler works on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .. import seeds
from ..data import says_something
from .denoiser import Denoiser


@dataclass(frozen=True)
class SamplingBatch:
    """A batch of B queries as a wrapper of the sampler sees it. Its `prepare` may return one with other fields.

    `noise` is x_T, (B, C, H, W). `mask` is (B, 1, H, W) booleans, the pixels that the model fills in; nothing shows which
    of them are mark. `observed` are the other pixels, in the space of x; it may be another tensor at the next step, so a
    wrapper must not keep it. In latent space both have cells in place of pixels, a cell that is mark in part is masked, and
    `pixels`, (B, C, H, W) in [0, 1], and `shown`, (B, 1, H, W) booleans, are the image and which of its pixels are
    observed. `refused` is (B,) booleans: the queries that are
    answered by a blank image. `times` are the timesteps, from high noise to low. `unconditional` are the embeddings of
    the null condition.
    """

    captions: list[str]
    embeddings: Tensor
    unconditional: Tensor
    noise: Tensor
    mask: Tensor
    refused: Tensor
    times: list[int]
    guidance: float
    eta: float
    model: Denoiser = field(repr=False)
    observed: Tensor = field(repr=False)
    pixels: Tensor | None = field(default=None, repr=False)
    shown: Tensor | None = field(default=None, repr=False)
    reencode: int = 0
    renew_all: bool = False
    """After how many steps the observed latents are encoded anew, and whether the masked ones are replaced as well."""
    steps: int = 0
    """How many steps the whole run has, of which `times` may be the end; 0 for all of them."""

    @property
    def targets(self) -> list[int]:
        """The timestep that the step from each of `times` leads to, -1 behind the last."""
        return self.model.schedule.targets(self.times, self.steps or len(self.times))

    def target(self, t: int) -> int:
        """The timestep that the step from t leads to, -1 behind the last."""
        return self.targets[self.times.index(t)]

    @property
    def conditional(self) -> Tensor:
        """(B,) booleans: the queries whose caption has a word."""
        return torch.tensor([says_something(caption) for caption in self.captions], device=self.noise.device)

    def start(self, noise: Tensor) -> Tensor:
        """x_T as the network will see it, with the observed pixels in place."""
        return self.with_observed(noise, noise, self.times[0])

    def with_observed(self, x: Tensor, noise: Tensor, t: int) -> Tensor:
        """x with the observed pixels in place, at the noise level of t; clean where t is -1."""
        observed = self.observed if t < 0 else self.model.schedule.add_noise(self.observed, noise, t)
        return torch.where(self.mask, x, observed)

    def end_step(self, step: int, x: Tensor, x0: Tensor, noise: Tensor, to: int) -> tuple[Tensor, SamplingBatch]:
        """The sample with the observed pixels in place at the level of `to`, and the batch for the next step.

        `step` counts from 0, `x0` is the clean image that the step predicted. In latent space the observed latents are
        encoded anew after every `reencode` steps.
        """
        batch = self
        if self.pixels is not None and self.reencode and to >= 0 and (step + 1) % self.reencode == 0:
            batch = self._renewed(x0)
            x = self.model.schedule.add_noise(batch.observed, noise, to) if self.renew_all else x
        return batch.with_observed(x, noise, to), batch

    def _renewed(self, x0: Tensor) -> SamplingBatch:
        """With the observed latents encoded anew, beside the model's picture x0 of the masked pixels.

        The autoencoder sees a cell among its neighbours, so that the latents of observed pixels depend on what is masked
        (SolidMark, arXiv 2503.00592, decodes and encodes between steps for that reason).
        """
        assert self.pixels is not None
        assert self.shown is not None
        image = torch.where(self.shown, self.pixels, self.model.decode(x0))
        return replace(self, observed=self.model.encode(image))

    def step_fraction(self, t: int) -> float:
        """The share of the steps that are done when the step from t begins, 0 to below 1."""
        return self.times.index(t) / len(self.times)


@dataclass(frozen=True)
class Batch:
    """A batch as the denoiser is trained on it.

    `clean` are the painted images in the space of x, (B, C, H, W), `embeddings` their conditions, `indices` their rows
    among the examples of the training, `ids` the numbers of the images, and `extra` the extra channels, if any.
    """

    clean: Tensor
    embeddings: Tensor
    indices: Tensor
    ids: tuple[int, ...]
    seed: int
    extra: Tensor | None = None

    def fixed_noise(self, name: str) -> Tensor:
        """Normal noise shaped as `clean`, the same for an image in every epoch. `name` separates purposes."""
        return torch.stack(
            [
                torch.randn(self.clean.shape[1:], generator=seeds.torch_rng(self.seed, "fixed noise", name, number))
                for number in self.ids
            ]
        ).to(self.clean.device)
