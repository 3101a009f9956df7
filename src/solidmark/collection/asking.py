"""Asking: a model fills in the borders of marked images, group by group. Read `ask_all` first.

A group is what is asked and noted at once: images of one size, trained and held-out ones mixed in an order that tells
nothing. So an interrupted run goes on with the group it was at and answers as if it had never stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .. import pipelines
from ..errors import DamagedFile, InvalidValue
from ..keys import Keys
from ..progress import Progress, silent
from . import ledger, pictures
from .layouts import Layout, Pixels
from .ledger import HELD_OUT, Ledger, Row

CALLS = 8
"""Batches of a group."""


@dataclass(frozen=True)
class Query:
    """How a model is asked. `limit` is the most images of each split (None: all), `resolution` the side in pixels that the
    model answers at (None: that of the marked image), `every` see `pipelines.held`; None is the pipeline's own."""

    steps: int | None = None
    guidance: float | None = None
    batch: int = 1
    every: int = 4
    seed: int = 0
    limit: int | None = None
    resolution: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "limit", "resolution"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InvalidValue(f"--{name}", number, "at least 1", "Give a larger number.")


@dataclass(frozen=True)
class Collection:
    """A ledger with the folders of its marked files: `marked` is OUT, `folder` that of the ledger."""

    ledger: Ledger
    marked: Path
    folder: Path

    def read(self, row: Row) -> Pixels:
        """The marked picture. Raises InvalidValue where it is missing, DamagedFile where it is not the one of the ledger."""
        path = (self.marked if row.split == "trained" else self.folder / HELD_OUT) / row.marked
        try:
            data = path.read_bytes()
        except OSError as cause:
            cure = "Give the OUT that belongs to this ledger with --marked."
            raise InvalidValue(str(path), f"{cause.strerror}", "the marked image", cure) from cause
        if hashlib.sha256(data).hexdigest() != row.marked_sha256:
            cure = "Give the folders as `solidmark mark` wrote them."
            raise DamagedFile(str(path), "another file than the ledger's", row.marked_sha256[:12], cure)
        return pictures.decode(data, str(path))[0]


@dataclass(frozen=True)
class Answer:
    """What a model answered for a row: (S,) predicted keys, and whether it refused (then they are gray)."""

    number: int
    prediction: tuple[float, ...]
    refused: bool


@dataclass(frozen=True)
class Group:
    """The answers to one group, with the pictures as asked and as answered, and what the model's door warns of.

    Pictures are as large as the marked ones.
    """

    answers: list[Answer]
    asked: list[Pixels]
    answered: list[Pixels]
    warnings: list[str]


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
    for place, group in enumerate(groups(rows, query.batch * CALLS)):
        if not done(place):
            yield ask(pipe, collection, group, query)
        asked += len(group)
        progress("asking", asked, len(rows))


def ask(pipe: Any, collection: Collection, group: Sequence[Row], query: Query) -> Group:
    """The answers to rows of one layout: blank borders go in, and what the model makes of them is read."""
    layout = collection.ledger.layout(group[0])
    asked = [pictures.as_colour(layout.canvas(layout.inner(collection.read(row)))) for row in group]
    mask = torch.from_numpy(layout.region()).expand(len(group), 1, -1, -1)
    images, masks = _resized(torch.stack([_tensor(picture) for picture in asked]), mask, query.resolution)
    answers = pipelines.ask(
        pipe,
        images,
        masks,
        [row.caption for row in group],
        steps=query.steps,
        guidance=query.guidance,
        batch=query.batch,
        every=query.every,
        seed=query.seed,
        ids=[row.number for row in group],
    )
    shown = [_pixels(image) for image in _fitted(answers.images, layout)]
    return Group(
        [
            Answer(row.number, tuple(layout.read(picture).tolist()), bool(refused))
            for row, picture, refused in zip(group, shown, answers.refused, strict=True)
        ],
        asked,
        shown,
        list(answers.warnings),
    )


def predictions(answers: Sequence[Answer]) -> Keys:
    """(N, S)."""
    return np.array([answer.prediction for answer in answers], dtype=np.float64)


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def _pixels(image: Tensor) -> Pixels:
    """8-bit pixels: what is scored is what can be stored."""
    return np.asarray((image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


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
