"""The search for another embedding of a caption, at which a measure of memorization is small."""

from collections.abc import Callable

import torch
from torch import Tensor

from solidmark.models import Query


@torch.enable_grad()
def searched(
    query: Query,
    measured: Callable[[Tensor], Tensor],
    goal: Callable[[Tensor], Tensor],
    learning_rate: float,
    iterations: int,
) -> Tensor:
    """The query's embeddings after AdamW on `measured(embeddings)`, (B,), each until it is at most `goal(its first value)`.

    A start token, where embeddings are sequences, is kept; queries without a caption keep theirs.
    """
    kept = 1 if query.embeddings.ndim == 3 else 0
    start, tail = query.embeddings[:, :kept], query.embeddings[:, kept:].clone().requires_grad_()
    optimizer = torch.optim.AdamW([tail], lr=learning_rate)
    least, best, active = None, tail.detach().clone(), query.conditional
    for _ in range(iterations):
        values = measured(torch.cat([start, tail], dim=1))
        least = goal(values.detach()) if least is None else least
        active = active & (values.detach() > least)
        if not bool(active.any()):
            break
        optimizer.zero_grad()
        values[active].sum().backward()
        optimizer.step()
        best = torch.where(active.reshape(-1, *[1] * (tail.ndim - 1)), tail.detach(), best)
    return torch.cat([start, best], dim=1)
