"""Degrees: which metric tells trained from held-out images, from the first trace of memory to saturation."""

from dataclasses import replace
from typing import Any

from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, decide, over_seeds
from solidmark.metrics import comparison

from .readings import OUTPUT_ONLY, at_low_rate, auroc, readings

STEPS = {64: (100, 150, 200, 300), 256: (200, 400, 600, 800)}


def small(lab: Lab) -> Finding:
    """64 trained images."""
    return _finding(lab, 64)


def large(lab: Lab) -> Finding:
    """256 trained images."""
    return _finding(lab, 256)


def _finding(lab: Lab, count: int) -> Finding:
    rows = [_row(lab, count, seed) for seed in lab.seeds]
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
    told = ", ".join(f"{name} {value:.2f}" for name, value in sorted(means.items(), key=lambda pair: -pair[1]))
    return Finding(
        suite="concordance",
        name=f"degrees-{count}",
        title=f"Who was trained on, of {count} images: the half-memorized point",
        rule="Where M is nearest to 0.5 the AUROC of the keys lies above that of every output-only metric, over seeds.",
        verdict=decide(lead, above=0.0),
        reason=f"AUROC after {half} steps, M {memorized[half]:.2f}: {told}",
        statistic=f"AUROC of the keys less that of the best output-only metric (on average {best})",
        estimate=lead,
        seeds=lab.seeds,
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
    """The step whose mean M is nearest to 0.5: the choice looks at no other metric."""
    return min(memorized, key=lambda step: abs(memorized[step] - 0.5))


def _row(lab: Lab, count: int, seed: int) -> dict[int, Any]:
    """For each step: M, AUROC and TPR of every metric, and the whole table."""
    plain = lab.testbed(f"digits(trained={count})")
    testbed = replace(plain, recipe=replace(plain.recipe, learning_rate=2e-3, final_rate=1.0))
    row = {}
    for step, model in lab.snapshots(testbed, seed, STEPS[count]).items():
        found, keys, recalled = readings(lab, testbed, seed, model)
        every = {"solidmark": keys, **found}
        row[step] = {
            "M": recalled,
            "auroc": {name: auroc(one) for name, one in every.items()},
            "tpr": {name: at_low_rate(one) for name, one in every.items()},
            "table": comparison.block(found, keys),
        }
    return row
