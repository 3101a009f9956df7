"""The search for another embedding of a caption at which a measure of memorization is small."""

from collections.abc import Callable

import torch
from torch import Tensor

from solidmark.api import SamplingBatch

from ._search import Search


@torch.enable_grad()
def optimize_embedding(
    batch: SamplingBatch,
    measure: Callable[[Tensor], Tensor],
    goal: float | Tensor | Callable[[Tensor], Tensor],
    learning_rate: float,
    iterations: int,
) -> Search:
    """The embeddings of the batch after AdamW on `measure(embeddings)`, (B,).

    Each query stops when its measure is at most `goal`, which may be a function of its first value. The start token stays
    as it is where embeddings are sequences. Queries without a caption keep their embeddings.
    """
    fixed = 1 if batch.embeddings.ndim == 3 else 0
    start, tail = batch.embeddings[:, :fixed], batch.embeddings[:, fixed:].clone().requires_grad_()
    optimizer = torch.optim.AdamW([tail], lr=learning_rate)
    values = measure(torch.cat([start, tail], dim=1))
    first, last, best, active = values.detach(), values.detach(), tail.detach().clone(), batch.conditional
    moved, goals = torch.zeros_like(active), goal(first) if callable(goal) else goal
    for iteration in range(iterations):
        values = values if iteration == 0 else measure(torch.cat([start, tail], dim=1))
        last = values.detach().where(active, last)
        active = active & (last > goals)
        if not bool(active.any()):
            break
        optimizer.zero_grad()
        values[active].sum().backward()
        optimizer.step()
        moved = moved | active
        best = torch.where(active.reshape(-1, *[1] * (tail.ndim - 1)), tail.detach(), best)
    return Search(torch.cat([start, best], dim=1), moved, first, last)
