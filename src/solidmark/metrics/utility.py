"""Utility: what a mitigation costs, measured on plain generation with the mark cropped away.

The judge is trained on unmarked real images that are neither trained on nor queried. Sources: GANs Trained by
a Two Time-Scale Update Rule (arXiv 1706.08500) for the Fréchet distance, Demystifying MMD GANs (arXiv
1801.01401) for the kernel distance, Improved Precision and Recall Metric (arXiv 1904.06991) for diversity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.spatial.distance import cdist

from ..errors import InvalidValue
from ..schema.numbers import Estimate, Share
from ..schema.record import UtilityBlock, UtilityNumbers, WorkBlock
from . import scoring
from .given_judge import GivenJudge
from .scores import Array, proportion, t_interval


class Judge:
    """A small classifier of real images; its hidden layer gives the features of the distances.

    Images are (N, pixels) in [0, 1], labels (N,) integers. `accuracy` on a fifth of the images,
    which it does not learn from, says how far the judge itself can be believed. Of images of a `shape`, (C, H, W), it may
    see thumbnails alone: the means of blocks of `block` pixels a side.
    """

    def __init__(
        self,
        images: Array,
        labels: NDArray[np.int64],
        seed: int = 0,
        *,
        shape: tuple[int, int, int] | None = None,
        block: int = 1,
    ) -> None:
        from sklearn.neural_network import MLPClassifier

        self._shape, self._block = shape, block
        validation = len(images) // 5
        self._network = MLPClassifier((64,), solver="lbfgs", alpha=0.3, max_iter=200, random_state=seed)
        self._fit(images[validation:], labels[validation:])
        self.accuracy = float((self.classify(images[:validation]) == labels[:validation]).mean())

    def _fit(self, images: Array, labels: NDArray[np.int64]) -> None:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn's own, no types

        # A fixed number of passes is meant; on vectors this short, threads cost a hundred times what they save.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._network.fit(self._seen(images), labels)

    def _seen(self, images: Array) -> Array:
        """What it sees of flat images, (N, pixels) or (N, pixels / block²)."""
        if self._block == 1 or self._shape is None:
            return images
        channels, height, width = self._shape
        blocks = images.reshape(-1, channels, height // self._block, self._block, width // self._block, self._block)
        return np.asarray(blocks.mean(axis=(3, 5))).reshape(len(images), -1)

    def classify(self, images: Array) -> NDArray[np.int64]:
        """(N,) labels."""
        return np.asarray(self._network.predict(self._seen(images)))

    def features(self, images: Array) -> Array:
        """(N, 64) activations of the hidden layer."""
        return np.asarray(np.maximum(self._seen(images) @ self._network.coefs_[0] + self._network.intercepts_[0], 0.0))


@dataclass(frozen=True)
class Utility:
    """Prompt adherence (None where nothing is asked for), fidelity and diversity of plain generation.

    `frechet` and `kernel` are distances between generated and real images; `frechet_real` and `kernel_real` are the
    same between two halves of real ones, their floor.
    """

    accuracy: Share | None
    frechet: float
    frechet_real: float
    kernel: float
    kernel_real: float
    diversity: Share
    diversity_real: float
    judge_accuracy: float | None
    clip: float | None = None
    clip_real: float | None = None


def measure(
    generated: Array,
    labels: NDArray[np.int64] | None,
    real: Array,
    other_real: Array,
    judge: Judge | GivenJudge,
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
        frechet=frechet(drawn, truth),
        frechet_real=frechet(floor, truth),
        kernel=kernel(drawn, truth).value,
        kernel_real=kernel(floor, truth).value,
        diversity=proportion(int(covered.sum()), len(truth), chance=0.0),
        diversity_real=float(covered_real.mean()),
        judge_accuracy=judge.accuracy,
    )


def least(ways: Sequence[Utility]) -> Utility:
    """The least useful of several ways to generate, each number by itself: what a mitigation can be relied on for."""
    shares = [one.accuracy for one in ways if one.accuracy is not None]
    return replace(
        ways[0],
        accuracy=min(shares, key=_value) if len(shares) == len(ways) else None,
        frechet=max(one.frechet for one in ways),
        kernel=max(one.kernel for one in ways),
        diversity=min((one.diversity for one in ways), key=_value),
        clip=min((one.clip for one in ways if one.clip is not None), default=None),
    )


def _value(share: Share) -> float:
    return share.count / share.of


def as_block(ways: Mapping[str, Utility], work: Mapping[str, WorkBlock]) -> UtilityBlock:
    """The `utility` block of a record: the least of all ways to generate, then each by its name, with its `work`."""
    worst = least(list(ways.values()))
    return {
        **_numbers(worst),
        "diversity_real": worst.diversity_real,
        "judge_accuracy": worst.judge_accuracy,
        "ways": {name: {**_numbers(one), "evaluations": work[name]} for name, one in ways.items()},
    }


def _numbers(utility: Utility) -> UtilityNumbers:
    numbers: UtilityNumbers = {
        "accuracy": None if utility.accuracy is None else scoring.share(utility.accuracy),
        "frechet": {"value": utility.frechet, "real": utility.frechet_real},
        "kernel": {"value": utility.kernel, "real": utility.kernel_real},
        "diversity": scoring.share(utility.diversity),
    }
    if utility.clip is None or utility.clip_real is None:
        return numbers
    return {**numbers, "clip": {"value": utility.clip, "real": utility.clip_real}}


def _accuracy(shown: NDArray[np.int64], labels: NDArray[np.int64], refused: NDArray[np.bool_] | None) -> Share:
    right = shown == labels if refused is None else (shown == labels) & ~refused
    return proportion(int(right.sum()), len(labels), chance=1 / len(np.unique(labels)))


def frechet(x: Array, y: Array) -> float:
    """‖m - m'‖² + tr(C + C' - 2 (C C')^½) of two feature sets, (N, D) each; 0 for equal Gaussians."""
    _check_features(x, y, 2, "utility.frechet")
    apart = x.mean(axis=0) - y.mean(axis=0)
    if x.shape[1] > max(len(x), len(y)):
        return float(max(apart @ apart + _spread(x, y), 0.0))
    c, d = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (x, y))
    roots = np.sqrt(linalg.eigvals(c @ d).real.clip(min=0))  # a product of covariances has real eigenvalues >= 0
    return float(max(apart @ apart + np.trace(c) + np.trace(d) - 2 * roots.sum(), 0.0))


