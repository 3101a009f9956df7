"""Curves for tests of the matched comparison: valid, with numbers of one's choice, without any record."""

from __future__ import annotations

import numpy as np

from solidmark.leaderboard.curves import Curve, Point

LOSSES, MEMORIES = (0.0, 0.05, 0.1, 0.3), (0.8, 0.6, 0.4, 0.1)
Numbers = tuple[float, ...]


def curve(
    family: str, memories: Numbers = MEMORIES, losses: Numbers = LOSSES, seeds: int = 8, noise: float = 0.0, seed: int = 0
) -> Curve:
    """A family of the training stage, the reference where it is called so; noise moves every setting of a seed."""
    drawn = noise * np.random.default_rng(seed).standard_normal((len(losses), seeds))
    points = tuple(
        Point(f"{family}({x})", (x,) * seeds, tuple(m + d)) for x, m, d in zip(losses, memories, drawn, strict=True)
    )
    reference = family == "reference"
    return Curve(family, "training", reference, reference, "accuracy", "worst", tuple(range(seeds)), points)
