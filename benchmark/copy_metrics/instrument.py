"""Instrument: how much random keys delay the memorization of the content inside the mark."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, crossing, decide, decide_passed, over_seeds
from solidmark.models import Model
from solidmark.testbed import Testbed

from .readings import auroc, readings

STEPS = (100, 150, 200, 300, 400)
LEVEL = 0.8
METRIC = "calibrated_l2"

Snapshots = Callable[[Testbed, int, Sequence[int]], Mapping[int, Model]]
"""From testbed, seed and steps to the models after each of these steps."""


def run(experiments: Experiments) -> Finding:
    """AUROC of content copies against steps, with random keys and with one gray on every mark."""
    keyed = [_row(experiments, seed, experiments.snapshots) for seed in experiments.seeds]
    plain = [_row(experiments, seed, experiments.unmarked_snapshots) for seed in experiments.seeds]
    pairs = [(crossing(with_keys, LEVEL), crossing(gray, LEVEL)) for with_keys, gray in zip(keyed, plain, strict=True)]
    delay = over_seeds([with_keys.at / gray.at for with_keys, gray in pairs])
    every = [point for pair in pairs for point in pair]
    short = sum(not point.passed for point in every)
    bound = f"; no more than a bound, since {short} of {len(every)} curves do not pass {LEVEL} in between" if short else ""
    return Finding(
        suite="copy-metrics",
        name="instrument",
        title="What the instrument costs: random keys delay the content",
        rule=f"The number of steps to an AUROC of {LEVEL} of {METRIC} grows by less than half.",
        verdict=decide_passed(every, decide(delay, below=1.5)),
        reason=f"with random keys it takes {delay.value:.2f} times as many steps as with one gray on every mark{bound}",
        statistic=f"steps to AUROC {LEVEL} with keys, over those without",
        estimate=delay,
        seeds=experiments.seeds,
        series=(
            Series.of("random keys", [(float(s), over_seeds([row[s] for row in keyed])) for s in STEPS]),
            Series.of("one gray", [(float(s), over_seeds([row[s] for row in plain])) for s in STEPS]),
        ),
        x_title="training steps",
        y_title=f"AUROC of {METRIC}",
        chance=0.5,
        source="Extracting Training Data from Diffusion Models, arXiv 2301.13188",
        details={"log_x": True},
    )


def _row(experiments: Experiments, seed: int, snapshots: Snapshots) -> dict[int, float]:
    bed = experiments.testbed("digits")
    testbed = replace(bed, recipe=replace(bed.recipe, learning_rate=2e-3, final_lr_fraction=1.0))
    return {
        step: auroc(readings(experiments, testbed, seed, model)[0][METRIC])
        for step, model in snapshots(testbed, seed, STEPS).items()
    }
