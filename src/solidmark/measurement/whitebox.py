"""White-box denoising loss: what the weights say of an image, without a question. Needs the model, not a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import seeds
from ..data import Examples, join
from ..errors import InvalidValue
from ..marks import Mark
from ..metrics import scores, scoring
from ..models import Denoiser, Evaluations
from ..schema.record import DenoisingLossBlock, LossBlock
from ..split import Split

Array = NDArray[np.float64]

LEVELS = tuple(np.linspace(0.1, 0.7, 16).tolist())
"""Shares of the schedule at which the loss is taken by default: 16 evaluations an image."""


@dataclass(frozen=True)
class Losses:
    """Mean squared denoising error of each image, (N,), on all its pixels and on its `centre`, where no mark is."""

    whole: Array
    centre: Array
    evaluations: Evaluations


@torch.no_grad()
def denoising_loss(
    model: Denoiser,
    examples: Examples,
    mark: Mark,
    rng: torch.Generator,
    levels: Sequence[float] = LEVELS,
    batch: int = 128,
) -> Losses:
    """Mean over `levels` t of ‖prediction - target‖² a pixel, of painted examples with their captions, guidance 1.

    The error is that of training (`Prediction.losses`). One noise a level, the same for all images of a call, so
    that images differ by themselves alone; so give trained and held-out images together. `centre` counts the cells of
    the denoiser's space that hold no pixel of the mark. Smaller means trained. Raises InvalidValue for levels
    outside [0, 1], and where the mark leaves no cell.
    """
    if not levels or not all(0 <= level <= 1 for level in levels):
        raise InvalidValue(
            "whitebox.denoising_loss", f"levels {tuple(levels)}", "shares of the schedule", "Give some in [0, 1]."
        )
    began, times = model.evaluations.copy(), [round(level * (model.schedule.steps - 1)) for level in levels]
    noises = torch.randn((len(times), *model.shape), generator=rng).to(model.device)
    parts = [
        torch.stack([_errors(model, examples.take(indices), t, noise) for t, noise in zip(times, noises, strict=True)]).mean(
            dim=0
        )
        for indices in torch.arange(len(examples)).split(batch)
    ]
    errors = torch.cat(parts).double().cpu()  # (N, h, w)
    centre = _centre(mark, examples.images, model.shape)
    return Losses(_mean(errors, torch.ones_like(centre)), _mean(errors, centre), model.evaluations.since(began))


def has_centre(model: Denoiser, split: Split) -> bool:
    """Whether some cell of the denoiser's space holds no pixel of the mark."""
    return bool(_unmarked(split.mark, split.mark.canvas(split.trained.images), model.shape).any())


def generalization(model: Denoiser, split: Split) -> DenoisingLossBlock:
    """Denoising loss of held-out images and, beside it, of trained ones: means with their intervals over images.

    Both carry their own keys' marks, which is what the model has learnt to expect round an image, and the loss counts
    the centre alone, so that no key is part of it. Held-out images, noise and levels are the same for all rows of a
    seed. Raises InvalidValue where the mark leaves no centre.
    """
    marked = join([split.marked_trained, split.marked(split.held_out, split.held_out_keys)])
    losses = denoising_loss(model, marked, split.mark, seeds.torch_rng(split.seed, "generalization")).centre
    count = len(split.trained)
    return {"held_out": _loss(losses[count:]), "trained": _loss(losses[:count])}


def _loss(losses: Array) -> LossBlock:
    mean = scores.mean(losses)
    assert mean.error is not None
    return {**scoring.interval(mean), "error": mean.error, "images": len(losses)}


def _errors(model: Denoiser, examples: Examples, t: int, noise: Tensor) -> Tensor:
    """Squared error of each cell, (B, h, w), averaged over channels."""
    clean = model.encode(examples.images)
    noise = noise.expand_as(clean)
    prediction = model.predict(model.schedule.add_noise(clean, noise, t), t, model.embed(examples.captions))
    return prediction.losses(clean, noise).mean(dim=1)


def _centre(mark: Mark, images: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(h, w) booleans: cells of x that hold no pixel of the mark. Raises InvalidValue where there are none."""
    cells = _unmarked(mark, images, shape)
    if not bool(cells.any()):
        cure = "Use a smaller mark."
        raise InvalidValue("whitebox.denoising_loss", "a mark on every cell", "a centre without mark", cure)
    return cells


def _unmarked(mark: Mark, images: Tensor, shape: tuple[int, ...]) -> Tensor:
    marked = mark.masks(*images.shape[-2:]).any(dim=0)
    return torch.nn.functional.adaptive_max_pool2d(marked[None].float(), shape[-2:])[0] == 0


def _mean(errors: Tensor, cells: Tensor) -> Array:
    return np.asarray(errors[:, cells.bool()].mean(dim=1).numpy())
