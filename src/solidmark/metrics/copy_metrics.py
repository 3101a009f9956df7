"""Copy metrics: those of the field on generated images, to be compared with the keys. Pure functions.

Everywhere images are (N, C, H, W) in [0, 1]; `generated[i]` answers the caption of `content[i]`, and `training` are
the images that were trained on. A distance is (N,) and smaller means nearer. Sources: Carlini et al., Extracting
Training Data from Diffusion Models (arXiv 2301.13188) for the calibrated l2; Somepalli et al., Diffusion Art or
Digital Forgery? (arXiv 2212.03860) for features and percentiles; the perceptual hash is that of the library imagehash.

A distance has no chance level of its own, so it is compared with the same distance of held-out images;
`discrimination` says how far the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import cdist

from ..errors import InvalidValue
from ..schema.numbers import Estimate, Share
from . import scores
from .features import Features
from .scores import Array

NEIGHBOURS = 50
"""The most training images that calibrate a distance, as published; of few images a quarter."""

HASH_SIZES = (4, 8)
"""Sides of the perceptual hashes: 16 and 64 bits."""


def l2(generated: Array, content: Array, tile: int | None = None) -> Array:
    """‖generated - content‖ of each pair, (N,); with `tile` the largest of the non-overlapping squares of that side."""
    _check_pairs(generated, content, "copy_metrics.l2")
    apart = _tiles(generated, tile) - _tiles(content, tile)
    return np.asarray(np.linalg.norm(apart, axis=2).max(axis=1))


def calibrated_l2(
    generated: Array, content: Array, training: Array, *, tile: int | None = None, alpha: float = 0.5
) -> Array:
    """l2 to the content over alpha times the mean l2 to the n nearest other training images, (N,).

    Below 1 the content is nearer than alpha times its neighbours are; alpha = 0.5 is as published.
    n = min(50, M // 4) of M training images, nearest to the generated one; those that equal the content in every
    pixel do not count, so that trained and held-out images are judged alike. Every l2 is that of whole images, or
    with `tile` the largest of the non-overlapping squares. Raises InvalidValue for M < 4, and where so many other
    images all equal the generated one.
    """
    _check_pairs(generated, content, "copy_metrics.calibrated_l2")
    _check_training(generated, training, "copy_metrics.calibrated_l2")
    count = min(NEIGHBOURS, len(training) // 4)
    if count < 1:
        cure = "Calibrate with more training images."
        raise InvalidValue("copy_metrics.calibrated_l2", f"{len(training)} training images", "at least 4", cure)
    same = cdist(_flat(content), _flat(training)) == 0
    others = np.where(same, np.inf, _pairwise_l2(generated, training, tile))
    nearest = np.partition(others, count - 1, axis=1)[:, :count].mean(axis=1)
    if not ((nearest > 0) & np.isfinite(nearest)).all():
        found, cure = "neighbours at distance 0, or too few that differ from the content", "Give distinct images."
        raise InvalidValue("copy_metrics.calibrated_l2", found, f"{count} other training images", cure)
    return np.asarray(l2(generated, content, tile) / (alpha * nearest))


def feature_cosine(generated: Array, content: Array, features: Features) -> Array:
    """Cosine of the features of each pair, (N,) in [-1, 1]; the one number here where larger means nearer."""
    _check_pairs(generated, content, "copy_metrics.feature_cosine")
    return np.asarray((_directions(generated, features) * _directions(content, features)).sum(axis=1).clip(-1, 1))


def feature_distances(pictures: Array, images: Array, features: Features) -> Array:
    """1 - cosine of the features of each of P pictures and each of N images, (P, N) in [0, 2]."""
    for each in (pictures, images):
        _check_images(each, "copy_metrics.feature_distances")
    return np.asarray(1 - (_directions(pictures, features) @ _directions(images, features).T).clip(-1, 1))


def perceptual_hash_distance(generated: Array, content: Array, sizes: Sequence[int] = HASH_SIZES) -> Array:
    """Share of differing bits of each pair's perceptual hashes, (N,) in [0, 1], averaged over hash `sizes`.

    pHash: the lowest `size` x `size` frequencies of the grayscale image, each larger than their median or not. About
    0.5 for images that have nothing in common.
    """
    _check_pairs(generated, content, "copy_metrics.perceptual_hash_distance")
    if not sizes or min(sizes) < 2:
        raise InvalidValue(
            "copy_metrics.perceptual_hash_distance", f"sizes {tuple(sizes)}", "sides of 2 or more", "Correct them."
        )
    pairs = zip(*([_hashes(image, sizes) for image in images] for images in (generated, content)), strict=True)
    return np.array([np.mean([(a != b).mean() for a, b in zip(*pair, strict=True)]) for pair in pairs])


def perceptual_hash_distances(pictures: Array, images: Array, sizes: Sequence[int] = HASH_SIZES) -> Array:
    """The same of each of P pictures and each of N images, (P, N)."""
    for each in (pictures, images):
        _check_images(each, "copy_metrics.perceptual_hash_distances")
    left, right = ([_hashes(image, sizes) for image in each] for each in (pictures, images))
    apart = [cdist(_bits(left, index), _bits(right, index), "hamming") for index in range(len(sizes))]
    return np.asarray(np.mean(apart, axis=0))


def dcr(generated: Array, training: Array, features: Features | None = None) -> Array:
    """Distance to the closest training image, whichever it is, (N,): l2, or 1 - cosine of `features`."""
    _check_images(generated, "copy_metrics.dcr")
    _check_training(generated, training, "copy_metrics.dcr")
    if features is None:
        return np.asarray(cdist(_flat(generated), _flat(training)).min(axis=1))
    return np.asarray(1 - (_directions(generated, features) @ _directions(training, features).T).max(axis=1).clip(-1, 1))


@dataclass(frozen=True)
class Percentile:
    """A percentile of `count` distances with its interval; `chance` is the same percentile of images that no model made.

    `high` is None where there are too few images for an upper limit.
    """

    value: float
    low: float
    high: float | None
    chance: float
    count: int


def dcr_percentile(distances: Array, real: Array, share: float = 0.05, confidence: float = 0.95) -> Percentile:
    """The distance below which a `share` of the generated images lies, and the same of held-out `real` ones.

    `distances` and `real` are (N,) and (M,), both from `dcr`. The 5th percentile of distances is the 95th of
    similarities, as it is published. Interval: order statistics (binomial), which hold for any distribution. A
    percentile hides what lies beyond it: a few copies among many images do not move it.
    """
    for values in (distances, real):
        _check_finite(values, 2, "copy_metrics.dcr_percentile")
    if not 0 < share < 1:
        raise InvalidValue("copy_metrics.dcr_percentile", f"share={share}", "a number in (0, 1)", "Published: 0.05.")
    ordered, count = np.sort(distances), len(distances)
    low, high = (int(stats.binom.ppf(tail, count, share)) for tail in ((1 - confidence) / 2, (1 + confidence) / 2))
    limits = float(ordered[low - 1]) if low else 0.0, float(ordered[high]) if high < count else None
    value, chance = (float(np.quantile(values, share)) for values in (distances, real))
    return Percentile(value, *limits, chance, count)


@dataclass(frozen=True)
class Discrimination:
    """How well a distance separates trained from held-out images: AUROC (chance 0.5) and TPR at 1 % FPR."""

    auroc: Estimate
    tpr_at_1_fpr: Share


def discrimination(trained: Array, held_out: Array) -> Discrimination:
    """AUROC and TPR at 1 % FPR of distances, (N,) and (M,), where smaller means trained; intervals as in `scores`."""
    return Discrimination(scores.auroc(trained, held_out), scores.true_positive_rate(trained, held_out))


@dataclass(frozen=True)
class Correlation:
    """A rank correlation of `count` pairs with its interval, chance 0; without a value there is a `reason`."""

    value: float | None
    low: float | None
    high: float | None
    count: int
    reason: str | None = None


def rank_correlation(x: Array, y: Array, confidence: float = 0.95) -> Correlation:
    """Spearman's rank correlation of paired numbers, (N,) each, with the Fisher-z interval of Bonett and Wright (2000).

    Standard error √((1 + r² / 2) / (N - 3)) on the scale of artanh r. Perfect agreement has an interval
    too: that of one exchanged pair of neighbours. No value where either side is constant. Raises
    InvalidValue for N < 4 and unequal lengths.
    """
    for values in (x, y):
        _check_finite(values, 4, "copy_metrics.rank_correlation")
    if len(x) != len(y):
        found = f"{len(x)} and {len(y)} numbers"
        raise InvalidValue("copy_metrics.rank_correlation", found, "pairs", "Give both for the same images.")
    count = len(x)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(None, None, None, count, "constant: it orders no images")
    value = float(stats.spearmanr(x, y).statistic)
    almost = 1 - 12 / (count * (count**2 - 1))  # two neighbouring ranks exchanged
    clipped = float(np.clip(value, -almost, almost))
    margin = stats.norm.ppf((1 + confidence) / 2) * np.sqrt((1 + clipped**2 / 2) / (count - 3))
    low, high = np.tanh(np.arctanh(clipped) + np.array([-margin, margin])).tolist()
    return Correlation(value, min(low, value), max(high, value), count)


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1)


def _tiles(images: Array, tile: int | None) -> Array:
    """(N, tiles, pixels of one); one tile where `tile` is None."""
    if tile is None:
        return _flat(images)[:, None]
    count, channels, height, width = images.shape
    if tile < 1 or height % tile or width % tile:
        found, cure = f"tile={tile} for images of {height} x {width}", "Choose a divisor of both sides."
        raise InvalidValue("copy_metrics", found, "squares that fill the image", cure)
    cut = images.reshape(count, channels, height // tile, tile, width // tile, tile)
    return np.asarray(cut.transpose(0, 2, 4, 1, 3, 5).reshape(count, -1, channels * tile**2))


def _pairwise_l2(generated: Array, training: Array, tile: int | None) -> Array:
    """l2 of every generated image to every training image, (N, M)."""
    left, right = _tiles(generated, tile), _tiles(training, tile)
    return np.asarray(np.max([cdist(left[:, index], right[:, index]) for index in range(left.shape[1])], axis=0))


def _directions(images: Array, features: Features) -> Array:
    """Features of length 1, (N, D)."""
    vectors = np.asarray(features(images), dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(vectors).all() and (length > 0).all()):
        raise InvalidValue(
            "copy_metrics, features", "all zero, NaN or infinity", "a direction for each image", "Choose others."
        )
    return np.asarray(vectors / length)


def _hashes(image: Array, sizes: Sequence[int]) -> list[NDArray[np.bool_]]:
    """The perceptual hashes of an image, (C, H, W), one for each size."""
    import imagehash
    from PIL import Image

    levels = (image * 255).round().astype(np.uint8)
    picture = Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0))
    return [np.asarray(imagehash.phash(picture, hash_size=size).hash) for size in sizes]


def _bits(hashes: Sequence[Sequence[NDArray[np.bool_]]], index: int) -> Array:
    """One hash of every image, (N, bits)."""
    return np.array([each[index].ravel() for each in hashes], dtype=np.float64)


def _check_pairs(generated: Array, content: Array, where: str) -> None:
    _check_images(generated, where)
    _check_images(content, where)
    if generated.shape != content.shape:
        found, cure = f"generated {generated.shape}, content {content.shape}", "Pair every image with what it answers."
        raise InvalidValue(where, found, "equal shapes", cure)


def _check_training(generated: Array, training: Array, where: str) -> None:
    _check_images(training, where)
    if generated.shape[1:] != training.shape[1:]:
        found, cure = f"generated {generated.shape}, training {training.shape}", "Crop the marks of both away."
        raise InvalidValue(where, found, "images of one size", cure)


def _check_images(images: Array, where: str) -> None:
    if images.ndim != 4 or not images.size:
        raise InvalidValue(where, f"shape {images.shape}", "images, (N, C, H, W), not empty", "Keep the four axes.")
    if not ((images >= 0) & (images <= 1)).all():
        raise InvalidValue(where, "pixels outside [0, 1] or NaN", "pixels in [0, 1]", "Scale or clamp them.")


def _check_finite(values: Array, least: int, where: str) -> None:
    if values.ndim != 1 or len(values) < least or not np.isfinite(values).all():
        found = f"shape {values.shape}" if np.isfinite(values).all() else "NaN or infinity"
        raise InvalidValue(where, found, f"at least {least} finite numbers, (N,)", "Measure more images.")
