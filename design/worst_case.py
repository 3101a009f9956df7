"""Rules for the worst case over queries, in simulated worlds: `python design/worst_case.py [runs]` (default 2000).

Prints the tables of design/worst_case.md. One core, about twenty minutes.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy import special

from solidmark.metrics import scores, worst_case
from solidmark.metrics.scores import Array
from solidmark.metrics.worst_case import Half

IMAGES = 64
Rule = Callable[[Array, Half], Half]


def heading(*columns: str) -> None:
    """The first two lines of a table."""
    print("\n| " + " | ".join(columns) + " |\n|" + len(columns) * "---|")


def guesses(rng: np.random.Generator, queries: int, segments: int, correlation: float) -> Array:
    """Predictions that know nothing, (Q, N, S), uniform, with the given correlation between queries before rounding."""
    shared, own = rng.normal(size=(1, IMAGES, segments)), rng.normal(size=(queries, IMAGES, segments))
    return np.asarray(special.ndtr(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own))


def p_of(predictions: Array, keys: Array) -> Array:
    """Combined p-values of every query, (Q, N)."""
    if keys.shape[1] == 1:  # Edgington's combination of one p-value is that p-value, only slower
        return np.stack([scores.p_values(answers, keys)[:, 0] for answers in predictions])
    return np.stack([scores.combine(scores.p_values(answers, keys)) for answers in predictions])


def crossed(p: Array, half: Half) -> Array:
    """p of the query that is best on the other half."""
    best = [int((-np.log(p[:, side])).mean(axis=1).argmax()) for side in (~half, half)]
    return np.asarray(np.where(half, p[best[0]], p[best[1]]))


def online(p: Array) -> Array:
    """p of the query that is best on the images before."""
    evidence = np.cumsum(-np.log(p), axis=1)
    return np.asarray(p[np.append(0, evidence[:, :-1].argmax(axis=0)), np.arange(p.shape[1])])


def by_half(p: Array, half: Half, rate: float) -> Half:
    """Benjamini-Hochberg in each half by itself."""
    certified, chosen = np.zeros(len(half), dtype=bool), crossed(p, half)
    for side in (half, ~half):
        certified[side] = scores.certified(chosen[side], rate)
    return certified


def far(p: Array) -> Array:
    """The far reading, (Q, N): a sum of keys' p-values is as likely as its mirror image."""
    return np.maximum(1 - p, np.finfo(np.float64).tiny)


RULES: dict[str, Rule] = {
    "the best p": lambda p, half: scores.certified(p.min(axis=0)),
    "cross-fit, 5 % in each half": lambda p, half: by_half(p, half, 0.05),
    "cross-fit, 2.5 % in each half": lambda p, half: by_half(p, half, 0.025),
    "cross-fit, pooled": lambda p, half: scores.certified(crossed(p, half)),
    "best on the images before": lambda p, half: scores.certified(online(p)),
    "Bonferroni over queries": lambda p, half: scores.certified(np.minimum(1, len(p) * p.min(axis=0))),
    "p*, read as near alone": lambda p, half: scores.certified(worst_case.hybrid(p, half)),
    "p*, all readings in both terms": lambda p, half: scores.certified(worst_case.hybrid(np.concatenate([p, far(p)]), half)),
    "p* (ours), far readings in the first alone": lambda p, half: scores.certified(worst_case.hybrid(p, half, far(p))),
}


def certificates(rule: Rule, worlds: Iterator[Array], rng: np.random.Generator) -> Array:
    """Certified images in each world."""
    return np.array([rule(p, worst_case.halves(p.shape[1], rng)).sum() for p in worlds])


def nulls(runs: int, queries: int, correlation: float) -> Iterator[Array]:
    """p-values where no image is memorized, one key each."""
    rng = np.random.default_rng(queries)
    for _ in range(runs):
        yield p_of(guesses(rng, queries, 1, correlation), rng.uniform(size=(IMAGES, 1)))


def knowing(runs: int, recall: Callable[[np.random.Generator], Array], queries: int = 10, shift: float = 0.0) -> list[Array]:
    """p-values where query q answers image i with the key by weight recall[q, i] and a guess by the rest, 8 keys each.

    With a shift of 0.5 what replaces the key is as far from it as can be.
    """
    rng = np.random.default_rng(0)
    worlds = []
    for _ in range(runs):
        keys, weight = rng.uniform(size=(IMAGES, 8)), recall(rng)[:, :, None]
        worlds.append(p_of(weight * ((keys + shift) % 1) + (1 - weight) * guesses(rng, queries, 8, 0.0), keys))
    return worlds


def one_good(rng: np.random.Generator) -> Array:
    """The last of ten queries remembers every image a little."""
    return np.repeat(np.append(np.zeros(9), 0.5)[:, None], IMAGES, axis=1)


def each_its_own(rng: np.random.Generator) -> Array:
    """Every image is remembered by one query only, another for each."""
    return np.asarray(0.75 * (np.arange(10)[:, None] == rng.integers(0, 10, IMAGES)))


def false_certificates(runs: int) -> None:
    """Share of null runs with any certificate."""
    columns = [(queries, correlation) for correlation in (0.0, 0.9) for queries in (3, 10, 30)]
    heading(f"null runs with a certificate, of {runs}", *(f"Q = {q}, correlation {c:g}" for q, c in columns))
    for name, rule in RULES.items():
        rng = np.random.default_rng(1)
        shares = [(certificates(rule, nulls(runs, *column), rng) > 0).mean() for column in columns]
        print(f"| {name} |", *(f"{100 * share:.1f} % |" for share in shares), flush=True)


