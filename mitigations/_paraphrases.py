"""Other captions for an image: from a file, or those of other images that the model's text encoder has nearest."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from solidmark.api import WORD, Denoiser, InvalidValue

POOL = 512
"""Captions among which the nearest are looked for."""
EXPECTED = 'a JSON object a line, {"caption": the own one, "captions": [others that say the same]}'


def from_file(file: str, captions: Sequence[str], where: str) -> list[list[str]]:
    """The other captions of each caption; none where the file has none. Raises InvalidValue for a file of another form."""
    try:
        rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]
        found = {row["caption"]: [str(other) for other in row["captions"]] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise InvalidValue(where, f"{file!r} ({type(cause).__name__})", EXPECTED, "Correct the file or its name.") from cause
    return [found.get(caption, []) for caption in captions]


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
