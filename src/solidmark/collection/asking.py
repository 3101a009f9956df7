"""Asking: a model fills in the borders of marked images, group by group. Read `ask_all` first.

A group is what is asked and noted at once: images of one size, trained and held-out ones mixed in an order that tells
nothing. So an interrupted run goes on with the group it was at and answers as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .. import pipelines
from ..errors import InvalidValue
from ..keys import Keys
from ..metrics.scores import Array
from ..progress import Progress, silent
from . import emission, ledger, pictures
from .layouts import Layout, Pixels
from .ledger import Row
from .questions import Answer, Collection, Group, Query

CALLS = 8
"""Batches of a group."""


def groups(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """Rows in groups of one layout and at most `size`."""
    group: list[Row] = []
    for row in rows:
        if group and (len(group) == size or _shape(row) != _shape(group[0])):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _shape(row: Row) -> tuple[int, int, int]:
    return row.height, row.width, row.thickness


def ask_all(
    pipe: Any, collection: Collection, query: Query, done: Callable[[int], bool], progress: Progress = silent
) -> Iterator[Group]:
    """The answers to every group of which `done` does not say that it has been asked, by its place."""
    rows, asked = ledger.rows_to_ask(collection.ledger, query.limit), 0
    if query.content and not (query.captions and collection.captioned):
        raise InvalidValue("--content", "images without captions", "captions to generate from", "Leave --content away.")
    spare = emission.spare(collection) if query.content else None
    for place, group in enumerate(groups(rows, query.batch * CALLS)):
        if not done(place):
            yield ask(pipe, collection, group, query, spare)
        asked += len(group)
        progress("asking", asked, len(rows))


def ask(pipe: Any, collection: Collection, group: Sequence[Row], query: Query, spare: Array | None = None) -> Group:
    """The answers to rows of one layout: blank borders go in, and what the model makes of them is read.

    With `spare` images each is also generated from its caption alone, and compared with what it is.
    """
    layout = collection.ledger.layout(group[0])
    marked = [collection.colour(row) for row in group]
    asked = [layout.canvas(layout.inner(picture)) for picture in marked]
    mask = torch.from_numpy(layout.region()).expand(len(group), 1, -1, -1)
    told = query.captions and (collection.captioned or pipelines.takes_prompts(getattr(pipe, "pipe", pipe)))
    captions = [row.caption for row in group] if told else None
    answers = _put(pipe, asked, mask, group, query, captions)
    shown = [_pixels(image) for image in _fitted(answers.images, layout)]
    found = [
        Answer(row.number, tuple(layout.read(picture).tolist()), bool(refused))
        for row, picture, refused in zip(group, shown, answers.refused, strict=True)
    ]
    if spare is not None:
        plain = _put(pipe, asked, torch.ones_like(mask), group, query, captions)
        generated = [_pixels(image) for image in _fitted(plain.images, layout)]
        own = emission.own(emission.thumbnails(generated, layout), emission.thumbnails(marked, layout), spare)
        found = [replace(answer, content=score) for answer, score in zip(found, own, strict=True)]
    return Group(found, asked, shown, list(answers.warnings))


def _put(
    pipe: Any, asked: list[Pixels], mask: Tensor, group: Sequence[Row], query: Query, captions: list[str] | None
) -> pipelines.Answers:
    gray = pipelines.channels(pipe) == 1
    images, masks = _resized(torch.stack([_tensor(picture, gray) for picture in asked]), mask, query.resolution)
    return pipelines.ask(
        pipe,
        images,
        masks,
        captions,
        steps=query.steps,
        guidance=query.guidance,
        batch=query.batch,
        every=query.every,
        seed=query.seed,
        ids=[row.number for row in group],
    )


def as_json(group: Group) -> dict[str, Any]:
    """What the journal notes of a group."""
    return {"answers": [asdict(answer) for answer in group.answers], "warnings": group.warnings}


def predictions(answers: Sequence[Answer]) -> Keys:
    """(N, S)."""
    return np.array([answer.prediction for answer in answers], dtype=np.float64)


def _tensor(pixels: Pixels, gray: bool) -> Tensor:
    """(3, H, W) in [0, 1], or (1, H, W) for a model of gray pictures."""
    seen = pictures.as_gray(pixels)[..., None] if gray else pixels
    return torch.from_numpy(seen.copy()).permute(2, 0, 1).float() / 255


def _pixels(image: Tensor) -> Pixels:
    """8-bit pixels in colour, (H, W, 3): what is scored is what can be stored."""
    rounded = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return pictures.as_colour(rounded[..., 0]) if rounded.shape[-1] == 1 else np.asarray(rounded)


def _resized(images: Tensor, masks: Tensor, side: int | None) -> tuple[Tensor, Tensor]:
    """The images at the side that the model answers at; every pixel that a border reaches into is masked."""
    height, width = images.shape[-2:]
    if side is None or side == height == width:
        return images, masks
    if height != width:
        cure = "Mark with --size, which makes squares, or leave --resolution away."
        raise InvalidValue("--resolution", f"images of {width} x {height}", "square ones", cure)
    larger = functional.interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    return larger, functional.interpolate(masks.float(), (side, side), mode="bilinear", antialias=True) > 1e-6


def _fitted(images: Tensor, layout: Layout) -> Tensor:
    if images.shape[-2:] == (layout.height, layout.width):
        return images
    return functional.interpolate(images, size=(layout.height, layout.width), mode="bilinear", antialias=True)
