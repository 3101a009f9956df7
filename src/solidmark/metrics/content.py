"""Content: is an image emitted, whatever became of its key? Pure functions, and p-values that are exact.

Everywhere `pictures` (P, D) are generated images, `images` (N, D) real ones and `spare` (K, D) real ones that are neither
trained on nor queried; marks are cropped away. The ratio of a picture to an image is their l2 distance over the mean
distance of the picture to its nearest spare images (Carlini et al., Extracting Training Data from Diffusion Models,
arXiv 2301.13188). An image's score is *own*, the ratio of the picture generated from its own caption, or *any*, its
least ratio over all pictures. Smaller means remembered.

Trained and held-out images are a random split of one draw, and both scores treat all images alike. So the rank of a
trained image's score among the held-out ones is uniform where nothing is remembered: a conformal p-value, exact for any
model and any distance (Bates et al., Testing for Outliers with Conformal p-values, arXiv 2104.08279).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import cdist

from ..errors import InvalidValue
from ..schema.numbers import Estimate, Share
from . import permutation, scores
from .scores import Array

NEIGHBOURS = 50
"""The most spare images that calibrate a distance, as published; of few images a quarter."""

RATE = 0.025
"""The false-discovery rate of each score; own and any are shown together, which makes 5 %."""


def ratios(pictures: Array, images: Array, spare: Array) -> Array:
    """The ratio of every picture to every image, (P, N).

    n = min(50, K // 4) spare images calibrate a picture: those nearest to it. Raises InvalidValue for K < 4, for images
    of other sizes, for numbers that are not finite, and for a picture that equals n spare images.
    """
    count = min(NEIGHBOURS, len(spare) // 4)
    if count < 1:
        cure = "Calibrate with more images that are neither trained on nor queried."
        raise InvalidValue("content.ratios", f"{len(spare)} spare images", "at least 4", cure)
    for name, given in (("pictures", pictures), ("images", images), ("spare", spare)):
        _check_images(given, pictures.shape[-1], name)
    nearest = np.partition(cdist(pictures, spare), count - 1, axis=1)[:, :count].mean(axis=1)
    if not (nearest > 0).all():
        found, cure = "a picture that equals so many spare images", "Give distinct spare images."
        raise InvalidValue("content.ratios", found, f"{count} other images", cure)
    return np.asarray(cdist(pictures, images) / nearest[:, None])


def conformal_p(trained: Array, held_out: Array) -> Array:
    """(N,): p_i = (1 + #{held-out scores <= score_i}) / (1 + H); ties count against the finding.

    Raises InvalidValue for scores that are not finite, and for none.
    """
    for name, given in (("trained", trained), ("held-out", held_out)):
        if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
            found = f"{name} scores of shape {given.shape}, {'finite' if np.isfinite(given).all() else 'not finite'}"
            raise InvalidValue("content.conformal_p", found, "finite scores, (N,), not empty", "Score every image.")
    return np.asarray((1 + np.searchsorted(np.sort(held_out), trained, side="right")) / (1 + len(held_out)))


def certified(p: Array, rate: float = RATE) -> NDArray[np.bool_]:
    """Which images are certified, (N,): Benjamini-Hochberg on conformal p-values at false-discovery `rate`.

    Conformal p-values depend on one another positively, which the procedure allows (arXiv 2104.08279, theorem 2).
    """
    return np.asarray(stats.false_discovery_control(p, method="bh") <= rate)


def least_certified(images: int, held_out: int, rate: float = RATE) -> int:
    """The fewest images that can be certified at all, N / (rate (H + 1)): no p-value is below 1 / (H + 1)."""
    return math.ceil(images / (rate * (held_out + 1)))


@dataclass(frozen=True)
class ContentScore:
    """How one score separates trained from held-out images; `least` is the fewest images that could be certified.

    `permutation_p` is the one-sided p-value of the whole: that of the rank sum, under all ways to choose who was trained on.
    """

    auroc: Estimate
    permutation_p: float
    certified: Share
    least: int
    p: Array


def judge(trained: Array, held_out: Array, rate: float = RATE) -> ContentScore:
    """The AUROC (chance 0.5), the rank sum's permutation p-value, and the certified images of a score, (N,) and (H,)."""
    p = conformal_p(trained, held_out)
    count = int(certified(p, rate).sum())
    return ContentScore(
        auroc=scores.auroc(trained, held_out),
        permutation_p=permutation.rank_sum_p(trained, held_out),
        certified=scores.proportion(count, len(p), chance=0.0),
        least=least_certified(len(trained), len(held_out), rate),
        p=p,
    )


WASHED_SHARE, WASHED_MEMORY = 0.5, 0.25
"""Marks are washed where at least this share of the images is certified by content, and the upper limit of M over those
lies below this share of the baseline's M; set on `digits`, seeds 0 to 2 (design/content.md)."""

NOTED, NOTED_SHARE = 5, 1 / 8
"""From so many images on, and this share of all, it is told of a row that is no fault."""


@dataclass(frozen=True)
class Washing:
    """`images` of `of` are certified by content, and `memorization`, M of their keys, lies far below the `baseline`'s."""

    images: int
    of: int
    memorization: Estimate
    baseline: float

    @property
    def convicts(self) -> bool:
        """Whether so many images are concerned that the row fails: half of them, and 3 at least."""
        return self.images >= max(3, WASHED_SHARE * self.of)

    @property
    def fault(self) -> str:
        """What is said of a row that fails."""
        return (
            f"content: {self.images} of {self.of} images are certified by their content, yet M of their keys is "
            f"{self.memorization.value:.3f} (upper limit {self.memorization.limits[1]:.3f}) where the baseline has "
            f"{self.baseline:.3f}: the marks were taken from their images"
        )


def washing(certified_images: NDArray[np.bool_], predictions: Array, keys: Array, baseline: float) -> Washing | None:
    """Images that come back while their keys do not: what separated the two is no mitigation.

    `certified_images` (N,) are certified by content, `predictions` and `keys` are (N, S), `baseline` is the baseline's M.
    None where too few images are certified to convict the row or to be told, max(5, N / 8), or their keys come back as well.
    """
    rows = np.flatnonzero(certified_images)
    least = min(max(3, WASHED_SHARE * len(keys)), max(NOTED, NOTED_SHARE * len(keys)))
    if len(rows) < least:
        return None
    memory = scores.memorization(predictions[rows], keys[rows])
    if memory.limits[1] >= WASHED_MEMORY * baseline:
        return None
    return Washing(len(rows), len(keys), memory, baseline)


def _check_images(images: Array, size: int, name: str) -> None:
    if images.ndim != 2 or not images.size or images.shape[1] != size:
        found, cure = f"{name} of shape {images.shape}", "Crop the marks of all away."
        raise InvalidValue("content.ratios", found, f"(N, {size}), not empty", cure)
    if not np.isfinite(images).all():
        raise InvalidValue("content.ratios", f"{name} with NaN or infinity", "finite pixels", "Look at what made them.")
