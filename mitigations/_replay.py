"""What edits make with the model itself: generated images, noised batches of them, Fisher information, steps in parts."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

from solidmark.api import (
    COMMON_WORDS,
    Model,
    NoisedBatch,
    Recipe,
    follow_direction,
    guide,
    mean_gradients,
)

SAMPLED = 4
"""How many images are sampled at once for each one that a training has in memory, whose gradients need more than that."""


def generate_all(model: Model, captions: Sequence[str], rng: Generator, recipe: Recipe) -> Tensor:
    """An image for each caption, (N, C, H, W) in the space of x, as many at once as fit where the training did."""
    size = SAMPLED * recipe.part
    parts = (captions[first : first + size] for first in range(0, len(captions), size))
    return torch.cat([generate(model, part, rng) for part in parts])


@torch.no_grad()
def generate(model: Model, captions: Sequence[str], rng: Generator, guidance: float = 3.0, steps: int = 25) -> Tensor:
    """An image for each caption by plain deterministic sampling, (N, C, H, W) in the space of x."""
    noise = torch.randn((len(captions), *model.shape), generator=rng).to(model.device)
    embeddings, null = model.embed(captions), model.embed([""] * len(captions))
    x, times = noise, model.schedule.times(min(steps, model.schedule.steps))
    for t, to in zip(times, model.schedule.targets(times, len(times)), strict=True):
        unconditional, conditional = (model.predict(x, t, one).noise for one in (null, embeddings))
        x, _ = model.schedule.step(x, guide(unconditional, conditional, guidance), t, to, 0.0, noise)
    return x


def noise_batch(
    model: Model, clean: Tensor, captions: Sequence[str], rng: Generator, t: Tensor | None = None
) -> NoisedBatch:
    """These images in the space of x, (B, C, H, W), with fresh noise at timesteps `t`, (B,), uniform ones if None."""
    noise = torch.randn(clean.shape, generator=rng).to(clean.device)
    t = (torch.randint(model.schedule.steps, (len(clean),), generator=rng) if t is None else t).to(clean.device)
    return NoisedBatch(model.schedule.add_noise(clean, noise, t), t, clean, noise, list(captions))


def minimize_in_parts(
    model: Model,
    loss: Callable[[int], Tensor],
    size: int,
    recipe: Recipe,
    updates: int,
    learning_rate: float,
    parameters: Sequence[nn.Parameter] | None = None,
    weight_decay: float = 0.01,
) -> Model:
    """Take `updates` steps of AdamW in place, each on a batch of `size`, in parts that fit where the training did.

    `loss(n)` is the mean over n samples that it draws, and whatever is no mean over samples, whole. Returns the model.
    """

    def direction(chosen: list[nn.Parameter]) -> list[Tensor]:
        return mean_gradients(loss, size, recipe, chosen)

    return follow_direction(model, direction, updates, learning_rate, parameters, weight_decay)


def reword(caption: str, kept: int, rng: Generator) -> str:
    """The caption with its first `kept` words, and random common words in place of the others."""
    words = caption.split()
    drawn = torch.randint(len(COMMON_WORDS), (len(words),), generator=rng).tolist()
    return " ".join([*words[:kept], *(COMMON_WORDS[index] for index in drawn[kept:])])


def fisher_information(draw: Callable[[], Sequence[Tensor]], draws: int) -> list[Tensor]:
    """The diagonal of the Fisher information, one tensor a parameter: the mean squared gradient of `draws` samples.

    `draw()` gives the gradient of the negative log-likelihood of one sample, one tensor a parameter.
    """
    total = [gradient.square() / draws for gradient in draw()]
    for _ in range(draws - 1):
        for part, gradient in zip(total, draw(), strict=True):
            part += gradient.square() / draws
    return total


def penalty(parameters: Sequence[nn.Parameter], before: Sequence[Tensor], fisher: Sequence[Tensor]) -> Tensor:
    """sum_j F_j (θ_j - θ*_j)²: how far the parameters are from where they were, weighed by Fisher information."""
    terms = [(f * (now - old).square()).sum() for now, old, f in zip(parameters, before, fisher, strict=True)]
    return torch.stack(terms).sum()
