"""Simulations of what the page on the score proves: models that know nothing, and models that know some images.

python docs/simulate.py
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solidmark.metrics import scores

IMAGES, KEYS, RUNS, RATE = 64, 8, 400, 0.05


@dataclass(frozen=True)
class Outcome:
    """Means over models: p-values up to 0.05, models with any false certificate, false certificates, found images.

    `m` is M, `covered` the share of models whose interval of M holds 0.
    """

    small: float
    any_false: float
    false_share: float
    found: float
    m: float
    covered: float


def predictions(kind: str, keys: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a model answers that does not know the keys: noise, one gray, the image's own brightness, or near the edge."""
    shape = keys.shape
    return {
        "noise": lambda: rng.random(shape),
        "one gray": lambda: np.full(shape, 0.5) + 1e-6 * rng.random(shape),
        "the image's brightness": lambda: np.repeat(rng.beta(2, 5, (len(keys), 1)), shape[1], axis=1),
        "black or white": lambda: rng.integers(0, 2, shape).astype(float),
    }[kind]()


def simulate(kind: str, remembered: int = 0, noise: float = 0.1, runs: int = RUNS, seed: int = 0) -> Outcome:
    """Models that answer as `kind`, but for `remembered` images whose keys they give back with Gaussian noise."""
    rng = np.random.default_rng(seed)
    p_values, falses, shares, founds, ms = [], [], [], [], []
    for _ in range(runs):
        keys = rng.random((IMAGES, KEYS))
        answers = predictions(kind, keys, rng)
        answers[:remembered] = np.clip(keys[:remembered] + noise * rng.standard_normal((remembered, KEYS)), 0, 1)
        p = scores.p_values(answers, keys)
        certified = scores.certified(scores.combine(p), RATE)
        false = int(certified[remembered:].sum())
        p_values.append(p[remembered:].ravel())
        falses.append(false > 0)
        shares.append(false / max(int(certified.sum()), 1))
        founds.append(certified[:remembered].mean() if remembered else np.nan)
        ms.append(scores.memorization(answers, keys))
    covered = np.mean([m.limits[0] <= 0 <= m.limits[1] for m in ms]) if not remembered else np.nan
    small = np.concatenate(p_values)
    return Outcome(
        float((small <= RATE).mean()) if small.size else np.nan,
        float(np.mean(falses)),
        float(np.mean(shares)),
        float(np.mean(founds)),
        float(np.mean([m.value for m in ms])),
        float(covered),
    )


WORLDS = (
    ("noise", 0, 0.0),
    ("one gray", 0, 0.0),
    ("the image's brightness", 0, 0.0),
    ("black or white", 0, 0.0),
    ("noise", 8, 0.05),
    ("noise", 8, 0.15),
    ("noise", 32, 0.15),
    ("noise", 64, 0.05),
)
"""What the others answer, how many of 64 images are remembered, and with how much noise."""


def table() -> str:
    """The simulations as a table of Markdown."""
    columns = (
        "answers, remembered, noise, p ≤ 0.05 of the others, any false, false of certified, found, M, interval of M holds 0"
    )
    lines = [f"| {' | '.join(columns.split(', '))} |", "|---" * 9 + "|"]
    for kind, remembered, noise in WORLDS:
        found = simulate(kind, remembered, noise)
        numbers = (found.small, found.any_false, found.false_share, found.found, found.m, found.covered)
        shown = ["–" if np.isnan(number) else f"{number + 0.0:.3f}" for number in numbers]
        lines.append(f"| {kind} | {remembered} of {IMAGES} | {noise:g} | {' | '.join(shown)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