def lured(runs: int, remembered: int = 20, faint: float = 0.01) -> Iterator[Array]:
    """p-values of two queries meant to break the rules: 6 forgotten images, and others that mislead the choice for them.

    The first query knows one image perfectly and the second 20 of them faintly, so choosing for the forgotten ones by
    their own luck also decides how many certificates they share their error with.
    """
    rng, count = np.random.default_rng(6), remembered + 7
    for _ in range(runs):
        p = np.full((2, count), 0.9)
        p[:, :6] = rng.uniform(size=(2, 6))
        p[0, 6], p[1, 7:] = 1e-60, faint
        yield p


def false_discoveries(runs: int) -> None:
    """The false-discovery rate where the split falls between forgotten and remembered images."""
    heading(f"false discoveries in {runs} runs of the lure; with one query at most {100 * 0.05 * 6 / 27:.2f} %", "")
    half = np.arange(27) < 6
    for name in ("cross-fit, 2.5 % in each half", "cross-fit, pooled", *list(RULES)[-3:]):
        certified = np.array([RULES[name](p, half) for p in lured(runs)])
        rate = (certified[:, :6].sum(axis=1) / np.maximum(certified.sum(axis=1), 1)).mean()
        print(f"| {name} | {100 * rate:.2f} % |", flush=True)


def power(runs: int) -> None:
    """Mean number of certified images."""
    worlds = [
        knowing(runs, one_good),
        knowing(runs, each_its_own),
        knowing(runs, lambda rng: 1.5 * one_good(rng), shift=0.5),
    ]
    columns = "one query is good", "each image has another", "one query avoids"
    heading(f"certified of {IMAGES}, mean of {runs} runs, Q = 10", *columns)
    alone = [worlds[0][run][-1] for run in range(runs)], [1 - worlds[2][run][-1] for run in range(runs)]
    best = [np.mean([scores.certified(p).sum() for p in world]) for world in alone]
    print(f"| that one query, known in advance | {best[0]:.1f} | | {best[1]:.1f} |")
    for name, rule in RULES.items():
        rng = np.random.default_rng(2)
        print(f"| {name} |", *(f"{certificates(rule, iter(world), rng).mean():.1f} |" for world in worlds), flush=True)


def privacy(runs: int) -> None:
    """Mean epsilon-hat where one query of ten is good."""
    rng = np.random.default_rng(3)
    worlds = knowing(runs, lambda rng: 2 * one_good(rng))
    estimates = {
        "that one query, known in advance": [scores.epsilon(p[-1]) for p in worlds],
        "chosen on one half, reported on the other, near alone": [
            worst_case.epsilon(p, worst_case.halves(IMAGES, rng)) for p in worlds
        ],
        "the same, near and far (ours)": [worst_case.epsilon(p, worst_case.halves(IMAGES, rng), far(p)) for p in worlds],
        "best on the images before, all images": [scores.epsilon(online(p)) for p in worlds],
        "maximum over queries at 5 % / Q": [max(scores.epsilon(query, 0.05 / len(p)) for query in p) for p in worlds],
    }
    heading(f"mean ε̂ of {runs} runs, Q = 10", "")
    for name, bounds in estimates.items():
        print(f"| {name} | {np.mean(bounds):.2f} |")


def true_memorization(recall: float, count: int = 2_000_000) -> float:
    """M of endlessly many images."""
    rng = np.random.default_rng(4)
    keys, answers = rng.uniform(size=count), rng.uniform(size=count)
    answers = recall * keys + (1 - recall) * answers
    return float(1 - np.abs(answers - keys).mean() / np.abs(answers - np.roll(keys, 1)).mean())


def coverage(runs: int, queries: int, recall: Array) -> str:
    """How often the lower bounds of M* and of the largest M lie below the truth, and their means."""
    rng, true, drawn = np.random.default_rng(5), true_memorization(float(recall.max())), []
    for _ in range(runs):
        keys, weight = rng.uniform(size=(IMAGES, 1)), recall[:, None, None]
        predictions = weight * keys + (1 - weight) * guesses(rng, queries, 1, 0.0)
        ours = worst_case.memorization(predictions, keys, rng).estimate
        largest = max((scores.memorization(query, keys) for query in predictions), key=lambda estimate: estimate.value)
        drawn.append([ours.value, ours.low <= true, largest.value, largest.low <= true])
    star, covers, top, top_covers = np.mean(drawn, axis=0)
    return f"{true:.3f} | {star:.3f} | {100 * covers:.1f} % | {top:.3f} | {100 * top_covers:.1f} % |"


def bounds_of_memorization(runs: int) -> None:
    """Coverage of the lower bound of M*, one key an image."""
    heading(f"{runs} runs, one key an image", "best true M", "mean M★", "low ≤ true", "mean largest M", "low ≤ true")
    for queries in (3, 10, 30):
        print(f"| {queries} equal queries |", coverage(runs, queries, np.full(queries, 0.3)), flush=True)
    print("| 10 queries that know nothing |", coverage(runs, 10, np.zeros(10)), flush=True)
    print("| one good of 10 |", coverage(runs, 10, np.append(np.zeros(9), 0.3)), flush=True)


def main() -> None:
    """All tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    false_certificates(runs)
    false_discoveries(25 * runs)
    power(runs)
    privacy(runs)
    bounds_of_memorization(runs)


if __name__ == "__main__":
    main()
