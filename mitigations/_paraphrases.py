"""Other captions for an image where no language model wrote any: those that the model's text encoder has nearest."""

from collections.abc import Sequence

import torch
from torch import Tensor

from solidmark.api import WORD, Denoiser

POOL = 512
"""Captions among which the nearest are looked for."""


def nearest_captions(captions: Sequence[str], others: Sequence[str], model: Denoiser) -> list[list[str]]:
    """Of each caption the first POOL others but itself, the nearest first: by the cosine of the mean embedding of words."""
    pool = list(dict.fromkeys(others))[:POOL]
    near = _pooled(captions, model) @ _pooled(pool, model).T
    order = near.argsort(dim=1, descending=True).tolist()
    return [[pool[index] for index in row if pool[index] != own] for own, row in zip(captions, order, strict=True)]


def _pooled(captions: Sequence[str], model: Denoiser) -> Tensor:
    """The mean embedding of the words of each caption, of length 1, (B, D)."""
    embeddings, roles = model.embed(captions), model.roles(captions)
    weights = (roles == WORD).to(embeddings)[:, :, None]
    return torch.nn.functional.normalize((embeddings * weights).sum(dim=1), dim=1)
