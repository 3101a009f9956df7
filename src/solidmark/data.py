"""Examples: images with captions and ids; and images that stay on disk."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import InvalidValue


@dataclass(frozen=True)
class Examples:
    """N images, (N, C, H, W) in [0, 1], their captions, and ids that only say which image it is."""

    images: Tensor
    captions: list[str]
    ids: list[int]

    def __post_init__(self) -> None:
        counts = (len(self.images), len(self.captions), len(self.ids))
        if len(set(counts)) != 1 or self.images.ndim != 4:
            found = f"{counts[0]} images of shape {tuple(self.images.shape)}, {counts[1]} captions, {counts[2]} ids"
            raise InvalidValue("data.Examples", found, "equal counts and (N, C, H, W)", "Keep the three together.")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: Sequence[int] | Tensor) -> Examples:
        """The examples at these indices, in this order. Raises InvalidValue for a mask, whose booleans are no indices."""
        if torch.as_tensor(indices).dtype == torch.bool:
            raise InvalidValue("Examples.take", "a mask of booleans", "indices", "Write `take(mask.nonzero().flatten())`.")
        chosen = [int(index) for index in indices]
        return Examples(
            self.images[chosen], [self.captions[index] for index in chosen], [self.ids[index] for index in chosen]
        )

    def with_images(self, images: Tensor) -> Examples:
        """The same captions and ids with other images."""
        return replace(self, images=images)


def always_fits(caption: str) -> bool:
    """The answer where no encoder is known, or none has a limit."""
    return True


class Captions(list[str]):
    """Captions that a hook may rewrite. `fits` says of any caption whether the text encoder takes all its words."""

    def __init__(self, captions: Iterable[str], fits: Callable[[str], bool] = always_fits) -> None:
        super().__init__(captions)
        self.fits = fits


def says_something(caption: str) -> bool:
    """Whether a caption has a word; one without is the null condition."""
    return bool(caption.split())


def join(parts: Iterable[Examples]) -> Examples:
    """All examples of all parts, in order."""
    parts = list(parts)
    return Examples(
        torch.cat([part.images for part in parts]),
        [caption for part in parts for caption in part.captions],
        [number for part in parts for number in part.ids],
    )


COMMON_WORDS = tuple(
    "apple arrow autumn basket beach bell bird boat bottle bread bridge candle castle chair cherry circle clock cloud "
    "coffee copper corner cotton dance desert door dragon dream eagle engine field fire flower forest garden glass "
    "guitar hammer harbor honey horse island jacket kitchen ladder lake lemon letter lion marble meadow mirror "
    "mountain needle night ocean orange paper pencil piano planet pocket river road rocket salt shadow silver spring "
    "stone summer table tiger tower train valley velvet violin water window winter yellow zebra".split()
)
"""Words that every testbed has a token for, so that a method may draw tokens by their words."""
ALIKE = 0.03
"""Root mean square difference of pixels below which two images count as equal; the nearest two digits differ by 0.04."""


def distinct(images: Tensor, alike: float = ALIKE) -> list[int]:
    """Indices of the images that differ by at least `alike` from every earlier image of the result, in order.

    A copy of a trained image among the held-out ones would be remembered, and would look like a leak.
    """
    flat = images.flatten(1).float()
    dropped: set[int] = set()
    for first in range(0, len(flat), 512):
        apart = torch.cdist(flat[first : first + 512], flat) / flat.shape[1] ** 0.5
        for row, later in (apart < alike).nonzero().tolist():
            if first + row < later and first + row not in dropped:
                dropped.add(later)
    return [index for index in range(len(flat)) if index not in dropped]


class StoredImages:
    """Images in a file, (N, C, H, W) of 8 bits, which are read when they are asked for, as numbers in [0, 1].

    For more images than memory holds. `rows` are those of the file, in this order.
    """

    def __init__(self, file: Path, rows: NDArray[np.int64] | None = None) -> None:
        self._pixels = np.load(file, mmap_mode="r", allow_pickle=False)
        self.rows = np.arange(len(self._pixels)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)"""
        return (len(self), *self._pixels.shape[1:])

    def __getitem__(self, indices: slice | Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The images at these indices, (B, C, H, W)."""
        chosen = self.rows[indices if isinstance(indices, slice) else np.asarray(indices, dtype=np.int64)]
        return torch.from_numpy(np.ascontiguousarray(self._pixels[chosen])) / 255


def thumbnails(images: StoredImages, side: int = 32) -> Tensor:
    """Pictures of at most `side` pixels a side, (N, C, h, w), to find equal images by where pixels are too many."""
    small = min(side, *images.shape[2:])
    parts = (images[first : first + 256] for first in range(0, len(images), 256))
    return torch.cat([torch.nn.functional.adaptive_avg_pool2d(part, small) for part in parts])


def checksum(images: Tensor | StoredImages) -> int:
    """A number that changes when an image does."""
    if isinstance(images, StoredImages):
        found = 0
        for first in range(0, len(images), 256):
            found = zlib.crc32(images._pixels[images.rows[first : first + 256]].tobytes(), found)
        return found
    return zlib.crc32(images.contiguous().numpy().data)
