"""Features: from images to vectors in which copies lie near one another, by any callable.

Everywhere images are (N, C, H, W) in [0, 1] and features (N, D). Source: Pizzi et al., A Self-Supervised Descriptor
for Image Copy Detection (arXiv 2202.10261), whose SSCD is published as a TorchScript file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import DamagedFile, NotApplicable
from .scores import Array

Features = Callable[[Array], Array]
"""From images, (N, C, H, W), to features, (N, D)."""


class Judging(Protocol):
    """A judge of flat images, (N, pixels)."""

    def features(self, images: Array) -> Array:
        """(N, D)"""


IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""How SSCD and most published networks expect their colours."""


def judge_features(judge: Judging | None) -> Features:
    """The hidden layer of a testbed's judge, which takes flat images; without one they raise NotApplicable."""
    if judge is None:
        return _no_features
    return lambda images: judge.features(images.reshape(len(images), -1))


def _no_features(images: Array) -> Array:
    cure = "Choose a distance that brings features of its own."
    raise NotApplicable("features", "a testbed without a judge", "its judge", cure)


def torchscript_features(path: Path, side: int = 288, batch: int = 64) -> Features:
    """The features of a TorchScript file, such as SSCD's: images of three channels and `side` pixels, ImageNet's colours.

    Gray images are repeated over the channels, and all are resized bilinearly. Raises DamagedFile when the file is
    missing or no TorchScript, and where it cannot take such images or gives no (N, D) numbers.
    """
    import warnings

    import torch

    cure = "Give a file saved by torch.jit.save that takes (N, 3, side, side) and returns (N, D)."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # SSCD is published in this format alone
            network = torch.jit.load(str(path), map_location="cpu").eval()
    except (OSError, ValueError, RuntimeError) as cause:
        raise DamagedFile(str(path), f"{type(cause).__name__}: {cause}", "a TorchScript file", cure) from cause
    mean, deviation = (torch.tensor(colour).reshape(1, 3, 1, 1) for colour in (IMAGENET_MEAN, IMAGENET_DEVIATION))

    @torch.no_grad()
    def features(images: Array) -> Array:
        parts = []
        for part in torch.from_numpy(images).float().split(batch):
            wide = torch.nn.functional.interpolate(part, (side, side), mode="bilinear", antialias=True)
            parts.append(network((wide.expand(-1, 3, -1, -1) - mean) / deviation))
        return np.asarray(torch.cat(parts).double().numpy())

    def guarded(images: Array) -> Array:
        try:
            vectors = features(images)
        except (AttributeError, TypeError, RuntimeError) as cause:
            raise DamagedFile(str(path), f"{type(cause).__name__}: {cause}", "a network of images", cure) from cause
        if vectors.ndim != 2 or len(vectors) != len(images):
            raise DamagedFile(str(path), f"features of shape {vectors.shape}", f"({len(images)}, D)", cure)
        return vectors

    return guarded
