"""Emission: is an image itself generated from its caption alone, whatever became of its border? A second yardstick.

The score of an image is the distance of what its caption gives to it, over the mean distance to the nearest spare images
(`metrics.content`); smaller means remembered. Spare images are held-out ones that are set apart for this.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ..errors import InvalidValue
from ..metrics import content
from ..metrics.scores import Array
from .layouts import Layout, Pixels
from .ledger import spare_rows
from .questions import Collection

SIDE = 32
"""Pictures are compared at this side: what is recognised there, is recognised."""


LEAST = 4
"""Spare images that a distance needs."""


def thumbnails(pictures: list[Pixels], layout: Layout) -> Array:
    """(N, 3 SIDE²) in [0, 1]: the insides of the borders."""
    inner = np.stack([picture[layout.content] for picture in pictures])
    images = torch.from_numpy(inner.copy()).permute(0, 3, 1, 2).double() / 255
    small = functional.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
    return np.asarray(small.flatten(1).numpy())


def spare(collection: Collection) -> Array:
    """The thumbnails of the spare images. Raises InvalidValue for fewer than LEAST."""
    rows = spare_rows(collection.ledger)
    if len(rows) < LEAST:
        found, expected = f"{len(collection.ledger.asked('held-out'))} held-out images", f"at least {4 * LEAST}"
        raise InvalidValue("--content", found, expected, "Leave --content away, or mark anew with a larger --hold-out.")
    return np.concatenate([thumbnails([collection.colour(row)], collection.ledger.layout(row)) for row in rows])


def own(generated: Array, images: Array, spare_images: Array) -> list[float]:
    """The score of each image, of the picture that was generated from its caption."""
    return [float(score) for score in np.diag(content.ratios(generated, images, spare_images))]
