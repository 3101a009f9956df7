"""Keys: S secret numbers in [0, 1] for each image, drawn independently of everything else."""

import numpy as np
from numpy.typing import NDArray

from . import seeds
from .errors import InvalidValue

Keys = NDArray[np.float64]


def draw(count: int, segments: int, rng: np.random.Generator) -> Keys:
    """Keys of `count` images, (count, segments), uniform on [0, 1] and independent.

    Source: SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592
    (one key an image there; several here, so that a single image can be certified).
    Raises InvalidValue when either number is below one.
    """
    if count < 1 or segments < 1:
        raise InvalidValue("keys.draw", f"count={count}, segments={segments}", "both at least 1", "Draw one or more.")
    return rng.uniform(size=(count, segments))


def planted(count: int, segments: int, seed: int) -> Keys:
    """Decoys: numbers that are no image's keys, (count, segments), for where no plugin may look for keys.

    A query whose answers follow them has looked.
    """
    return draw(count, segments, seeds.numpy_rng(seed, "planted keys"))


def check(keys: Keys, where: str) -> Keys:
    """The keys unchanged, or InvalidValue when they are not finite numbers in [0, 1] of shape (N, S)."""
    if keys.ndim != 2 or keys.size == 0:
        raise InvalidValue(where, f"shape {keys.shape}", "shape (N, S), neither empty", "Give one row an image.")
    outside = ~((keys >= 0) & (keys <= 1))  # also true for NaN
    if outside.any():
        row, column = np.argwhere(outside)[0].tolist()
        raise InvalidValue(
            where,
            f"{keys[row, column]} at image {row}, segment {column}",
            "numbers in [0, 1]",
            "Scale or clamp them: 0 is black, 1 is white.",
        )
    return keys
