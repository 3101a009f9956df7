"""epsilon-hat on mechanisms whose epsilon is known: `python design/one_run_audit.py [runs]` (default 1000).

Prints the tables of design/one_run_audit.md. One core, a few minutes.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from solidmark.metrics import scores
from solidmark.metrics.scores import Array

IMAGES = 256
Answer = Callable[[Array, np.random.Generator], Array]


@dataclass(frozen=True)
class Mechanism:
    """Answers keys, (N, 1), with predictions, (N, 1), and is (epsilon, delta)-DP for replacing one key."""

    name: str
    epsilon: float
    delta: float
    answer: Answer


def heading(*columns: str) -> None:
    """The first two lines of a table."""
    print("\n| " + " | ".join(columns) + " |\n|" + len(columns) * "---|")


def response(cells: int, epsilon: float, delta: float = 0.0) -> Mechanism:
    """K-ary randomized response on the cell of the key; with probability delta it gives the true cell anyway."""

    def answer(keys: Array, rng: np.random.Generator) -> Array:
        honest = delta + (1 - delta) * np.exp(epsilon) / (np.exp(epsilon) + cells - 1)
        cell, others = np.floor(keys * cells), rng.integers(1, cells, keys.shape)
        answered = np.where(rng.random(keys.shape) < honest, cell, (cell + others) % cells)
        return np.asarray((answered + 0.5) / cells)

    return Mechanism(f"response among {cells}" + (" that leaks" if delta else ""), epsilon, delta, answer)


def laplace(epsilon: float) -> Mechanism:
    """The key with Laplace noise of scale 1 / epsilon."""
    return Mechanism(
        "Laplace", epsilon, 0.0, lambda keys, rng: np.clip(keys + rng.laplace(0, 1 / epsilon, keys.shape), 0, 1)
    )


def gaussian(epsilon: float, delta: float) -> Mechanism:
    """The key with the least Gaussian noise that is enough (Balle and Wang, arXiv 1805.06530, sensitivity 1)."""

    def excess(scale: float) -> float:
        near, far = special.ndtr(0.5 / scale - epsilon * scale), special.ndtr(-0.5 / scale - epsilon * scale)
        return float(near - np.exp(epsilon) * far - delta)

    scale = optimize.brentq(excess, 1e-3, 1e3)
    return Mechanism("Gaussian", epsilon, delta, lambda keys, rng: np.clip(keys + rng.normal(0, scale, keys.shape), 0, 1))


def extremal(cells: int, epsilon: float, delta: float) -> Mechanism:
    """The mechanism that attains the bound at the least number of hits that is rejected, but for 1 - 1 / cells of delta.

    P(answer | keys) is proportional to e^(epsilon hits), times 1 + t from that number of hits on.
    """
    tau, alpha, hits = 1 / cells, 0.05 / len(scores.LEVELS), np.arange(IMAGES + 1)
    v = next(v for v in range(1, IMAGES + 1) if scores.one_run_p(v, IMAGES, tau, epsilon, delta) <= alpha)
    law = stats.binom.pmf(hits, IMAGES, special.expit(epsilon + special.logit(tau)))
    rise = IMAGES * delta / (v * law[v])
    law = law * (1 - rise * law[v:].sum() + rise * (hits >= v))

    def answer(keys: Array, rng: np.random.Generator) -> Array:
        right = rng.permutation(IMAGES)[:, None] < rng.choice(hits, p=law / law.sum())
        others = (np.floor(keys * cells) + rng.integers(1, cells, keys.shape)) % cells
        return np.asarray((np.where(right, np.floor(keys * cells), others) + 0.5) / cells)

    return Mechanism(f"extremal among {cells}", epsilon, delta, answer)


def mechanisms() -> Iterator[Mechanism]:
    """Pure ones, then those with a delta."""
    yield from (response(cells, epsilon) for cells, epsilon in ((16, 1.0), (16, 3.0), (256, 6.0), (65536, 12.0)))
    yield from (laplace(epsilon) for epsilon in (1.0, 10.0, 50.0))
    yield from (gaussian(epsilon, delta) for delta in (1e-5, 1e-3) for epsilon in (1.0, 10.0, 50.0))
    yield from (response(cells, e, d) for d in (1e-5, 1e-3) for cells, e in ((65536, 1.0), (256, 6.0), (65536, 12.0)))
    yield from (extremal(cells, epsilon, 1e-3) for cells, epsilon in ((16, 1.0), (256, 4.0), (65536, 12.0)))


def coverage(runs: int) -> None:
    """How often epsilon-hat is at most epsilon, and how far below it stays."""
    heading(f"{runs} runs, {IMAGES} keys", "ε", "δ", "ε̂ ≤ ε", "median ε̂", "ε̂ ≤ ε, δ ignored")
    for mechanism in mechanisms():
        rng = np.random.default_rng(0)
        drawn = [rng.uniform(size=(IMAGES, 1)) for _ in range(runs)]
        p = [scores.p_values(mechanism.answer(keys, rng), keys)[:, 0] for keys in drawn]
        bounds = np.array([scores.epsilon(each, delta=mechanism.delta) for each in p])
        pure = np.array([scores.epsilon(each) for each in p])
        covers = f"{100 * (bounds <= mechanism.epsilon).mean():.1f} % | {np.median(bounds):.2f}"
        ignored = f"{100 * (pure <= mechanism.epsilon).mean():.1f} %"
        print(f"| {mechanism.name} | {mechanism.epsilon:g} | {mechanism.delta:g} | {covers} | {ignored} |")


def literature(hits: int, count: int, tau: float, epsilon: float, delta: float, factor: float) -> float:
    """The formula of arXiv 2305.08846: P[W >= v] + factor N delta max_i P[v - i <= W < v] / i; there the factor is 2."""
    law = stats.binom(count, special.expit(epsilon + special.logit(tau)))
    steps = np.arange(1, hits + 1)
    return float(law.sf(hits - 1) + factor * count * delta * ((law.cdf(hits - 1) - law.cdf(hits - steps - 1)) / steps).max())


def share_of_delta(count: int, hits: int) -> tuple[float, float]:
    """What delta adds, in units of N delta, where P[W >= v] is 1 / 60: ours for keys in cells, and factor 1."""
    q, delta, tau = float(stats.beta.ppf(1 / 60, hits, count - hits + 1)), 1e-6, 1e-9
    epsilon = float(special.logit(q) - special.logit(tau))
    without = scores.one_run_p(hits, count, tau, epsilon)
    ours = scores.one_run_p(hits, count, tau, epsilon, delta) - without
    return ours / count / delta, (literature(hits, count, tau, epsilon, delta, 1) - without) / count / delta


def formulas() -> None:
    """What delta adds to the p-value: the exact maximum and the formula of the literature."""
    heading("images", "found", "exact", "formula, factor 1", "exact / factor 1")
    for count in (64, 256):
        for hits in (2, count // 16, count // 4, count // 2, 3 * count // 4, count):
            ours, theirs = share_of_delta(count, hits)
            print(f"| {count} | {hits} | {ours:.4f} | {theirs:.4f} | {ours / theirs:.2f} |")
    ratios = [np.divide(*share_of_delta(count, v)) for count in (16, 64, 256, 1024) for v in range(1, count + 1)]
    print(f"\nexact / factor 1 over all shares of 16, 64, 256, 1024 images: {min(ratios):.3f} to {max(ratios):.3f}")
    bulk = literature(1, 10, 0.5, 0.0, 1 / 1023, 2), scores.one_run_p(1, 10, 0.5, 0.0, 1 / 1023)
    print(
        f"10 coins, at least one guessed, epsilon 0, delta 1/1023: formula with factor 2 {bulk[0]:.6f}, exact {bulk[1]:.6f}"
    )


def loss(bound: Callable[[float], float]) -> float:
    """The largest epsilon that a bound rejects at 1 / 60."""
    return 0.0 if bound(0.0) > 1 / 60 else float(optimize.brentq(lambda epsilon: bound(epsilon) - 1 / 60, 0.0, 30.0))


def losses() -> None:
    """epsilon-hat at the finest level by the exact bound and by the formula of the literature."""
    tau = scores.LEVELS[-1]
    heading("images", "found at 1/65536", "δ", "ε̂ exact", "ε̂ by the formula, factor 2")
    for count, hits in ((64, 64), (64, 32), (256, 256), (256, 64)):
        for delta in (0.0, 1e-5, 1e-3, 5e-3):
            ours = loss(lambda e: scores.one_run_p(hits, count, tau, e, delta))  # noqa: B023  # called at once
            theirs = loss(lambda e: literature(hits, count, tau, e, delta, 2))  # noqa: B023  # the same
            print(f"| {count} | {hits} | {delta:g} | {ours:.2f} | {theirs:.2f} |")


def main() -> None:
    """All tables."""
    coverage(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    formulas()
    losses()


if __name__ == "__main__":
    main()
