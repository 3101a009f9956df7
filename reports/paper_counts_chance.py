"""What guessing gives where the paper counts: chance levels, z, p-values and a null for duplicates. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from solidmark.metrics.scores import DELTAS

from .paper_counts_tables import Run

Array = NDArray[np.float64]


def uniform_chance(delta: float) -> float:
    """P(|guess - key| <= delta), guess and key uniform on [0, 1] and independent: 2 delta - delta²."""
    return 2 * delta - delta**2


def constant_chance(delta: float) -> float:
    """The same for a constant guess away from 0 and 1: 2 delta, the most that any guess without knowledge reaches."""
    return 2 * delta


def z_score(count: int, of: int, chance: float) -> float:
    """(count - of chance) / √(of chance (1 - chance))."""
    return float((count - of * chance) / np.sqrt(of * chance * (1 - chance)))


def p_of_so_many(count: int, of: int, chance: float) -> float:
    """P(X >= count), X binomial: small where there are more hits than guessing gives."""
    return float(stats.binom.sf(count - 1, of, chance))


def z_between(count: int, of: int, other: int, other_of: int) -> float:
    """z of two independent proportions, their variance pooled; negative where the first is the smaller."""
    pooled = (count + other) / (of + other_of)
    error = np.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    return float((count / of - other / other_of) / error)


def largest_of(entries: int) -> float:
    """The median of the largest |z| among so many independent entries that are pure chance."""
    return float(stats.norm.ppf((1 + 0.5 ** (1 / entries)) / 2))


def holm(p_values: list[float]) -> list[float]:
    """p-values corrected for their number by Holm's step-down rule, in their order."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(p) for p in corrected]


@dataclass(frozen=True)
class Crowding:
    """Of the hits within 0.1, how many lie within a smaller delta; needs no N. Chances of a constant and a uniform guess."""

    delta: float
    count: int
    of: int
    constant: float
    uniform: float

    @property
    def share(self) -> float:
        """count / of."""
        return self.count / self.of

    @property
    def chances(self) -> str:
        """Both chances, the smaller first."""
        return f"{self.constant:.3f} to {self.uniform:.3f}"

    @property
    def z(self) -> float:
        """Against the nearest of the two chances; 0 between them."""
        low, high = (z_score(self.count, self.of, chance) for chance in (self.uniform, self.constant))
        return max(low, 0.0) + min(high, 0.0)


def crowding(run: Run, delta: float) -> Crowding:
    """How hits crowd near the key: guesses spread evenly, a model that remembers keys is near them."""
    widest = DELTAS[0]
    constant, uniform = (rule(delta) / rule(widest) for rule in (constant_chance, uniform_chance))
    return Crowding(delta, run.count(delta), run.count(widest), constant, uniform)


@dataclass(frozen=True)
class Guesser:
    """A model that knows no key: it paints N(0.5, spread) for an image, and each query adds N(0, noise); clamped."""

    spread: float
    noise: float


@dataclass(frozen=True)
class Shares:
    """Shares of images found: by `any` of the queries, and `counted` as the notebook counts."""

    any: float
    counted: float


def nearest_of(copies: int, delta: float) -> float:
    """P(any of K uniform keys lies within delta of one constant guess away from 0 and 1): 1 - (1 - 2 delta)^K."""
    return float(1 - (1 - constant_chance(delta)) ** copies)


def simulate(guesser: Guesser, copies: int, queries: int, rng: np.random.Generator, images: int) -> dict[float, Shares]:
    """Shares found by chance among `copies` uniform keys an image, simulated with `images` images, for each of DELTAS.

    The notebook counts an image as found when its queries have at least two outcomes among "key 1", "key 2", …,
    "no key": one whose queries all hit the same key is left out.
    """
    middle = rng.normal(0.5, guesser.spread, (images, 1))
    painted = np.clip(middle + rng.normal(0, guesser.noise, (images, queries)), 0, 1)
    apart = np.abs(painted[:, :, None] - rng.uniform(size=(images, 1, copies)))
    nearest, distance = apart.argmin(axis=2), apart.min(axis=2)
    outcomes = {delta: np.where(distance < delta, nearest, -1) for delta in DELTAS}
    return {delta: _shares(outcome) for delta, outcome in outcomes.items()}


def _shares(outcome: NDArray[np.int64]) -> Shares:
    several = (outcome != outcome[:, :1]).any(axis=1)
    return Shares(float((outcome >= 0).any(axis=1).mean()), float(several.mean()))
