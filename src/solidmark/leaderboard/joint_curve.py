"""Joint curve: what a family remembers by the worse of both yardsticks, by one choice of settings for both.

    worse(l) = min over coins of settings that lose at most l of  max(keys, content)
             = max over share in [0, 1] of  the frontier at l of  share * keys + (1 - share) * content

by the minimax theorem. Two frontiers alone would let a family take the keys at one setting and the content at another.
Keys (M*) and content (2 AUROC - 1) are 0 at chance and 1 where everything comes back; in between their scales differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .curves import Curve, Point
from .paired import Array

BOTH = "both"
"""The measure of a joint curve."""

SHARES = np.linspace(0.0, 1.0, 21).tolist()
"""Weights of keys at which the worse of both is searched."""

EMPTY = Curve("", "", False, False, "", "")


@dataclass(frozen=True)
class JointCurve(Curve):
    """A family by both yardsticks; `points` have the memorization of whichever is the worse at that setting."""

    keys: Curve = field(default=EMPTY)
    content: Curve = field(default=EMPTY)

    def frontiers(self, at: Array, seeds: Sequence[int]) -> Array:
        """As of any curve, of the worse of both."""
        each = [weighted(self.keys, self.content, share, seeds).frontiers(at, seeds) for share in SHARES]
        return np.asarray(np.max(each, axis=0))


def joint_curve(keys: Curve, content: Curve) -> JointCurve | None:
    """The curve of a family by both over the seeds and settings of both; None where they have none in common."""
    seeds = tuple(seed for seed in keys.seeds if seed in content.seeds)
    if not seeds:
        return None
    both = [weighted(keys, content, share, seeds).points for share in (1.0, 0.0)]
    points = tuple(max(point, other, key=lambda p: p.memory) for point, other in zip(*both))
    identity = (keys.family, keys.stage, keys.control, keys.reference, keys.axis, BOTH)
    return JointCurve(*identity, seeds, points, {**content.left_out, **keys.left_out}, keys=keys, content=content)


def weighted(keys: Curve, content: Curve, share: float, seeds: Sequence[int]) -> Curve:
    """The curve of `share` of keys and the rest of content, at the settings that have both, over seeds that both have."""
    shown = {point.mitigation: point for point in content.points}
    pairs = [(point, shown[point.mitigation]) for point in keys.points if point.mitigation in shown]
    at, other_at = ([curve.seeds.index(seed) for seed in seeds] for curve in (keys, content))
    points = tuple(
        Point(
            point.mitigation,
            tuple(point.losses[i] for i in at),
            tuple(share * point.memories[i] + (1 - share) * other.memories[j] for i, j in zip(at, other_at)),
        )
        for point, other in pairs
    )
    return replace(keys, seeds=tuple(seeds), points=points)
