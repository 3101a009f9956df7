"""Denoising losses outside the training loop: what methods that edit a trained model, and attacks that tune one, descend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from .data import Examples
from .models import Model, Prediction


@dataclass(frozen=True)
class Noised:
    """A batch on its way to the denoiser: `x` = alpha_t clean + sigma_t noise, in the space of x, and its captions."""

    x: Tensor
    t: Tensor
    clean: Tensor
    noise: Tensor
    captions: list[str]

    def predicted(self, model: Model) -> Prediction:
        """What a model says of it, one evaluation an image."""
        return model.predict(self.x, self.t, model.embed(self.captions))

    def losses(self, model: Model) -> Tensor:
        """(B,) mean squared errors of a model, in its own parametrisation."""
        return self.predicted(model).losses(self.clean, self.noise).flatten(1).mean(dim=1)


def noised(model: Model, examples: Examples, rng: Generator, size: int | None = None) -> Noised:
    """`size` of the examples, drawn with replacement, or all, at uniform timesteps with fresh noise."""
    if size is not None:
        examples = examples.take(torch.randint(len(examples), (size,), generator=rng))
    clean = model.encode(examples.images)
    noise = torch.randn(clean.shape, generator=rng).to(clean.device)
    t = torch.randint(model.schedule.steps, (len(clean),), generator=rng).to(clean.device)
    return Noised(model.schedule.add_noise(clean, noise, t), t, clean, noise, examples.captions)


@torch.enable_grad()
def descend(
    model: Model,
    loss: Callable[[], Tensor],
    updates: int,
    learning_rate: float,
    parameters: Sequence[nn.Parameter] | None = None,
    after: Callable[[], None] = lambda: None,
    weight_decay: float = 0.01,
) -> Model:
    """The model after `updates` steps of AdamW on `loss`, in place.

    `parameters` restricts what changes; `after` runs between the gradient and the step, to mask or combine gradients.
    """
    trained = list(model.parameters() if parameters is None else parameters)
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=weight_decay)
    for _ in range(updates):
        optimizer.zero_grad()
        loss().backward()
        after()
        optimizer.step()
    return model
