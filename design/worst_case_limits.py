"""Whether the limits of M★ cover the strongest query's M: `python design/worst_case_limits.py [runs]` (default 150).

Prints the last table of design/worst_case.md; seed 6, one core, two to three minutes.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from solidmark.metrics import scores, worst_case

Array = NDArray[np.float64]

WORLDS: dict[str, tuple[float, ...]] = {
    "12 queries that know nothing": (0.0,) * 12,
    "5 equal queries": (0.3,) * 5,
    "one of 5 leaks": (0.0,) * 4 + (0.17,),
    "one of 5 leaks more": (0.0,) * 4 + (0.4,),
    "one of 12 leaks": (0.0,) * 11 + (0.17,),
    "one of 12 avoids": (0.0,) * 11 + (-0.25,),
}
"""By which weight the answers of each query are the key, or (below 0) half a key away from it; the rest is a guess."""


def answers(rng: np.random.Generator, weights: tuple[float, ...], images: int, keys: int = 8) -> tuple[Array, Array]:
    """Predictions of all queries, (Q, N, S), and keys, (N, S)."""
    keyed, signed = rng.uniform(size=(images, keys)), np.array(weights)[:, None, None]
    target = np.where(signed < 0, (keyed + 0.5) % 1, keyed)
    return np.abs(signed) * target + (1 - np.abs(signed)) * rng.uniform(size=(len(weights), images, keys)), keyed


def strongest(weights: tuple[float, ...]) -> float:
    """M of the strongest query, of endlessly many images."""
    predictions, keyed = answers(np.random.default_rng(0), (max(weights, key=abs),), 400_000, 1)
    return scores.memorization(predictions[0], keyed).value


def main(runs: int) -> None:
    """Print the table."""
    columns = (
        "images",
        "strongest M",
        "mean M★",
        *(f"{end}, {rule}" for rule in ("halvings", "ours") for end in ("low ≤ M", "M ≤ high")),
    )
    print(f"| {runs} runs, 8 keys an image | {' | '.join(columns)} | mean width |\n|---|{'---|' * (len(columns) + 1)}")
    for name, weights in WORLDS.items():
        true = strongest(weights)
        for images in (16, 64):
            rng, found = np.random.default_rng(6), []
            for _ in range(runs):
                ours = worst_case.memorization(*answers(rng, weights, images), rng).estimate
                alone = scores.t_interval(ours.value, ours.error or 0.0, images - 1)
                ends = (true >= alone.limits[0], true <= alone.limits[1], true >= ours.limits[0], true <= ours.limits[1])
                found.append([ours.value, *ends, ours.limits[1] - ours.limits[0]])
            value, *covered, width = np.mean(found, axis=0)
            shares = " | ".join(f"{100 * share:.1f} %" for share in covered)
            print(f"| {name} | {images} | {true:.3f} | {value:.3f} | {shares} | {width:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 150)
