"""Denoising losses outside the training loop, and their minimisation: for edits of a trained model, and for queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

from ..data import Examples
from .denoiser import Denoiser
from .prediction import Prediction
from .recipe import Recipe

AnyDenoiser = TypeVar("AnyDenoiser", bound=Denoiser)


@dataclass(frozen=True)
class NoisedBatch:
    """A batch with noise: `x` = alpha_t `clean` + sigma_t `noise`, all in the space of x, with one caption an image."""

    x: Tensor
    t: Tensor
    clean: Tensor
    noise: Tensor
    captions: list[str]

    def predict(self, model: Denoiser, embeddings: Tensor | None = None) -> Prediction:
        """A model's prediction, one evaluation an image. `embeddings` replace those of the captions."""
        return model.predict(self.x, self.t, model.embed(self.captions) if embeddings is None else embeddings)

    def losses(self, model: Denoiser, embeddings: Tensor | None = None) -> Tensor:
        """The mean squared errors of a model, (B,), in its own parametrisation."""
        return self.predict(model, embeddings).losses(self.clean, self.noise).flatten(1).mean(dim=1)


def draw_noised_batch(
    model: Denoiser, examples: Examples, rng: Generator, size: int | None = None, recipe: Recipe | None = None
) -> NoisedBatch:
    """`size` of the examples, drawn with replacement, or all of them, with fresh noise.

    With a `recipe` timesteps are drawn and captions dropped as in a training by it. Without one timesteps are uniform and
    no caption is dropped.
    """
    if size is not None:
        examples = examples.take(torch.randint(len(examples), (size,), generator=rng))
    clean, captions, steps = model.encode(examples.images), examples.captions, model.schedule.steps
    noise = torch.randn(clean.shape, generator=rng).to(clean.device)
    if recipe is None:
        t = torch.randint(steps, (len(clean),), generator=rng)
    else:
        t = draw_times(recipe, len(clean), steps, rng)
        dropped = torch.rand(len(clean), generator=rng) < recipe.caption_dropout
        captions = ["" if drop else caption for caption, drop in zip(captions, dropped.tolist(), strict=True)]
    t = t.to(clean.device)
    return NoisedBatch(model.schedule.add_noise(clean, noise, t), t, clean, noise, captions)


def draw_times(recipe: Recipe, count: int, steps: int, rng: Generator) -> Tensor:
    """Timesteps, (count,), with a density proportional to t^timestep_power."""
    u = torch.rand(count, generator=rng)
    return (steps * u ** (1 / (1 + recipe.timestep_power))).long().clamp(max=steps - 1)


def parts_of(size: int, recipe: Recipe) -> Iterator[int]:
    """The sizes of the parts of a batch of `size`, each no larger than what the training had in memory at once."""
    for first in range(0, size, recipe.part):
        yield min(recipe.part, size - first)


def mean_gradients(
    loss: Callable[[int], Tensor], size: int, recipe: Recipe, parameters: Sequence[nn.Parameter]
) -> list[Tensor]:
    """The gradients of the mean over a batch of `size`, part after part. `loss(n)` is that over n samples that it draws."""
    if size <= recipe.part:
        return gradients(loss(size), parameters)
    total: list[Tensor] | None = None
    for part in parts_of(size, recipe):
        found = [gradient * (part / size) for gradient in gradients(loss(part), parameters)]
        total = found if total is None else [old + new for old, new in zip(total, found, strict=True)]
    assert total is not None, "a batch of at least one"
    return total


def gradients(loss: Tensor, parameters: Sequence[nn.Parameter], *, retain_graph: bool = False) -> list[Tensor]:
    """The gradient of a loss, one tensor a parameter, zeros where a parameter has no part in it.

    `retain_graph` keeps the graph for another gradient.
    """
    every = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=retain_graph)
    return [torch.zeros_like(p) if gradient is None else gradient for p, gradient in zip(parameters, every, strict=True)]


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of several tensors, taken as one vector."""
    norm: Tensor = torch.stack([tensor.norm() for tensor in tensors]).norm()
    return norm


@torch.enable_grad()
def follow_direction(
    model: AnyDenoiser,
    direction: Callable[[list[nn.Parameter]], Sequence[Tensor | None]],
    updates: int,
    learning_rate: float,
    parameters: Sequence[nn.Parameter] | None = None,
    weight_decay: float = 0.01,
) -> AnyDenoiser:
    """Take `updates` steps of AdamW in place, each with the gradients `direction(parameters)`. Returns the model.

    Only `parameters` change, all by default. A gradient of None leaves its parameter as it is.
    """
    chosen = list(model.parameters() if parameters is None else parameters)
    optimizer = torch.optim.AdamW(chosen, lr=learning_rate, weight_decay=weight_decay)
    for _ in range(updates):
        for parameter, gradient in zip(chosen, direction(chosen), strict=True):
            parameter.grad = gradient
        optimizer.step()
    optimizer.zero_grad()
    return model


def minimize_loss(
    model: AnyDenoiser,
    loss: Callable[[], Tensor],
    updates: int,
    learning_rate: float,
    parameters: Sequence[nn.Parameter] | None = None,
    weight_decay: float = 0.01,
) -> AnyDenoiser:
    """Take `updates` steps of AdamW on `loss()` in place. Returns the model.

    Only `parameters` change, all by default.
    """

    def direction(chosen: list[nn.Parameter]) -> list[Tensor | None]:
        for parameter in chosen:
            parameter.grad = None
        loss().backward()
        return [parameter.grad for parameter in chosen]

    return follow_direction(model, direction, updates, learning_rate, parameters, weight_decay)
