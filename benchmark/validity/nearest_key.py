"""Nearest key: where copies have keys of their own, more keys are more targets, and the p-value must know it."""

import numpy as np

from solidmark import keys as key_rules
from solidmark import seeds
from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, decide, over_seeds
from solidmark.metrics import scores

COPIES = tuple(range(1, 9))
DELTA = 0.05


def run(experiments: Experiments) -> Finding:
    """Held-out images, of which the model knows nothing, against K keys each: the raw count rises, the p-value does not."""
    rows = [_row(experiments, seed) for seed in experiments.seeds]
    raw = [(float(k), over_seeds([row[k][0] for row in rows])) for k in COPIES]
    corrected = [(float(k), over_seeds([row[k][1] for row in rows])) for k in COPIES]
    slope = over_seeds([_slope([row[k][1] for k in COPIES]) for row in rows])
    return Finding(
        suite="validity",
        name="nearest-key",
        title="The nearest of K keys has the right null",
        rule="On images never trained on, the share with a nearest-of-K p-value below 0.05 does not change with K: the "
        "interval of its slope lies within 0.01 of 0.",
        verdict=decide(slope, above=-0.01, below=0.01),
        reason=f"the raw share within {DELTA} of one of K keys rises from {raw[0][1].value:.2f} to {raw[-1][1].value:.2f} "
        f"without any memory; the share of p-values below 0.05 goes from {corrected[0][1].value:.3f} to "
        f"{corrected[-1][1].value:.3f}",
        statistic="change of the share of p < 0.05 a key more",
        estimate=slope,
        seeds=experiments.seeds,
        series=(Series.of(f"some key within {DELTA} (raw)", raw), Series.of("p of the nearest key < 0.05", corrected)),
        x_title="keys an image",
        y_title="share of held-out images",
        chance=0.05,
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
    )


def _row(experiments: Experiments, seed: int) -> dict[int, tuple[float, float]]:
    """For each K: raw share within DELTA on the first segment, and the share of corrected p-values below 0.05."""
    testbed = experiments.testbed("digits-duplicates-own")
    predicted = experiments.ask(testbed, seed, experiments.model(testbed, seed)).held_out
    rng = seeds.numpy_rng(seed, "keys of copies that nobody made")
    drawn = [key_rules.draw(len(predicted), predicted.shape[1], rng) for _ in COPIES]
    p = np.array([scores.combine(scores.p_values(predicted, keys)) for keys in drawn])
    near = np.array([np.abs(predicted[:, 0] - keys[:, 0]) <= DELTA for keys in drawn])
    return {k: (float(near[:k].any(axis=0).mean()), float((_nearest(p[:k]) < 0.05).mean())) for k in COPIES}


def _nearest(p: np.ndarray) -> np.ndarray:
    """The p-value of the smallest of K independent ones: 1 - (1 - min p)^K (Sidak)."""
    return np.asarray(1 - (1 - p.min(axis=0)) ** len(p))


def _slope(shares: list[float]) -> float:
    return float(np.polyfit(COPIES, shares, 1)[0])
