"""Patches: how near a part of a picture is to the same part of an image. Pure functions.

A part is a block of pixels that an outpainting had to fill in, or a tile of a whole picture. Its score is the mean absolute
error over its pixels, divided by the mean error of the 10 nearest of other real images at the same place plus 0.02: some
places, such as dark edges, are easy to guess for anybody. Smaller means remembered. Everywhere `answers` and `images` are
(N, C, H, W), pair by pair, and `spare` (K, C, H, W) real images that are neither trained on nor queried.

Single pixels would be too fine a grain: where most images are black all errors tie at 0, and nobody can tell who copied. So
tiles have 4 pixels a side or more, a quarter of an image of 8 x 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from ..schema.numbers import Estimate
from . import content, scores
from .scores import Array

NEAREST = 10
"""The spare images that say how hard a part is to guess."""

EASY = 0.02
"""Added to their error, so that a part that all images share is not divided by 0."""

TILE = 4
"""The least side of a tile, in pixels."""

LEVEL = 0.05
"""The p-value up to which a tile counts as remembered; chance is at most so many."""


def block_scores(answers: Array, images: Array, spare: Array, freed: NDArray[np.bool_]) -> Array:
    """The score of each image's block, (N,); `freed` (N, H, W) are its pixels, at least one of each image."""
    _check(answers, images, spare)
    if freed.shape != (len(images), *images.shape[-2:]) or not freed.any(axis=(1, 2)).all():
        expected = f"({len(images)}, {images.shape[-2]}, {images.shape[-1]}) with a pixel of each image"
        raise InvalidValue("patches.block_scores", f"freed pixels {freed.shape}", expected, "Free a block of each image.")
    return np.array(
        [
            _scores(np.abs(answer - image)[None, :, block], np.abs(spare - answer)[:, None, :, block])[0]
            for answer, image, block in zip(answers, images, freed, strict=True)
        ]
    )


def tile_side(height: int, width: int) -> int:
    """The side of the tiles of such images: the least divisor of both sides from 4 pixels on, else the shorter side."""
    return next((side for side in range(TILE, min(height, width)) if height % side == width % side == 0), min(height, width))


def tile_scores(pictures: Array, images: Array, spare: Array) -> Array:
    """The score of each tile, (N, T), row by row; what is left of images that no tiles fill is not looked at."""
    _check(pictures, images, spare)
    side = tile_side(*images.shape[-2:])
    return np.stack(
        [
            _scores(_tiles(np.abs(picture - image)[None], side)[0], _tiles(np.abs(spare - picture), side))
            for picture, image in zip(pictures, images, strict=True)
        ]
    )


@dataclass(frozen=True)
class MemoryMap:
    """Which tiles of an image come back: p-values `p` (N, T) of trained images and `held_out_p` (H // 2, T).

    `trained` and `held_out` are the shares of tiles with p <= 0.05, with their intervals over images. The control are half
    of the held-out images, ranked among the other half; each among all others would be 0.05 by construction.
    """

    p: Array
    held_out_p: Array
    trained: Estimate
    held_out: Estimate


def memory_map(trained: Array, held_out: Array, rng: np.random.Generator) -> MemoryMap:
    """The map of tile scores, (N, T) and (H, T): each tile ranked among the same tile of held-out images.

    `rng` draws the half of the held-out images, H >= 4, that is ranked among the other half.
    """
    order = rng.permutation(len(held_out))
    half, others = np.split(held_out[order], [len(held_out) // 2])
    p, control = _ranked(trained, held_out), _ranked(half, others)
    shares = [scores.mean((each <= LEVEL).mean(axis=1)) for each in (p, control)]
    return MemoryMap(p, control, *shares)


def rank_among_others(held_out: Array) -> Array:
    """(H,): the conformal p of each held-out score among the H - 1 others; ties count against the finding."""
    return np.asarray(np.searchsorted(np.sort(held_out), held_out, side="right") / len(held_out))


def _ranked(tiles: Array, held_out: Array) -> Array:
    """The conformal p of each tile, (N, T), among the same tile of held-out images, (H, T)."""
    return np.stack([content.conformal_p(*each) for each in zip(tiles.T, held_out.T, strict=True)], axis=1)


def _scores(errors: Array, away: Array) -> Array:
    """(T,) scores from errors (T, ...) and those of K others, (K, T, ...)."""
    own, others = errors.reshape(len(errors), -1).mean(axis=1), away.reshape(*away.shape[:2], -1).mean(axis=2)
    count = min(NEAREST, len(others))
    nearest = np.partition(others, count - 1, axis=0)[:count].mean(axis=0)
    return np.asarray(own / (nearest + EASY))


def _tiles(images: Array, side: int) -> Array:
    """(M, T, pixels of a tile)."""
    count, channels, height, width = images.shape
    rows, columns = height // side, width // side
    cut = images[..., : rows * side, : columns * side].reshape(count, channels, rows, side, columns, side)
    return np.asarray(cut.transpose(0, 2, 4, 1, 3, 5).reshape(count, rows * columns, -1))


def _check(answers: Array, images: Array, spare: Array) -> None:
    if answers.shape != images.shape or images.ndim != 4 or spare.shape[1:] != images.shape[1:] or not len(spare):
        found = f"answers {answers.shape}, images {images.shape}, spare {spare.shape}"
        raise InvalidValue("patches", found, "(N, C, H, W) twice and (K, C, H, W)", "Crop the marks of all away.")
    if not all(np.isfinite(each).all() for each in (answers, images, spare)):
        raise InvalidValue("patches", "NaN or infinity", "finite pixels", "Look at what made them.")
