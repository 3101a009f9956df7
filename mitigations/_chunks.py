"""Searches with gradients, a few queries at a time where their latents are large."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from solidmark.api import SamplingBatch

NUMBERS = 2**17
"""Numbers of x whose gradients are held at once: 8 latents of Stable Diffusion, and every batch of the small testbeds."""


def by_chunks(batch: SamplingBatch, change: Callable[..., SamplingBatch], *rows: Tensor) -> SamplingBatch:
    """The batch after `change` of NUMBERS numbers of x at a time. `change` may give other noise and other embeddings.

    It gets a part of the batch, and of each of `rows`, (B, ...), what belongs to those queries. A batch that fits is
    changed whole. Where `change` treats each query by itself, chunks give what the whole gives.
    """
    size = max(1, NUMBERS // batch.noise[0].numel())
    if len(batch.captions) <= size:
        return change(batch, *rows)
    split = (tensor.split(size) for tensor in rows)
    parts = [change(part, *more) for part, *more in zip(_chunks(batch, size), *split, strict=True)]
    noise, embeddings = torch.cat([part.noise for part in parts]), torch.cat([part.embeddings for part in parts])
    return replace(batch, noise=noise, embeddings=embeddings)


def _chunks(batch: SamplingBatch, size: int) -> Iterator[SamplingBatch]:
    """The batch in parts of `size` queries."""
    for first in range(0, len(batch.captions), size):
        yield _rows(batch, slice(first, first + size))


def _rows(batch: SamplingBatch, rows: slice) -> SamplingBatch:
    """Some queries of the batch."""
    changed: dict[str, Any] = {"captions": batch.captions[rows]}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            changed[field.name] = value[rows]
    return replace(batch, **changed)
