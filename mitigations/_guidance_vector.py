"""The guidance vector eps_c - eps_u, its norm, and the search for an initial noise at which a measure of it is small."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from solidmark.api import SamplingBatch

from ._search import Search


def guidance_vector(batch: SamplingBatch, x: Tensor, t: int) -> Tensor:
    """eps(x, t, caption) - eps(x, t, null), (B, C, H, W), from two evaluations an image. Gradients flow through it."""
    conditional: Tensor = batch.model.predict(x, t, batch.embeddings).noise
    return conditional - batch.model.predict(x, t, batch.unconditional).noise


def raw_guidance_vector(batch: SamplingBatch, x: Tensor, t: int) -> Tensor:
    """The same difference of what the network itself puts out: of v where it predicts v, of eps where it predicts eps."""
    conditional: Tensor = batch.model.predict(x, t, batch.embeddings).output
    return conditional - batch.model.predict(x, t, batch.unconditional).output


def norms(vectors: Tensor) -> Tensor:
    """The Euclidean norm of each vector, (B,)."""
    lengths: Tensor = vectors.flatten(1).norm(dim=1)
    return lengths


def moved_share(before: Tensor, after: Tensor) -> Tensor:
    """The Euclidean norm of each one's change, as a share of its norm before, (B,)."""
    return norms(after - before) / norms(before).clamp(min=1e-12)


def guidance_norm(batch: SamplingBatch) -> Tensor:
    """‖eps_c - eps_u‖ at the first step, (B,): the signal of memorization of arXiv 2407.21720."""
    return norms(guidance_vector(batch, batch.start(batch.noise), batch.times[0]))


def move_along(x: Tensor, direction: Tensor, reach: float) -> Tensor:
    """x moved along `direction` by a root mean square of `reach`, whatever its dimension. A zero direction moves nothing."""
    scale = reach * math.sqrt(x[0].numel()) / norms(direction).clamp(min=1e-12)
    return x + scale[:, None, None, None] * direction


@torch.enable_grad()
def optimize_noise(
    batch: SamplingBatch,
    measure: Callable[[Tensor], Tensor],
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
    goal: float | Tensor,
    iterations: int,
) -> Search:
    """An x_T that the optimizer moves until `measure(x_T)`, (B,), is at most `goal`.

    Each query that has a caption stops by itself, after `iterations` steps at the latest. x_T is taken as the network will
    see it, with the observed pixels in place. Only masked pixels move.
    """
    begin = batch.start(batch.noise)
    moving = begin.clone().requires_grad_()
    descent, best, active = optimizer([moving]), begin, batch.conditional
    moved, first, last = torch.zeros_like(active), torch.zeros(0), torch.zeros(0)
    for iteration in range(iterations):
        values = measure(torch.where(batch.mask, moving, begin))
        first, last = (values.detach(), values.detach()) if iteration == 0 else (first, values.detach().where(active, last))
        active = active & (last > goal)
        if not bool(active.any()):
            break
        descent.zero_grad()
        values[active].sum().backward()
        descent.step()
        moved = moved | active
        best = torch.where(active[:, None, None, None], moving.detach(), best)
    return Search(torch.where(batch.mask, best, batch.noise), moved, first, last)
