"""Intervals over seeds and over images, and certificates side by side: `python design/intervals.py [runs]` (default 2000).

Prints the tables of design/intervals.md; seed 1, one core, three minutes. The first table reads results/records.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from solidmark.leaderboard import aggregate
from solidmark.metrics import scores
from solidmark.metrics.scores import t_interval
from solidmark.records import read
from solidmark.schema.numbers import Estimate, Share
from solidmark.schema.record import CaseRecord

Array = NDArray[np.float64]
Pool = Callable[[Sequence[CaseRecord]], Estimate | Share]

RESULTS = Path(__file__).parents[1] / "results"


def heading(*columns: str) -> None:
    """The first two lines of a table."""
    print("\n| " + " | ".join(columns) + " |\n|" + len(columns) * "---|")


def lead(record: CaseRecord) -> dict:
    """The scores of the leading query."""
    return next(iter(record["queries"].values()))


def images(records: Sequence[CaseRecord]) -> list[int]:
    """Images of each seed."""
    return [lead(record)["memorization"]["images"] for record in records]


POOLED: dict[str, Pool] = {
    "M": lambda seeds: aggregate.memorization([lead(r)["memorization"] for r in seeds], images(seeds)),
    "M★, as the halvings have it": lambda seeds: aggregate.memorization(
        [r["worst"]["memorization"] for r in seeds], images(seeds)
    ),
    "certified": lambda seeds: aggregate.share([lead(r)["certified"] for r in seeds]),
    "leaked bits": lambda seeds: aggregate.number([lead(r)["leaked_bits"] for r in seeds], images(seeds)),
    "AUROC": lambda seeds: aggregate.area([lead(r)["auroc"] for r in seeds], images(seeds)),
    "keys within 0.05": lambda seeds: aggregate.clustered_share([lead(r)["within"]["0.05"] for r in seeds]),
    "accuracy": lambda seeds: aggregate.share([r["utility"]["accuracy"] for r in seeds]),
    "diversity": lambda seeds: aggregate.share([r["utility"]["diversity"] for r in seeds]),
}
"""What is pooled over seeds, by name. A Fréchet distance has no error within a training."""


def contradict(one: Estimate | Share, other: Estimate | Share) -> bool:
    """Whether two results differ by more than both intervals allow: the gap against the root sum of squared half-widths."""
    lower, upper = sorted((one, other), key=_value)
    return bool(_value(upper) - _value(lower) > np.hypot(_value(upper) - upper.low, lower.high - _value(lower)) + 1e-12)


def _value(number: Estimate | Share) -> float:
    return number.value if isinstance(number, Estimate) else number.share


def within(pool: Pool) -> Pool:
    """The same pooled as if trainings did not differ: only the error of each seed's own images is left."""

    def alone(seeds: Sequence[CaseRecord]) -> Estimate | Share:
        numbers = [pool([seed]) for seed in seeds]
        value = float(np.mean([_value(number) for number in numbers]))
        below, above = (
            float(np.sqrt(np.sum(np.square(ends)))) / len(seeds)
            for ends in zip(*((_value(n) - n.low, n.high - _value(n)) for n in numbers), strict=True)
        )
        return Estimate(value, value - below, value + above)

    return alone


def triples() -> None:
    """How often disjoint triples of the six seeds of a published row contradict each other."""
    rows: dict[str, dict[int, CaseRecord]] = defaultdict(dict)
    for record in read(RESULTS)[0]:
        if record["event"] == "case" and record["status"] == "ok":
            rows[record["mitigation"]][record["seed"]] = record
    six = [row for row in rows.values() if len(row) == 6]
    pairs = [(few, tuple({*range(6)} - {*few})) for few in combinations(range(6), 3) if 0 in few]
    heading(
        f"{len(six)} rows of six seeds, {10 * len(six)} pairs of triples", "trainings do not differ", "the wider of both"
    )
    for name, pool in POOLED.items():
        rates = []
        for rule in (within(pool), pool):
            found = [contradict(*(rule([row[s] for s in few]) for few in pair)) for row in six for pair in pairs]
            rates.append(f"{100 * np.mean(found):.1f} %")
        print(f"| {name} | {' | '.join(rates)} |", flush=True)


