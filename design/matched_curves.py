"""How often the excess over a reference is called real where it is not, and where it is.

`python design/matched_curves.py [runs]` (default 1000) prints the tables of design/matched_curves.md; a few minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from solidmark.findings import over_seeds
from solidmark.leaderboard.curves import Curve, Point, frontier
from solidmark.leaderboard.excess import EQUAL, RANGE, WIDEST, CurveVerdict, between, excesses

Array = NDArray[np.float64]

TRUTHS: dict[str, Callable[[Array], Array]] = {
    "convex": lambda loss: 0.85 * np.exp(-6 * loss),
    "straight": lambda loss: 0.85 * (1 - loss),
    "concave": lambda loss: 0.85 * (1 - loss**2),
    "flat": lambda loss: np.full_like(loss, 0.85),
    "a step": lambda loss: np.where(loss > 0, 0.3, 0.85),
}
SWEPT = {"4 settings": (0.02, 0.1, 0.3, 0.7), "8": (0.01, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.7), "1": (0.1,)}
NOISE = 0.04, 0.03
"""Standard deviations of a seed's loss of utility (256 images) and of its M (64 images)."""


def curve(rng: np.random.Generator, truth: Callable[[Array], Array], losses: Array, seeds: int, name: str = "") -> Curve:
    """A family measured with noise; the baseline, whose loss is 0 by definition, comes first."""
    every = np.concatenate([[0.0], losses])
    measured = every[:, None] + NOISE[0] * rng.standard_normal((len(every), seeds)) * (every > 0)[:, None]
    memories = truth(every)[:, None] + NOISE[1] * rng.standard_normal((len(every), seeds))
    points = tuple(Point(str(loss), tuple(row), tuple(m)) for loss, row, m in zip(every, measured, memories, strict=True))
    return Curve(name, "training", False, not name, "accuracy", "worst", tuple(range(seeds)), points)


def true_excess(truth: Callable[[Array], Array], losses: Array, less: float = 0.0) -> float:
    """That of noiseless frontiers; the reference has four settings, the family remembers `less` at its own."""
    own, swept = (np.concatenate([[0.0], some]) for some in (losses, np.array(SWEPT["4 settings"])))
    gaps = frontier(swept, truth(swept), RANGE) - frontier(own, truth(own) - less * (own > 0), RANGE)
    return float(np.trapezoid(gaps, RANGE) / WIDEST)


def verdicts(
    seed: int, runs: int, seeds: int, name: str, swept: str, families: int, less: float = 0.0
) -> list[CurveVerdict]:
    """The verdicts of so many families compared with one reference, in so many runs."""
    rng, truth, losses = np.random.default_rng(seed), TRUTHS[name], np.array(SWEPT[swept])

    def shifted(loss: Array) -> Array:
        return truth(loss) - less * (loss > 0)

    judged = []
    for _ in range(runs):
        reference = curve(rng, truth, np.array(SWEPT["4 settings"]), seeds)
        drawn = [curve(rng, shifted, losses, seeds, str(number + 1)) for number in range(families)]
        judged += [excess.verdict for excess in excesses([reference, *drawn])]
    return judged


def lucky(seed: int, runs: int, seeds: int, name: str, *, by_seed: bool) -> float:
    """Share of runs in which eight settings lie below four of the same truth, by the interval alone.

    Frontiers are those of each seed, `by_seed`, or of the means over seeds.
    """
    rng, truth, lower = np.random.default_rng(seed), TRUTHS[name], 0
    for _ in range(runs):
        reference, family = (curve(rng, truth, np.array(SWEPT[swept]), seeds) for swept in ("4 settings", "8"))
        if by_seed:
            gaps = [reference.frontiers(RANGE, [s])[0] - family.frontiers(RANGE, [s])[0] for s in range(seeds)]
            lower += over_seeds([float(np.trapezoid(gap, RANGE)) for gap in gaps]).low > 0
        else:
            excess = between(family, reference)
            lower += excess is not None and excess.low is not None and excess.low > 0
    return lower / runs


def main(runs: int) -> None:
    """Print all tables."""
    print(
        "| eight settings below four, by the interval alone | frontiers of each seed, 3 seeds | 8 seeds | of means, 3 | 8 |"
    )
    print("|---|---|---|---|---|")
    for name in ("straight", "flat", "concave"):
        rates = [lucky(3, runs, seeds, name, by_seed=way) for way in (True, False) for seeds in (3, 8)]
        print(f"| {name} | {' | '.join(f'{100 * rate:.1f} %' for rate in rates)} |")
    print()
    print("| truth | settings | true excess | real at 3 seeds, one family | 8 seeds | real of ten families each, 8 seeds |")
    print("|---|---|---|---|---|---|")
    for name, truth in TRUTHS.items():
        for swept, losses in SWEPT.items():
            rates = [verdicts(1, runs, seeds, name, swept, few) for seeds, few in ((3, 1), (8, 1), (8, 10))]
            shares = [f"{100 * np.mean([v is CurveVerdict.REAL for v in judged]):.1f} %" for judged in rates]
            print(f"| {name} | {swept} | {true_excess(truth, np.array(losses)):+.3f} | {' | '.join(shares)} |")
    print(f"\n| four settings that remember less by | true excess | {' | '.join(_heads())} |\n|---|---|{'---|' * 6}")
    for less in (0.0, 0.1, 0.2, 0.4):
        cells = []
        for seeds, few in ((3, 1), (5, 1), (8, 1), (3, 10), (5, 10), (8, 10)):
            judged = verdicts(2, runs // few * 2, seeds, "straight", "4 settings", few, less)
            cells.append(", ".join(f"{100 * np.mean([v is verdict for v in judged]):.0f}" for verdict in CurveVerdict))
        true = true_excess(TRUTHS["straight"], np.array(SWEPT["4 settings"]), less)
        print(f"| {less} | {true:+.3f} | {' | '.join(cells)} |")
    print(f"\nIn %: {', '.join(verdict.value for verdict in CurveVerdict)}; differences below {EQUAL:g} are none.")


def _heads() -> list[str]:
    return [f"{seeds} seeds, {'one family' if few == 1 else f'{few} families'}" for few in (1, 10) for seeds in (3, 5, 8)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
