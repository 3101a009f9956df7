"""The guidance vector eps_c - eps_u, and the search for an initial noise at which a measure of it is small."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from solidmark.models import Query


def guidance_vector(query: Query, x: Tensor, t: int) -> Tensor:
    """eps(x, t, caption) - eps(x, t, null), (B, C, H, W): two evaluations an image, with gradients where they are on."""
    conditional: Tensor = query.model.predict(x, t, query.embeddings).noise
    return conditional - query.model.predict(x, t, query.unconditional).noise


def norms(vectors: Tensor) -> Tensor:
    """(B,): length of each."""
    lengths: Tensor = vectors.flatten(1).norm(dim=1)
    return lengths


def strength(query: Query) -> Tensor:
    """(B,): ‖eps_c - eps_u‖ at the first step, the signal of memorization of arXiv 2407.21720."""
    return norms(guidance_vector(query, query.start(query.noise), query.times[0]))


def stepped(x: Tensor, direction: Tensor, reach: float) -> Tensor:
    """x moved along `direction` by `reach` a number (root mean square), whatever its dimension; not where that is zero."""
    scale = reach * math.sqrt(x[0].numel()) / norms(direction).clamp(min=1e-12)
    return x + scale[:, None, None, None] * direction


@torch.enable_grad()
def quieter(
    query: Query,
    measured: Callable[[Tensor], Tensor],
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
    target: float,
    iterations: int,
    regular: Callable[[Tensor], Tensor] | None = None,
) -> Query:
    """The query with x_T moved by the optimizer until `measured(x_T)`, (B,), is at most `target` of what it was.

    Each query that has a caption stops by itself, after `iterations` steps at the latest. What is minimised is the
    measure as a share of its first value, plus `regular(x_T)`. x_T is taken as the network will see it, known pixels in
    place, and only free pixels move: known ones are put back at every step.
    """
    begin = query.start(query.noise)
    moving = begin.clone().requires_grad_()
    descent, found, active = optimizer([moving]), begin, query.conditional
    first: Tensor | None = None
    for _ in range(iterations):
        x = torch.where(query.free, moving, begin)
        values = measured(x)
        first = values.detach().clamp(min=1e-12) if first is None else first
        shares = values / first
        active = active & (shares.detach() > target)
        if not bool(active.any()):
            break
        losses = shares if regular is None else shares + regular(x)
        descent.zero_grad()
        losses[active].sum().backward()
        descent.step()
        found = torch.where(active[:, None, None, None], moving.detach(), found)
    return replace(query, noise=torch.where(query.free, found, query.noise))