def trainings(runs: int) -> None:
    """Coverage of a mean over trainings: the truth of each differs by so many times the error within it."""
    rng = np.random.default_rng(1)
    heading(
        "spread of trainings / error within one", *(f"{way}, {g} seeds" for g in (2, 3, 4, 6) for way in ("within", "wider"))
    )
    for spread in (0, 1, 2, 4):
        cells = []
        for seeds in (2, 3, 4, 6):
            drawn = 0.5 + 0.02 * (spread * rng.standard_normal((runs, seeds)) + rng.standard_normal((runs, seeds)))
            freedom = seeds * 63
            ways = (
                [t_interval(float(v.mean()), 0.02 / np.sqrt(seeds), freedom) for v in drawn],
                [aggregate.mean(v, [0.02] * seeds, freedom) for v in drawn],
            )
            cells += [f"{100 * np.mean([e.limits[0] <= 0.5 <= e.limits[1] for e in way]):.1f} %" for way in ways]
        print(f"| {spread} | {' | '.join(cells)} |", flush=True)


def gray(rng: np.random.Generator, count: int, keys: int = 8) -> tuple[Array, Array, Array]:
    """Predictions and keys, of which 5 % of the images are memorized whole and all others get one gray; and which are."""
    keyed = rng.uniform(size=(count, keys))
    known = rng.random((count, 1)) < 0.05
    return np.where(known, keyed, 0.5), keyed, known[:, 0]


def few_images(runs: int) -> None:
    """Coverage where few images carry everything, of M and of the leaked bits."""
    rng = np.random.default_rng(1)
    true = scores.memorization(*gray(rng, 400_000, 1)[:2]).value
    heading("images", "M, 5 % known, all others one gray", "none known in", "bits, nothing known", "bits, 10 % known")
    for count in (16, 64, 256):
        covered, none = [], []
        for _ in range(runs if count < 256 else runs // 4):
            predictions, keys, known = gray(rng, count)
            low, high = scores.memorization(predictions, keys).limits
            covered.append(low <= true <= high)
            none.append(not known.any())
        cells = [np.mean(covered), np.mean(none), *(bits(rng, count, share, runs) for share in (0.0, 0.1))]
        print(f"| {count} | {' | '.join(f'{100 * cell:.1f} %' for cell in cells)} |", flush=True)


def bits(rng: np.random.Generator, count: int, share: float, runs: int) -> float:
    """Coverage of the leaked bits, where a share of the images leaks about 20 bits and all others none."""
    leaked = 20.0
    true, covered = share * (leaked - 1 / np.log(2)), 0
    for _ in range(runs):
        p = np.where(rng.random(count) < share, 2.0**-leaked, rng.uniform(size=count))
        low, high = scores.leaked_bits(p).limits
        covered += low <= true <= high
    return covered / runs


def side_by_side(runs: int) -> None:
    """Null runs with any certificate: near, far, and either, both at 5 % and both at half of it."""
    heading(f"{runs} null runs", "near at 5 %", "far at 5 %", "either", "near at 2.5 %", "far at 2.5 %", "either")
    worlds = {
        "16 images, 8 keys, independent answers": (16, 8, 1.0),
        "64 images, 8 keys, independent answers": (64, 8, 1.0),
        "16 images, 8 keys, one answer for all": (16, 8, 0.0),
        "16 images, 1 key, independent answers": (16, 1, 1.0),
    }
    for name, (count, keys, spread) in worlds.items():
        sides = [p.reshape(runs, count) for p in null(runs, count, keys, spread)]
        found = [np.array([scores.certified(p, rate).any() for p in side]) for rate in (0.05, 0.025) for side in sides]
        columns = [*found[:2], found[0] | found[1], *found[2:], found[2] | found[3]]
        print(f"| {name} | {' | '.join(f'{100 * column.mean():.1f} %' for column in columns)} |", flush=True)


def null(runs: int, count: int, keys: int, spread: float) -> tuple[Array, Array]:
    """p-values by nearness and by distance where nothing is known, of all images of all runs.

    The answers of images differ by so much: 0 is one answer for all of a run.
    """
    rng = np.random.default_rng(2)
    shared = np.sqrt(1 - spread) * rng.normal(size=(runs, 1, keys))
    answers = special.ndtr(shared + np.sqrt(spread) * rng.normal(size=(runs, count, keys))).reshape(-1, keys)
    each = scores.p_values(answers, rng.uniform(size=answers.shape))
    return scores.combine(each), scores.combine(1 - each)


def main(runs: int) -> None:
    """All tables."""
    triples()
    trainings(runs)
    few_images(runs)
    side_by_side(4 * runs)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
