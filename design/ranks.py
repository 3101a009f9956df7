"""How often equal families are told apart by rank, and different ones: `python design/ranks.py [runs]` (default 600).

Prints the tables of design/ranks.md; seeds 4 and 5, one core, three to four minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from solidmark.leaderboard.curves import MATCHED, Curve, Point
from solidmark.leaderboard.excess import CurveVerdict, excesses
from solidmark.leaderboard.paired import LEVEL, holm, jackknife, p_value
from solidmark.leaderboard.ranking import ranking

Array = NDArray[np.float64]

FAMILIES = 10
NOISE = 0.04, 0.03
"""Standard deviations of a seed's loss of utility (256 images) and of its M (64 images)."""

WAYS = "t test alone", "corrected for all pairs", "pair by pair, as ranks", "any verdict on an excess"

WORLDS: dict[str, tuple[tuple[float, ...], Callable[[Array], Array]]] = {
    "no effect": ((0.01, 0.03, 0.06, 0.1), lambda loss: np.full_like(loss, 0.85)),
    "straight": ((0.02, 0.1, 0.3, 0.7), lambda loss: 0.85 * (1 - loss)),
    "one keeps all, others lose 30 % and more": ((0.0, 0.3, 0.5, 0.7), lambda loss: np.where(loss > 0.15, 0.1, 0.8)),
    "the same, the one loses 2 %": ((0.02, 0.3, 0.4, 0.5), lambda loss: np.where(loss > 0.15, 0.1, 0.7)),
    "the same, the one loses 6 %": ((0.06, 0.3, 0.5, 0.7), lambda loss: np.where(loss > 0.15, 0.15 * (1 - loss), 0.4)),
}
"""The settings' true losses, and their true M."""


def families(
    rng: np.random.Generator, world: str, seeds: int, less: Sequence[float] = (), reference: int = -1
) -> list[Curve]:
    """Ten families of one truth on one baseline; the first remember `less` at all settings."""
    losses, truth = np.array(WORLDS[world][0]), WORLDS[world][1]
    baseline = 0.85 + NOISE[1] * rng.standard_normal(seeds)
    curves = []
    for number in range(FAMILIES):
        lost = losses[:, None] + NOISE[0] * rng.standard_normal((len(losses), seeds))
        true = truth(losses) - (less[number] if number < len(less) else 0.0)
        memories = true[:, None] + NOISE[1] * rng.standard_normal((len(losses), seeds))
        settings = zip(map(str, losses), lost, memories, strict=True)
        points = (Point("none", (0.0,) * seeds, tuple(baseline)), *(Point(n, tuple(x), tuple(m)) for n, x, m in settings))
        leads = number == reference
        curves.append(Curve(str(number), "training", False, leads, "accuracy", "worst", tuple(range(seeds)), points))
    return curves


def t_alone(curves: Sequence[Curve]) -> bool:
    """Whether the paired t test with Holm's correction tells any pair apart."""
    whole = [curve.frontiers(np.array([MATCHED]), curve.seeds)[:, 0] for curve in curves]
    pairs = [jackknife(a - b) for index, a in enumerate(whole) for b in whole[:index]]
    return min(holm([p for pair in pairs if (p := p_value(pair)) is not None])) <= LEVEL


def told(curves: Sequence[Curve]) -> tuple[int, int]:
    """How many pairs the ranking tells apart with correction for all, and how many pair by pair, as ranks do."""
    ranked = ranking(curves)  # None where no family keeps so much utility
    return (ranked.apart, ranked.clear) if ranked is not None else (0, 0)


def any_verdict(rng: np.random.Generator, world: str, seeds: int) -> bool:
    """Whether any of nine families is called real or worse than the tenth, of the same truth."""
    judged = excesses(families(rng, world, seeds, reference=0))
    return any(excess.verdict in (CurveVerdict.REAL, CurveVerdict.WORSE) for excess in judged)


def main(runs: int) -> None:
    """Print both tables."""
    few = (3, 6)
    print(
        f"| any of {FAMILIES} equal families apart, {runs} runs | {' | '.join(_heads(few))} |\n|---|{'---|' * 4 * len(few)}"
    )
    for world in WORLDS:
        cells = []
        for seeds in few:
            rng = np.random.default_rng(4)
            drawn = [families(rng, world, seeds) for _ in range(runs)]
            counts = [told(curves) for curves in drawn]
            rates = [t_alone(curves) for curves in drawn], *([count[way] > 0 for count in counts] for way in (0, 1))
            cells += [100 * np.mean(rate) for rate in (*rates, [any_verdict(rng, world, seeds) for _ in range(runs)])]
        print(f"| {world} | {' | '.join(f'{cell:.1f} %' for cell in cells)} |", flush=True)
    print("\n| a family of the straight world that remembers less by (pair by pair) | 3 seeds | 6 | 8 |\n|---|---|---|---|")
    for less in (0.1, 0.2, 0.4):
        rates = []
        for seeds in (3, 6, 8):
            rng = np.random.default_rng(5)
            found = np.array([told(families(rng, "straight", seeds, [less])) for _ in range(runs // 6)])
            corrected, single = found.mean(axis=0) / (FAMILIES - 1)
            rates.append(f"{corrected:.0%} ({single:.0%})")
        print(f"| {less} | {' | '.join(rates)} |", flush=True)


def _heads(few: Sequence[int]) -> list[str]:
    return [f"{way}, {seeds} seeds" for seeds in few for way in WAYS]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
