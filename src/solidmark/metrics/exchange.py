"""Exchanged words: do pictures follow the weights, or the words that a plugin reads?

In a copy of a model the embeddings of its class names are exchanged at random. An honest sampler knows class names through
the weights alone, so that any other assignment of classes to names was as likely before: the number of pictures that show
what the name says is one draw from its permutation distribution. A sampler that brings pictures of its own shows the
classes of the names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DRAWN = 99_999
"""Random assignments of classes to names that the observed one is compared with."""


@dataclass(frozen=True)
class Followed:
    """How many of `of` pictures show what their caption names although the embeddings were exchanged, with its p-value."""

    count: int
    of: int
    p: float


def follows_words(shown: NDArray[np.int64], named: NDArray[np.int64]) -> Followed:
    """The permutation test over names: `shown` and `named` are (N,) classes, as the judge sees them and as captions say.

    P(p <= a) <= a for every honest sampler, whatever the judge confuses. No p lies below 1 / (K!), with K classes.
    """
    classes = np.unique(named)
    confusion = (named[:, None] == classes).T.astype(np.int64) @ (shown[:, None] == classes)
    matches, count = confusion[np.arange(len(classes)), _orders(len(classes))].sum(axis=1), int(np.trace(confusion))
    return Followed(count, len(named), float((1 + (matches >= count).sum()) / (1 + DRAWN)))


@lru_cache(maxsize=4)
def _orders(classes: int) -> NDArray[np.int64]:
    """(DRAWN, K) random orders of K classes, the same for everyone."""
    return np.random.default_rng(0).permuted(np.tile(np.arange(classes), (DRAWN, 1)), axis=1)
