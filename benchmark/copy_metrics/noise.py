"""Noise: which metric moves the wrong way when noise is added at sampling, as calibrated l2 did in the paper."""

from typing import Any

import numpy as np

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, all_of, decide, over_seeds

from .readings import OUTPUT_ONLY, auroc, readings

SCALES = (0.0, 0.5, 1.0, 2.0)
Rows = list[dict[float, Any]]


def run(experiments: Experiments) -> Finding:
    """Embedding noise on the baseline: M must fall; for each metric, what its mean distance to held-out images does."""
    rows = [_row(experiments, seed) for seed in experiments.seeds]
    fall = over_seeds([row[0.0]["M"] - row[SCALES[-1]]["M"] for row in rows])
    series = [Series.of("M of the keys", [(scale, over_seeds([row[scale]["M"] for row in rows])) for scale in SCALES])]
    for name in OUTPUT_ONLY:
        points = [(scale, over_seeds([row[scale]["auroc"][name] for row in rows])) for scale in SCALES]
        series.append(Series.of(f"AUROC of {name}", points))
    wrong = {name: _wrong(rows, name) for name in OUTPUT_ONLY}
    text = ", ".join(name for name, value in wrong.items() if value) or "none"
    return Finding(
        suite="copy-metrics",
        name="noise",
        title="Noise at sampling lowers M",
        rule="M falls from no noise to two standard deviations of embedding noise.",
        verdict=all_of([decide(fall, above=0.0)]),
        reason=f"M falls by {fall.value:.2f}; metrics whose distance of held-out images shrinks with some noise, so that "
        f"they seem nearer to the training set: {text}",
        statistic="M without noise less M at 2 standard deviations",
        estimate=fall,
        seeds=experiments.seeds,
        series=tuple(series),
        x_title="embedding noise, standard deviations",
        y_title="M, or AUROC",
        chance=None,
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
        details={"held_out_distance": {name: [_held_out(rows, scale, name) for scale in SCALES] for name in OUTPUT_ONLY}},
    )


def _row(experiments: Experiments, seed: int) -> dict[float, Any]:
    testbed = experiments.testbed("digits")
    model = experiments.model(testbed, seed)
    row: dict[float, Any] = {}
    for scale in SCALES:
        others, _, recalled = readings(experiments, testbed, seed, model, f"gni(scale={scale})" if scale else None)
        row[scale] = {
            "M": recalled,
            "auroc": {name: auroc(others[name]) for name in OUTPUT_ONLY},
            "held_out": {name: float(np.mean(others[name].held_out)) for name in OUTPUT_ONLY},
        }
    return row


def _held_out(rows: Rows, scale: float, name: str) -> float:
    return float(np.mean([row[scale]["held_out"][name] for row in rows]))


def _wrong(rows: Rows, name: str) -> bool:
    return min(_held_out(rows, scale, name) for scale in SCALES[1:]) < _held_out(rows, 0.0, name)
