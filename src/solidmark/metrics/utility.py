"""Utility: what a mitigation costs, measured on plain generation with the mark cropped away.

The judge is trained on unmarked real images that no one trains on or asks for. Sources: GANs Trained by
a Two Time-Scale Update Rule (arXiv 1706.08500) for the Fréchet distance, Demystifying MMD GANs (arXiv
1801.01401) for the kernel distance, Improved Precision and Recall Metric (arXiv 1904.06991) for diversity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.spatial.distance import cdist

from ..errors import InvalidValue
from .scores import Estimate, Share, proportion

Array = NDArray[np.float64]


class Judge:
    """A small classifier of real images; its hidden layer gives the features of the distances.

    Images are (N, pixels) in [0, 1], labels (N,) integers. `accuracy` on images kept back says how far
    the judge itself can be believed.
    """

    def __init__(self, images: Array, labels: NDArray[np.int64], seed: int = 0) -> None:
        from sklearn.neural_network import MLPClassifier

        kept_back = len(images) // 5
        self._network = MLPClassifier((64,), solver="lbfgs", alpha=0.3, max_iter=200, random_state=seed)
        self._fit(images[kept_back:], labels[kept_back:])
        self.accuracy = float((self.classify(images[:kept_back]) == labels[:kept_back]).mean())

    def _fit(self, images: Array, labels: NDArray[np.int64]) -> None:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn's own, no types

        # A fixed number of passes is meant; on vectors this short, threads cost a hundred times what they save.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._network.fit(images, labels)

    def classify(self, images: Array) -> NDArray[np.int64]:
        """(N,) labels."""
        return np.asarray(self._network.predict(images))

    def features(self, images: Array) -> Array:
        """(N, 64) activations of the hidden layer."""
        return np.asarray(np.maximum(images @ self._network.coefs_[0] + self._network.intercepts_[0], 0.0))


@dataclass(frozen=True)
class Distance:
    """A distance between generated and real images beside the same between two real halves, its floor."""

    value: float
    real: float


@dataclass(frozen=True)
class Utility:
    """Prompt adherence (None where nothing is asked for), fidelity and diversity of plain generation."""

    accuracy: Share | None
    frechet: Distance
    kernel: Distance
    diversity: Share
    diversity_real: float
    judge_accuracy: float


def measure(
    generated: Array,
    labels: NDArray[np.int64] | None,
    real: Array,
    other_real: Array,
    judge: Judge,
    refused: NDArray[np.bool_] | None = None,
) -> Utility:
    """Utility of generated images, (N, pixels) in [0, 1], that were asked to show `labels`; None if nothing was asked.

    `real` are the held-out images that distances are taken to; `other_real` are as many more, whose
    distance to them is the floor. `refused`, (N,), are blank images: they show no class, whatever the judge says, and
    count as any other image for the distances. Chance of the accuracy is one in the number of classes. Raises InvalidValue
    for fewer than 16 images of a kind.
    """
    if labels is not None and len(generated) != len(labels):
        found, cure = f"{len(generated)} images, {len(labels)} labels", "Generate one image a label."
        raise InvalidValue("utility.measure", found, "equal counts", cure)
    drawn, truth, floor = (judge.features(images) for images in (generated, real, other_real))
    covered, covered_real = (recall(truth, sample) for sample in (drawn, floor))
    return Utility(
        accuracy=None if labels is None else _accuracy(judge.classify(generated), labels, refused),
        frechet=Distance(frechet(drawn, truth), frechet(floor, truth)),
        kernel=Distance(kernel(drawn, truth).value, kernel(floor, truth).value),
        diversity=proportion(int(covered.sum()), len(truth), chance=0.0),
        diversity_real=float(covered_real.mean()),
        judge_accuracy=judge.accuracy,
    )


def _accuracy(shown: NDArray[np.int64], labels: NDArray[np.int64], refused: NDArray[np.bool_] | None) -> Share:
    right = shown == labels if refused is None else (shown == labels) & ~refused
    return proportion(int(right.sum()), len(labels), chance=1 / len(np.unique(labels)))


def frechet(one: Array, other: Array) -> float:
    """‖m - m'‖² + tr(C + C' - 2 (C C')^½) of two feature sets, (N, D) each; 0 for equal Gaussians."""
    _features(one, other, 2, "utility.frechet")
    c, d = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (one, other))
    roots = np.sqrt(linalg.eigvals(c @ d).real.clip(min=0))  # a product of covariances has real eigenvalues >= 0
    apart = one.mean(axis=0) - other.mean(axis=0)
    return float(max(apart @ apart + np.trace(c) + np.trace(d) - 2 * roots.sum(), 0.0))


def kernel(one: Array, other: Array, blocks: int = 8) -> Estimate:
    """Unbiased squared MMD with the kernel (x·y / D + 1)³, and a t interval over `blocks` disjoint blocks.

    0 in expectation for equal distributions, and so slightly negative at times. Raises InvalidValue for
    fewer than two images a block.
    """
    _features(one, other, 2 * blocks, "utility.kernel")
    rng = np.random.default_rng(0)
    pairs = zip(
        np.array_split(rng.permutation(len(one)), blocks), np.array_split(rng.permutation(len(other)), blocks), strict=True
    )
    values = np.array([_mmd(one[a], other[b]) for a, b in pairs])
    from scipy import stats

    value, error = _mmd(one, other), float(values.std(ddof=1) / np.sqrt(blocks))
    margin = float(stats.t.ppf(0.975, blocks - 1)) * error
    return Estimate(value, value - margin, value + margin, error)


def _mmd(one: Array, other: Array) -> float:
    def gram(a: Array, b: Array) -> Array:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    n, m = len(one), len(other)
    within = (gram(one, one).sum() - np.trace(gram(one, one))) / (n * (n - 1))
    within_other = (gram(other, other).sum() - np.trace(gram(other, other))) / (m * (m - 1))
    return float(within + within_other - 2 * gram(one, other).mean())


def recall(real: Array, generated: Array, neighbours: int = 3) -> NDArray[np.bool_]:
    """Which real images, (N,), lie within a generated image's distance to its `neighbours`-th generated neighbour."""
    _features(real, generated, 2, "utility.recall")
    radius = np.sort(cdist(generated, generated), axis=1)[:, min(neighbours, len(generated) - 1)]
    return np.asarray((cdist(real, generated) <= radius).any(axis=1))


def _features(one: Array, other: Array, least: int, place: str) -> None:
    if min(len(one), len(other)) < least:
        raise InvalidValue(place, f"{len(one)} and {len(other)} images", f"at least {least}", "Generate more images.")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise InvalidValue(place, "NaN or infinity", "finite features", "Mend what made the images.")
