"""How often a family is called real by both yardsticks where it is not, and where it is.

`python design/two_yardsticks.py [runs]` (default 400) prints the table of design/two_yardsticks.md; some minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from solidmark.leaderboard.curves import Curve, Point
from solidmark.leaderboard.excess import CurveVerdict, excesses
from solidmark.leaderboard.yardsticks import JointVerdict, joint_verdicts, together

Array = NDArray[np.float64]
Truth = Callable[[Array], tuple[Array, Array]]
"""M and content (2 AUROC - 1) at these losses of utility."""

LOSSES = np.array([0.0, 0.02, 0.1, 0.3, 0.7])
"""The baseline and four settings."""

LOSS_NOISE, KEYS_NOISE, CONTENT_NOISE = 0.04, 0.03, 0.09
"""Standard deviations of a seed: of the loss (256 images), of M (64 images), and of content at chance (64 against 256)."""


def shown(m: Array) -> Array:
    """Content where M is so much: it saturates first, as on `digits` (M 0.36, 0.56, 0.68: AUROC 0.77, 0.90, 0.97)."""
    return np.interp(m, [0.0, 0.36, 0.56, 0.68, 0.89], [0.0, 0.54, 0.80, 0.94, 1.0])


def reference(losses: Array) -> tuple[Array, Array]:
    """Less use, less memory."""
    return 0.85 * (1 - losses), shown(0.85 * (1 - losses))


def lower(keys: float, content: float) -> Truth:
    """Below the reference by so much at every setting."""

    def truth(losses: Array) -> tuple[Array, Array]:
        by_keys, by_content = reference(losses)
        return by_keys - keys * (losses > 0), by_content - content * (losses > 0)

    return truth


def by_turns(losses: Array) -> tuple[Array, Array]:
    """Keys are lower at the first and third setting; at the others content is, and keys are higher."""
    keys, content = reference(losses)
    odd, some = np.arange(len(losses)) % 2 == 1, losses > 0
    return np.where(odd, keys - 0.2, keys + 0.3 * some), np.where(odd, content, content - 0.2 * some)


TRUTHS: dict[str, Truth] = {
    "a twin of the reference in both": lower(0.0, 0.0),
    "keys 0.4 lower, content as the reference": lower(0.4, 0.0),
    "keys gone, every image emitted": lambda losses: (np.where(losses > 0, 0.0, 0.85), np.ones_like(losses)),
    "content 0.4 lower, keys as the reference": lower(0.0, 0.4),
    "keys lower at some settings, content at others": by_turns,
    "both 0.1 lower": lower(0.1, 0.1),
}


def measured(rng: np.random.Generator, truth: Truth, seeds: int, name: str) -> tuple[Curve, Curve]:
    """A family by keys and by content; the noise of the loss is common to both."""
    losses = LOSSES[:, None] + LOSS_NOISE * rng.standard_normal((len(LOSSES), seeds)) * (LOSSES > 0)[:, None]
    keys, content = (true[:, None] for true in truth(LOSSES))
    memories = keys + KEYS_NOISE * rng.standard_normal(losses.shape)
    contents = content + CONTENT_NOISE * np.sqrt(1 - np.clip(content, 0, 1)) * rng.standard_normal(losses.shape)
    empty = Curve(name, "training", False, name == "reference", "accuracy", "worst", tuple(range(seeds)))
    return replace(empty, points=_points(losses, memories)), replace(
        empty, measure="content", points=_points(losses, np.minimum(contents, 1.0))
    )


def _points(losses: Array, memories: Array) -> tuple[Point, ...]:
    return tuple(Point(str(i), tuple(row), tuple(m)) for i, (row, m) in enumerate(zip(losses, memories, strict=True)))


def judged(seed: int, runs: int, seeds: int, truth: Truth, families: int) -> list[JointVerdict]:
    """The verdicts of so many families compared with one reference, in so many runs."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(runs):
        names = ["reference", *(f"family {number}" for number in range(families))]
        pairs = [measured(rng, reference if name == "reference" else truth, seeds, name) for name in names]
        keys, content = ([pair[which] for pair in pairs] for which in (0, 1))
        by_keys = excesses(keys)
        found += joint_verdicts(by_keys, excesses(content), together(keys, content, by_keys), names)
    return found


def main(runs: int) -> None:
    """Print the table."""
    designs = [(3, 1), (8, 1), (8, 10)]
    heads = [f"{seeds} seeds, {'one family' if few == 1 else f'{few} families'}" for seeds, few in designs]
    print(f"| truth | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for name, truth in TRUTHS.items():
        cells = []
        for seeds, few in designs:
            found = judged(1, runs // few, seeds, truth, few)
            shares = [np.mean([joint.verdict is verdict for joint in found]) for verdict in CurveVerdict]
            alone = np.mean([joint.keys.verdict is CurveVerdict.REAL for joint in found])
            cells.append(f"{', '.join(f'{100 * share:.0f}' for share in shares)}; {100 * alone:.0f}")
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\nIn %: {', '.join(verdict.value for verdict in CurveVerdict)}; real by keys alone.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
