"""Layouts: where the keys of an image of any size stand, painted and read as 8-bit gray.

The geometry is that of `marks.Border`, pixel by pixel, as a test says. It stands here again without torch, so that a data
owner and each of the processes that mark start at once, and memory follows the border and not segments times pixels. A
picture on disk reads back to exactly the numbers that were scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue

Pixels = NDArray[np.uint8]
"""(H, W) gray or (H, W, 3) colour, 0 to 255."""

BLANK = 128
"""The gray of a mark that is not painted, `marks.BLANK` in 8 bits."""

SHARE = 16
"""A border is one sixteenth of the shorter side of its image: 16 pixels at 256, as published (arXiv 2503.00592)."""


@dataclass(frozen=True)
class Layout:
    """The border of one image: `height` and `width` of the marked picture, `thickness` of the border, number of keys.

    `inside` says that the border replaces pixels of the image, where else it enlarges it.
    """

    height: int
    width: int
    thickness: int
    segments: int
    inside: bool = False

    @property
    def content(self) -> tuple[slice, slice]:
        """Rows and columns inside the border."""
        t = self.thickness
        return slice(t, self.height - t), slice(t, self.width - t)

    def region(self) -> NDArray[np.bool_]:
        """(H, W): the border."""
        border = np.ones((self.height, self.width), dtype=bool)
        border[self.content] = False
        return border

    def canvas(self, image: Pixels) -> Pixels:
        """The image with a blank border: round it, or over its own edge."""
        blank = np.full((self.height, self.width, *image.shape[2:]), BLANK, dtype=np.uint8)
        blank[self.content] = image[self.content] if self.inside else image
        return blank

    def inner(self, marked: Pixels) -> Pixels:
        """Of a marked picture, the image that `canvas` takes."""
        return marked if self.inside else marked[self.content]

    def paint(self, canvas: Pixels, keys: NDArray[np.float64]) -> Pixels:
        """The canvas with key s, (S,) in [0, 1], as the gray of segment s."""
        painted = canvas.copy()
        flat = painted.reshape(self.height * self.width, -1)
        for pixels, key in zip(_segments(self), keys, strict=True):
            flat[pixels] = round(float(key) * 255)
        return painted

    def read(self, picture: Pixels) -> NDArray[np.float64]:
        """(S,) predicted keys in [0, 1]: the mean of each segment over its pixels and channels.

        Raises InvalidValue for a picture of another size.
        """
        if picture.shape[:2] != (self.height, self.width):
            found, expected = f"a picture of {picture.shape[:2]}", f"({self.height}, {self.width})"
            raise InvalidValue("collection.read", found, expected, "Give the picture as it was answered.")
        flat = picture.reshape(self.height * self.width, -1)
        return np.array([flat[pixels].mean(dtype=np.float64) / 255 for pixels in _segments(self)])


def fitting(height: int, width: int, segments: int, thickness: int | None = None, *, inside: bool = False) -> Layout:
    """The layout of an image of this size; the border's thickness follows the shorter side unless it is stated.

    Raises InvalidValue where nothing of the image would be left, or little beside the border, or a segment would have no
    pixel.
    """
    stated = max(1, round(min(height, width) / SHARE)) if thickness is None else thickness
    if stated > min(height, width):
        found = f"an image of {width} x {height} and a border of {stated}"
        raise InvalidValue("collection", found, "a border of at most the shorter side", "Thin the border.")
    more = 0 if inside else 2 * stated
    layout = Layout(height + more, width + more, stated, segments, inside)
    if stated < 1 or min(layout.height, layout.width) <= 2 * stated:
        found = f"an image of {width} x {height} and a border of {stated}"
        raise InvalidValue("collection", found, f"sides above {2 * stated}", "Thin the border.")
    pixels = layout.height * layout.width - (layout.height - 2 * stated) * (layout.width - 2 * stated)
    if not 1 <= segments <= pixels:
        found = f"{segments} keys on a border of {pixels} pixels"
        raise InvalidValue("collection", found, f"1 to {pixels}", "Change the number of keys, or thicken the border.")
    return layout


@lru_cache(maxsize=4)
def _segments(layout: Layout) -> tuple[NDArray[np.int64], ...]:
    """The flat positions of the pixels of each segment: arcs by the angle round the centre, clockwise from the left."""
    indices = np.argwhere(layout.region())
    y, x = indices[:, 0] - (layout.height - 1) / 2, indices[:, 1] - (layout.width - 1) / 2
    ordered = indices[np.argsort(np.arctan2(y, x), kind="stable")]
    return tuple(np.sort(run[:, 0] * layout.width + run[:, 1]) for run in np.array_split(ordered, layout.segments))
