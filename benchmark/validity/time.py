"""Time: memorization begins after a number of exposures an image, so the step at which it does grows with N."""

from dataclasses import replace
from functools import partial

import numpy as np

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, crossing, decide, decide_passed, over_seeds

STEPS = {
    64: (50, 75, 100, 150, 200, 300),
    256: (200, 300, 400, 500, 700, 900),
    1024: (800, 1200, 1600, 2000, 2600, 3200, 4000, 4800),
}
HALF = 0.5


def run(experiments: Experiments) -> Finding:
    """M against steps at three sizes, constant rate; the step at which M passes 0.5, log against log."""
    rows = {count: {seed: by_steps(experiments, seed, count) for seed in experiments.seeds} for count in STEPS}
    curves = {count: experiments.curve(partial(dict.__getitem__, by_seed)) for count, by_seed in rows.items()}
    crossings = {count: [crossing(row, HALF) for row in by_seed.values()] for count, by_seed in rows.items()}
    slope = over_seeds(
        [_slope({count: crossings[count][index].at for count in STEPS}) for index in range(len(experiments.seeds))]
    )
    exposures = {count: 32 * float(np.mean([point.at for point in points])) / count for count, points in crossings.items()}
    short = {count: sum(not point.passed for point in points) for count, points in crossings.items()}
    text = ", ".join(
        f"{value:.0f} at N = {count}"
        + (f" (a bound: {short[count]} seeds do not pass it in between)" if short[count] else "")
        for count, value in exposures.items()
    )
    return Finding(
        suite="validity",
        name="time",
        title="The time to memorize grows in proportion to the number of images",
        rule="The slope of log(step at M = 0.5) on log N lies between 0.75 and 1.25.",
        verdict=decide_passed(
            [point for points in crossings.values() for point in points], decide(slope, above=0.75, below=1.25)
        ),
        reason=f"M passes 0.5 after so many exposures an image: {text}",
        statistic="slope of log steps on log N",
        estimate=slope,
        seeds=experiments.seeds,
        series=tuple(Series.of(f"N = {count}", curve) for count, curve in curves.items()),
        x_title="training steps",
        y_title="M",
        source="Why Diffusion Models Don't Memorize: The Role of Implicit Dynamical Regularization, arXiv 2505.17638",
        details={"log_x": True, "exposures": exposures},
    )


def by_steps(experiments: Experiments, seed: int, count: int) -> dict[float, float]:
    """M after each of the steps."""
    plain = experiments.testbed(f"digits(trained={count})")
    testbed = replace(plain, recipe=replace(plain.recipe, learning_rate=2e-3, final_lr_fraction=1.0))
    split = testbed.split(seed)
    snapshots = experiments.snapshots(testbed, seed, STEPS[count])
    return {
        float(step): experiments.recall(experiments.ask(testbed, seed, model), split).value
        for step, model in snapshots.items()
    }


def _slope(steps: dict[int, float]) -> float:
    return float(np.polyfit(np.log(list(steps)), np.log(list(steps.values())), 1)[0])