def _spread(x: Array, y: Array) -> float:
    """tr(C + C' - 2 (C C')^½) of more features than images: the root has the singular values of X X'ᵀ for its trace."""
    a, b = ((one - one.mean(axis=0)) / np.sqrt(len(one) - 1) for one in (x, y))
    return float(np.square(a).sum() + np.square(b).sum() - 2 * linalg.svdvals(a @ b.T).sum())


def kernel(x: Array, y: Array, blocks: int = 8) -> Estimate:
    """Unbiased squared MMD with the kernel (x·y / D + 1)³, and a t interval over `blocks` disjoint blocks.

    0 in expectation for equal distributions, and so slightly negative at times. Raises InvalidValue for
    fewer than two images a block.
    """
    _check_features(x, y, 2 * blocks, "utility.kernel")
    rng = np.random.default_rng(0)
    pairs = zip(
        np.array_split(rng.permutation(len(x)), blocks), np.array_split(rng.permutation(len(y)), blocks), strict=True
    )
    values = np.array([_mmd(x[a], y[b]) for a, b in pairs])
    return t_interval(_mmd(x, y), float(values.std(ddof=1) / np.sqrt(blocks)), blocks - 1)


def _mmd(x: Array, y: Array) -> float:
    def gram(a: Array, b: Array) -> Array:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    n, m = len(x), len(y)
    within_x = (gram(x, x).sum() - np.trace(gram(x, x))) / (n * (n - 1))
    within_y = (gram(y, y).sum() - np.trace(gram(y, y))) / (m * (m - 1))
    return float(within_x + within_y - 2 * gram(x, y).mean())


def recall(real: Array, generated: Array, neighbours: int = 3) -> NDArray[np.bool_]:
    """Which real images, (N,), lie within a generated image's distance to its `neighbours`-th generated neighbour."""
    _check_features(real, generated, 2, "utility.recall")
    radius = np.sort(cdist(generated, generated), axis=1)[:, min(neighbours, len(generated) - 1)]
    return np.asarray((cdist(real, generated) <= radius).any(axis=1))


def _check_features(x: Array, y: Array, least: int, where: str) -> None:
    if min(len(x), len(y)) < least:
        raise InvalidValue(where, f"{len(x)} and {len(y)} images", f"at least {least}", "Generate more images.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidValue(where, "NaN or infinity", "finite features", "Correct what made the images.")
