"""Marks: keys painted as gray segments into images, and read back.

Images are (B, C, H, W) tensors in [0, 1], keys (B, S). A mark says how large the canvas is and which pixels
belong to which segment; it does not know which key belongs to which image. Source: SolidMark, arXiv 2503.00592 (border and
centre patch with one key); several segments and one key a pixel are this project's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .errors import InvalidValue

BLANK = 0.5
"""The gray of a mark that is not painted yet."""


def _check_positive(where: str, **numbers: int) -> None:
    wrong: Sequence[str] = [f"{name}={value}" for name, value in numbers.items() if value < 1]
    if wrong:
        raise InvalidValue(where, ", ".join(wrong), "whole numbers of at least 1", "Choose one or more.")


class Mark(Protocol):
    """The pixels on which the S keys of an image are painted. Hashable, as frozen dataclasses are."""

    def __hash__(self) -> int: ...

    @property
    def segments(self) -> int:
        """S, the number of keys."""

    def canvas(self, images: Tensor) -> Tensor:
        """The images with room for the mark, blank: a border enlarges them, a patch covers their centre."""

    def content(self, painted: Tensor) -> Tensor:
        """What is left of the images when the mark is taken away: the inside of a border, all round a blank patch."""

    def masks(self, height: int, width: int) -> Tensor:
        """(S, H, W) booleans on a canvas of this size: disjoint segments that tile the mark."""


@dataclass(frozen=True)
class Border:
    """A border of `thickness` pixels round the image, cut into `segments` arcs of equal pixel count.

    Arcs follow the angle round the centre, from the middle of the left edge, clockwise.
    """

    thickness: int = 2
    segments: int = 8

    def __post_init__(self) -> None:
        _check_positive("marks.Border", thickness=self.thickness, segments=self.segments)

    def canvas(self, images: Tensor) -> Tensor:
        """(B, C, H + 2T, W + 2T), the border blank."""
        return torch.nn.functional.pad(images, (self.thickness,) * 4, value=BLANK)

    def content(self, painted: Tensor) -> Tensor:
        """The inside of the border."""
        t = self.thickness
        return painted[..., t:-t, t:-t]

    def region(self, height: int, width: int) -> Tensor:
        """(H, W) booleans: the border."""
        t = self.thickness
        if min(height, width) <= 2 * t:
            raise InvalidValue(
                "marks.Border", f"a canvas of {height} x {width}", f"more than {2 * t} pixels a side", "Thin the border."
            )
        inside = torch.zeros(height, width, dtype=torch.bool)
        inside[t:-t, t:-t] = True
        return ~inside

    def masks(self, height: int, width: int) -> Tensor:
        """(S, H, W) arcs."""
        region = self.region(height, width)
        indices = region.nonzero().numpy()
        y, x = (indices[:, 0] - (height - 1) / 2, indices[:, 1] - (width - 1) / 2)
        return _cut(indices[np.argsort(np.arctan2(y, x), kind="stable")], self.segments, region)


@dataclass(frozen=True)
class Patch:
    """A square of `side` pixels painted over the centre of the image, cut into `segments` cells row by row."""

    side: int = 4
    segments: int = 4

    def __post_init__(self) -> None:
        _check_positive("marks.Patch", side=self.side, segments=self.segments)

    def canvas(self, images: Tensor) -> Tensor:
        """The images with a blank centre."""
        return torch.where(self.region(*images.shape[-2:]).to(images.device), torch.full_like(images, BLANK), images)

    def content(self, painted: Tensor) -> Tensor:
        """The image with its centre blank again, whatever was painted there."""
        return self.canvas(painted)

    def region(self, height: int, width: int) -> Tensor:
        """(H, W) booleans: the square in the middle."""
        if min(height, width) <= self.side:
            raise InvalidValue(
                "marks.Patch", f"an image of {height} x {width}", f"more than {self.side} pixels a side", "Shrink the patch."
            )
        top, left = (height - self.side) // 2, (width - self.side) // 2
        region = torch.zeros(height, width, dtype=torch.bool)
        region[top : top + self.side, left : left + self.side] = True
        return region

    def masks(self, height: int, width: int) -> Tensor:
        """(S, H, W) cells: as square as the number of segments allows."""
        region = self.region(height, width)
        indices = region.nonzero().numpy()
        y, x = (indices - indices.min(axis=0)).T
        rows = max(r for r in range(1, int(self.segments**0.5) + 1) if self.segments % r == 0)
        cell = (y * rows // self.side) * (self.segments // rows) + x * (self.segments // rows) // self.side
        return _cut(indices[np.argsort(cell, kind="stable")], self.segments, region)


@dataclass(frozen=True)
class Blocks:
    """One key for each `size` x `size` block of another mark's region: the mark of highest bandwidth."""

    of: Border | Patch = Border(segments=1)
    size: int = 1
    height: int = 12
    width: int = 12

    def __post_init__(self) -> None:
        _check_positive("marks.Blocks", size=self.size, height=self.height, width=self.width)

    @property
    def segments(self) -> int:
        """S follows from the canvas, so the canvas is part of this mark."""
        return len(self.masks(self.height, self.width))

    def canvas(self, images: Tensor) -> Tensor:
        """As the mark whose region this is."""
        return self.of.canvas(images)

    def content(self, painted: Tensor) -> Tensor:
        """As the mark whose region this is."""
        return self.of.content(painted)

    def masks(self, height: int, width: int) -> Tensor:
        """(S, H, W) blocks, row by row; those at an edge of the region may be smaller."""
        if (height, width) != (self.height, self.width):
            found = f"a canvas of {height} x {width}"
            raise InvalidValue("marks.Blocks", found, f"{self.height} x {self.width}", "State the canvas's size.")
        indices = self.of.region(height, width).nonzero()
        number = (indices[:, 0] // self.size) * width + indices[:, 1] // self.size
        owners, block = number.unique(return_inverse=True)
        masks = torch.zeros(len(owners), height, width, dtype=torch.bool)
        masks[block, indices[:, 0], indices[:, 1]] = True
        return masks


@lru_cache
def _masks(mark: Mark, height: int, width: int) -> Tensor:
    return mark.masks(height, width)


def paint(mark: Mark, canvas: Tensor, keys: Tensor) -> Tensor:
    """The canvas with key s of each image painted on segment s. Raises InvalidValue for keys outside [0, 1]."""
    masks = _masks(mark, *canvas.shape[-2:]).to(canvas.device)
    if keys.shape != (len(canvas), len(masks)):
        raise InvalidValue(
            "marks.paint", f"keys {tuple(keys.shape)}", f"shape {(len(canvas), len(masks))}", "Draw S keys an image."
        )
    if not bool(((keys >= 0) & (keys <= 1)).all()):
        raise InvalidValue("marks.paint", "keys outside [0, 1]", "numbers in [0, 1]", "0 is black, 1 is white.")
    gray = torch.einsum("bs,shw->bhw", keys.to(canvas), masks.to(canvas.dtype)).unsqueeze(1)
    return torch.where(masks.any(dim=0), gray, canvas)


def read(mark: Mark, images: Tensor) -> Tensor:
    """Predicted keys, (B, S): the mean intensity over each segment and channel, clamped to [0, 1]."""
    return _segment_means(mark, images).clamp(0, 1)


def unevenness(mark: Mark, images: Tensor) -> float:
    """Mean standard deviation of the intensity inside a segment: 0 for a flat gray, about 0.08 for a model's answer.

    Segments of one pixel are left out unless there are no others.
    """
    if not len(images):
        raise InvalidValue("marks.unevenness", "no images", "one or more", "Ask for more held-out images.")
    masks = _masks(mark, *images.shape[-2:]).to(images)
    flat = torch.einsum("bs,shw->bhw", _segment_means(mark, images), masks).unsqueeze(1)
    spread = _segment_means(mark, (images - flat).square()).sqrt()
    large = masks.sum(dim=(1, 2)) > 1
    return float((spread[:, large] if large.any() else spread).mean())


def _segment_means(mark: Mark, images: Tensor) -> Tensor:
    masks = _masks(mark, *images.shape[-2:]).to(images)
    return torch.einsum("bhw,shw->bs", images.mean(dim=1), masks) / masks.sum(dim=(1, 2))


def _cut(indices: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]", segments: int, region: Tensor) -> Tensor:
    """Cut an ordered list of pixels into equal runs."""
    if segments > len(indices):
        raise InvalidValue("marks", f"{segments} segments", f"at most {len(indices)}, one a pixel", "Ask for fewer.")
    masks = torch.zeros(segments, *region.shape, dtype=torch.bool)
    for mask, run in zip(masks, np.array_split(indices, segments), strict=True):
        mask[tuple(run.T)] = True
    return masks
