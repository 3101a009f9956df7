"""Distances between generated pictures and real images: plugins of the entry point group `solidmark.distances`.

A distance gets pictures and images in a random order, and nothing says who was trained on. So whatever it computes, it
treats trained and held-out images alike, and the p-values of its ranks are exact (see `content`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.spatial.distance import cdist

from ..errors import NotApplicable
from . import content, copy_metrics
from .features import Features, torchscript_features
from .scores import Array


@dataclass(frozen=True)
class Surroundings:
    """What a distance may calibrate with.

    `spare` are real images that are neither trained on nor queried, (K, C, H, W) in [0, 1]; `features` the hidden layer of
    the testbed's judge, from images, (N, C, H, W), to (N, D).
    """

    spare: Array
    features: Features


@dataclass(frozen=True)
class Distance:
    """A distance as a frozen dataclass. An author writes `reference` and `between`."""

    reference: ClassVar[str] = ""

    def between(self, pictures: Array, images: Array, around: Surroundings) -> Array:
        """The distance of each picture, (P, C, H, W) in [0, 1], to each image, (N, C, H, W): (P, N), smaller is nearer.

        Arrays are read-only. Raises NotApplicable where it lacks what it needs.
        """
        raise TypeError(f"{type(self).__name__} does not define how far pictures are from images")


@dataclass(frozen=True)
class Ratio(Distance):
    """l2 over the mean l2 of the picture to its 50 nearest spare images: the default."""

    reference = "Extracting Training Data from Diffusion Models, arXiv 2301.13188"

    def between(self, pictures: Array, images: Array, around: Surroundings) -> Array:
        """(P, N), 0 for a copy, about 1 for what is no nearer than other images."""
        return content.ratios(*(_flat(each) for each in (pictures, images, around.spare)))


@dataclass(frozen=True)
class Shift(Distance):
    """The same ratio where each l2 is the least over shifts of the picture by up to `pixels` pixels in each direction.

    Pixels cannot match a picture that was moved by one. What a shift moves out of sight is cropped from the images as well.
    """

    pixels: int = 1

    reference = "Extracting Training Data from Diffusion Models, arXiv 2301.13188"

    def between(self, pictures: Array, images: Array, around: Surroundings) -> Array:
        """(P, N), 0 for a copy, shifted or not."""
        near = self._least(pictures, around.spare)
        count = min(content.NEIGHBOURS, max(near.shape[1] // 4, 1))
        scale = np.partition(near, count - 1, axis=1)[:, :count].mean(axis=1, keepdims=True)
        return np.asarray(self._least(pictures, images) / np.maximum(scale, np.finfo(np.float64).tiny))

    def _least(self, pictures: Array, images: Array) -> Array:
        height, width = pictures.shape[-2:]
        if min(height, width) <= 2 * self.pixels:
            cure = "Shift by fewer pixels."
            raise NotApplicable("distance shift", f"images of {height} x {width}", f"more than {2 * self.pixels}", cure)
        inner = _flat(self._window(images, self.pixels, self.pixels))
        steps = product(range(2 * self.pixels + 1), repeat=2)
        return np.asarray(np.min([cdist(_flat(self._window(pictures, y, x)), inner) for y, x in steps], axis=0))

    def _window(self, images: Array, top: int, left: int) -> Array:
        height, width = (size - 2 * self.pixels for size in images.shape[-2:])
        return images[..., top : top + height, left : left + width]


@dataclass(frozen=True)
class L2(Distance):
    """Plain l2, which favours pictures that are gray and blurred."""

    reference = "Extracting Training Data from Diffusion Models, arXiv 2301.13188"

    def between(self, pictures: Array, images: Array, around: Surroundings) -> Array:
        """(P, N)"""
        return np.asarray(cdist(_flat(pictures), _flat(images)))


@dataclass(frozen=True)
class JudgeFeatures(Distance):
    """1 - cosine of the judge's features."""

    reference = "Diffusion Art or Digital Forgery?, arXiv 2212.03860"

    def between(self, pictures: Array, images: Array, around: Surroundings) -> Array:
        """(P, N) in [0, 2]."""
        return copy_metrics.feature_distances(pictures, images, around.features)


@dataclass(frozen=True)
class PerceptualHash(Distance):
    """The share of differing bits of perceptual hashes of several `sizes`."""

    sizes: tuple[int, ...] = copy_metrics.HASH_SIZES

    reference = "imagehash, pHash"

    def between(self, pictures: Array, images: Array, around: Surroundings) -> Array:
        """(P, N) in [0, 1], with many ties."""
        return copy_metrics.perceptual_hash_distances(pictures, images, self.sizes)


WEIGHTS = "SOLIDMARK_SSCD"
"""The environment variable that names SSCD's TorchScript file, which nobody may pass on."""


@dataclass(frozen=True)
class SSCD(Distance):
    """1 - cosine of the features of SSCD, whose TorchScript file SOLIDMARK_SSCD names; any network of images will do."""

    reference = "A Self-Supervised Descriptor for Image Copy Detection, arXiv 2202.10261"

    def between(self, pictures: Array, images: Array, around: Surroundings) -> Array:
        """(P, N) in [0, 2]. Raises NotApplicable without weights, DamagedFile for a file that is no such network."""
        path = os.environ.get(WEIGHTS, "")
        if not path:
            cure = f"Download its TorchScript file and name it in {WEIGHTS}."
            raise NotApplicable("distance sscd", "no weights", "a TorchScript file", cure)
        return copy_metrics.feature_distances(pictures, images, torchscript_features(Path(path)))


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1)
