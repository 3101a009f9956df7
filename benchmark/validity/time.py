"""Time: memorization begins after a number of exposures an image, so the step at which it does grows with N."""

from dataclasses import replace
from functools import partial

import numpy as np

from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, crossing, decide, decide_passed, over_seeds

STEPS = {
    64: (50, 75, 100, 150, 200, 300),
    256: (200, 300, 400, 500, 700, 900),
    1024: (800, 1200, 1600, 2000, 2600, 3200, 4000, 4800),
}
HALF = 0.5


def run(lab: Lab) -> Finding:
    """M against steps at three sizes, constant rate; the step at which M passes 0.5, log against log."""
    rows = {count: {seed: by_steps(lab, seed, count) for seed in lab.seeds} for count in STEPS}
    curves = {count: lab.curve(partial(dict.__getitem__, found)) for count, found in rows.items()}
    crossings = {count: [crossing(row, HALF) for row in found.values()] for count, found in rows.items()}
    slope = over_seeds([_slope({count: crossings[count][place].at for count in STEPS}) for place in range(len(lab.seeds))])
    exposures = {count: 32 * float(np.mean([one.at for one in found])) / count for count, found in crossings.items()}
    short = {count: sum(not one.passed for one in found) for count, found in crossings.items()}
    told = ", ".join(
        f"{value:.0f} at N = {count}"
        + (f" (a bound: {short[count]} seeds do not pass it in between)" if short[count] else "")
        for count, value in exposures.items()
    )
    return Finding(
        suite="validity",
        name="time",
        title="The time to memorize grows in proportion to the number of images",
        rule="The slope of log(step at M = 0.5) on log N lies between 0.75 and 1.25.",
        verdict=decide_passed([one for found in crossings.values() for one in found], decide(slope, above=0.75, below=1.25)),
        reason=f"M passes 0.5 after so many exposures an image: {told}",
        statistic="slope of log steps on log N",
        estimate=slope,
        seeds=lab.seeds,
        series=tuple(Series.of(f"N = {count}", curve) for count, curve in curves.items()),
        x_title="training steps",
        y_title="M",
        source="Why Diffusion Models Don't Memorize: The Role of Implicit Dynamical Regularization, arXiv 2505.17638",
        details={"log_x": True, "exposures": exposures},
    )


def by_steps(lab: Lab, seed: int, count: int) -> dict[float, float]:
    """M after each of the steps."""
    plain = lab.testbed(f"digits(trained={count})")
    testbed = replace(plain, recipe=replace(plain.recipe, learning_rate=2e-3, final_rate=1.0))
    board = testbed.board(seed)
    snapshots = lab.snapshots(testbed, seed, STEPS[count])
    return {float(step): lab.recall(lab.ask(testbed, seed, model), board).value for step, model in snapshots.items()}


def _slope(found: dict[int, float]) -> float:
    return float(np.polyfit(np.log(list(found)), np.log(list(found.values())), 1)[0])
