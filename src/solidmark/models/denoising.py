"""Denoising losses outside the training loop: what methods that edit a trained model, and attacks that tune one, descend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

from ..data import Examples
from .denoiser import Denoiser
from .prediction import Prediction

AnyDenoiser = TypeVar("AnyDenoiser", bound=Denoiser)


@dataclass(frozen=True)
class Noised:
    """A batch on its way to the denoiser: `x` = alpha_t clean + sigma_t noise, in the space of x, and its captions."""

    x: Tensor
    t: Tensor
    clean: Tensor
    noise: Tensor
    captions: list[str]

    def predicted(self, model: Denoiser, embeddings: Tensor | None = None) -> Prediction:
        """What a model says of it, one evaluation an image; `embeddings` stand in for those of the captions."""
        return model.predict(self.x, self.t, model.embed(self.captions) if embeddings is None else embeddings)

    def losses(self, model: Denoiser, embeddings: Tensor | None = None) -> Tensor:
        """(B,) mean squared errors of a model, in its own parametrisation."""
        return self.predicted(model, embeddings).losses(self.clean, self.noise).flatten(1).mean(dim=1)


def noised(model: Denoiser, examples: Examples, rng: Generator, size: int | None = None) -> Noised:
    """`size` of the examples, drawn with replacement, or all, at uniform timesteps with fresh noise."""
    if size is not None:
        examples = examples.take(torch.randint(len(examples), (size,), generator=rng))
    clean = model.encode(examples.images)
    noise = torch.randn(clean.shape, generator=rng).to(clean.device)
    t = torch.randint(model.schedule.steps, (len(clean),), generator=rng).to(clean.device)
    return Noised(model.schedule.add_noise(clean, noise, t), t, clean, noise, examples.captions)


def gradients(loss: Tensor, parameters: Sequence[nn.Parameter], *, again: bool = False) -> list[Tensor]:
    """The gradient of a loss, one tensor a parameter, zeros where it has no part; `again` keeps its graph for another."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=again)
    return [torch.zeros_like(p) if one is None else one for p, one in zip(parameters, found, strict=True)]


def norm(gradients: Sequence[Tensor]) -> Tensor:
    """Their Euclidean norm, taken as one vector."""
    total: Tensor = torch.stack([one.norm() for one in gradients]).norm()
    return total


@torch.enable_grad()
def follow(
    model: AnyDenoiser,
    direction: Callable[[list[nn.Parameter]], Sequence[Tensor | None]],
    updates: int,
    learning_rate: float,
    parameters: Sequence[nn.Parameter] | None = None,
    weight_decay: float = 0.01,
) -> AnyDenoiser:
    """The model after `updates` steps of AdamW, in place, each with the gradients that `direction` gives.

    `parameters` restricts what changes; a gradient of None leaves its parameter as it is.
    """
    trained = list(model.parameters() if parameters is None else parameters)
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=weight_decay)
    for _ in range(updates):
        for parameter, gradient in zip(trained, direction(trained), strict=True):
            parameter.grad = gradient
        optimizer.step()
    optimizer.zero_grad()
    return model


def descend(
    model: AnyDenoiser,
    loss: Callable[[], Tensor],
    updates: int,
    learning_rate: float,
    parameters: Sequence[nn.Parameter] | None = None,
    after: Callable[[], None] = lambda: None,
    weight_decay: float = 0.01,
) -> AnyDenoiser:
    """The model after `updates` steps of AdamW on `loss`, in place.

    `parameters` restricts what changes; `after` runs between the gradient and the step, to mask or combine gradients.
    """

    def direction(trained: list[nn.Parameter]) -> list[Tensor | None]:
        for parameter in trained:
            parameter.grad = None
        loss().backward()
        after()
        return [parameter.grad for parameter in trained]

    return follow(model, direction, updates, learning_rate, parameters, weight_decay)
