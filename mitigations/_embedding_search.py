"""The search for another embedding of a caption at which a measure of memorization is small."""

from collections.abc import Callable

import torch
from torch import Tensor

from solidmark.api import SamplingBatch


@torch.enable_grad()
def optimize_embedding(
    batch: SamplingBatch,
    measure: Callable[[Tensor], Tensor],
    goal: Callable[[Tensor], Tensor],
    learning_rate: float,
    iterations: int,
) -> Tensor:
    """The embeddings of the batch after AdamW on `measure(embeddings)`, (B,).

    Each query stops when its measure is at most `goal(its first value)`. The start token stays as it is where embeddings
    are sequences. Queries without a caption keep their embeddings.
    """
    fixed = 1 if batch.embeddings.ndim == 3 else 0
    start, tail = batch.embeddings[:, :fixed], batch.embeddings[:, fixed:].clone().requires_grad_()
    optimizer = torch.optim.AdamW([tail], lr=learning_rate)
    goals, best, active = None, tail.detach().clone(), batch.conditional
    for _ in range(iterations):
        values = measure(torch.cat([start, tail], dim=1))
        goals = goal(values.detach()) if goals is None else goals
        active = active & (values.detach() > goals)
        if not bool(active.any()):
            break
        optimizer.zero_grad()
        values[active].sum().backward()
        optimizer.step()
        best = torch.where(active.reshape(-1, *[1] * (tail.ndim - 1)), tail.detach(), best)
    return torch.cat([start, best], dim=1)
