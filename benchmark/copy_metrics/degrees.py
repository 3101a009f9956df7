"""Degrees: which metric separates trained from held-out images, from the first trace of memory to saturation."""

from dataclasses import replace
from typing import Any

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, decide, over_seeds
from solidmark.metrics import comparison

from .readings import OUTPUT_ONLY, at_low_rate, auroc, readings

STEPS = {64: (100, 150, 200, 300), 256: (200, 400, 600, 800)}


def small(experiments: Experiments) -> Finding:
    """64 trained images."""
    return _finding(experiments, 64)


def large(experiments: Experiments) -> Finding:
    """256 trained images."""
    return _finding(experiments, 256)


def _finding(experiments: Experiments, count: int) -> Finding:
    rows = [_row(experiments, count, seed) for seed in experiments.seeds]
    memorized = {step: sum(row[step]["M"] for row in rows) / len(rows) for step in STEPS[count]}
    half = half_memorized(memorized)
    names = list(rows[0][half]["auroc"])
    best = max(OUTPUT_ONLY, key=lambda name: float(sum(row[half]["auroc"][name] for row in rows)))
    lead = over_seeds(
        [row[half]["auroc"]["solidmark"] - max(row[half]["auroc"][name] for name in OUTPUT_ONLY) for row in rows]
    )
    curves = tuple(
        Series.of(name, [(float(step), over_seeds([row[step]["auroc"][name] for row in rows])) for step in STEPS[count]])
        for name in names
    )
    means = {name: sum(row[half]["auroc"][name] for row in rows) / len(rows) for name in names}
    text = ", ".join(f"{name} {value:.2f}" for name, value in sorted(means.items(), key=lambda pair: -pair[1]))
    return Finding(
        suite="copy-metrics",
        name=f"degrees-{count}",
        title=f"Who was trained on, of {count} images: the half-memorized point",
        rule="Where M is nearest to 0.5 the AUROC of the keys lies above that of every output-only metric, over seeds.",
        verdict=decide(lead, above=0.0),
        reason=f"AUROC after {half} steps, M {memorized[half]:.2f}: {text}",
        statistic=f"AUROC of the keys less that of the best output-only metric (on average {best})",
        estimate=lead,
        seeds=experiments.seeds,
        series=curves,
        x_title="training steps",
        y_title="AUROC",
        chance=0.5,
        source="Extracting Training Data from Diffusion Models, arXiv 2301.13188",
        details={
            "log_x": True,
            "memorization": {str(step): [row[step]["M"] for row in rows] for step in STEPS[count]},
            "tpr_at_1_fpr": {str(step): {n: [row[step]["tpr"][n] for row in rows] for n in names} for step in STEPS[count]},
            "table": rows[0][half]["table"],
        },
    )


def half_memorized(memorized: dict[int, float]) -> int:
    """The step whose mean M is nearest to 0.5: no other metric has a part in the choice."""
    return min(memorized, key=lambda step: abs(memorized[step] - 0.5))


def _row(experiments: Experiments, count: int, seed: int) -> dict[int, Any]:
    """For each step: M, AUROC and TPR of every metric, and the whole table."""
    plain = experiments.testbed(f"digits(trained={count})")
    testbed = replace(plain, recipe=replace(plain.recipe, learning_rate=2e-3, final_lr_fraction=1.0))
    row = {}
    for step, model in experiments.snapshots(testbed, seed, STEPS[count]).items():
        others, keys, recalled = readings(experiments, testbed, seed, model)
        every = {"solidmark": keys, **others}
        row[step] = {
            "M": recalled,
            "auroc": {name: auroc(reading) for name, reading in every.items()},
            "tpr": {name: at_low_rate(reading) for name, reading in every.items()},
            "table": comparison.block(others, keys),
        }
    return row
