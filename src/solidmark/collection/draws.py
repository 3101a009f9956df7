"""Draws: the keys and the split of a collection, from one secret.

An image is known by the sha256 of its file. So copies share keys and split, and neither the order of the files nor the
number of processes changes a key. HMAC makes the draws of different images independent for whoever lacks the secret.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable

import numpy as np

from .. import keys
from ..keys import Keys


def fresh() -> bytes:
    """A new secret, from the operating system."""
    return secrets.token_bytes(32)


def keys_of(secret: bytes, sha256: str, segments: int) -> Keys:
    """(S,) keys of an image, uniform on [0, 1]."""
    drawn: Keys = keys.draw(1, segments, np.random.default_rng(_number(secret, "keys", sha256)))
    return drawn.reshape(segments)


def held_out(secret: bytes, images: Iterable[str], share: float) -> set[str]:
    """The sha256 of the images that are held out: `share` of the distinct ones, at random.

    At least one is held out and at least one is not, unless the share is 0 or there is one image.
    """
    order = sorted(set(images), key=lambda sha256: _number(secret, "split", sha256))
    if share == 0 or len(order) < 2:
        return set()
    return set(order[: min(max(round(share * len(order)), 1), len(order) - 1)])


def _number(secret: bytes, purpose: str, sha256: str) -> int:
    return int.from_bytes(hmac.digest(secret, f"{purpose}\0{sha256}".encode(), "sha256"))
