"""Batches: what the training loop and the sampler work on, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .. import seeds
from ..data import says_something
from .denoiser import Denoiser


@dataclass(frozen=True)
class Query:
    """A batch of B queries as a sampler link sees it; a link's `prepare` may return one with other fields.

    `noise` is x_T, (B, C, H, W); `free` (B, 1, H, W) booleans, the pixels that the model fills in (no
    one is told which of them are mark); `refused` (B,) booleans: these are answered by a blank image.
    """

    captions: list[str]
    embeddings: Tensor
    unconditional: Tensor
    noise: Tensor
    free: Tensor
    refused: Tensor
    times: list[int]
    guidance: float
    eta: float
    model: Denoiser = field(repr=False)
    known: Tensor = field(repr=False)

    @property
    def conditional(self) -> Tensor:
        """(B,) booleans: queries whose caption has a word."""
        return torch.tensor([says_something(caption) for caption in self.captions], device=self.noise.device)

    def start(self, noise: Tensor) -> Tensor:
        """x_T as the network will see it, known pixels in place."""
        return self.hold(noise, noise, self.times[0])

    def hold(self, x: Tensor, noise: Tensor, t: int) -> Tensor:
        """x with its known pixels replaced by the true ones at the noise level of t (-1: clean)."""
        known = self.known if t < 0 else self.model.schedule.add_noise(self.known, noise, t)
        return torch.where(self.free, x, known)

    def progress(self, t: int) -> float:
        """Share of the steps done when the step from t begins, 0 to below 1."""
        return self.times.index(t) / len(self.times)


@dataclass(frozen=True)
class Batch:
    """A batch as the denoiser is trained on it: painted images in the space of x, conditions, extra channels if any."""

    clean: Tensor
    embeddings: Tensor
    indices: Tensor
    ids: tuple[int, ...]
    seed: int
    extra: Tensor | None = None

    def fixed_noise(self, name: str) -> Tensor:
        """Normal noise shaped as `clean`, the same for an image in every epoch; `name` keeps purposes apart."""
        return torch.stack(
            [
                torch.randn(self.clean.shape[1:], generator=seeds.torch_rng(self.seed, "fixed noise", name, number))
                for number in self.ids
            ]
        ).to(self.clean.device)
