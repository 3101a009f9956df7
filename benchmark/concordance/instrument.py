"""Instrument: how much random keys delay the memorization of the content that they are painted round."""

from dataclasses import replace

from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, crossing, decide, decide_passed, over_seeds

from .readings import auroc, readings

STEPS = (100, 150, 200, 300, 400)
LEVEL = 0.8
METRIC = "calibrated_l2"


def run(lab: Lab) -> Finding:
    """AUROC of content copies against steps, with random keys and with one gray on every mark."""
    keyed = [_row(lab, seed, with_keys=True) for seed in lab.seeds]
    plain = [_row(lab, seed, with_keys=False) for seed in lab.seeds]
    reached = [(crossing(one, LEVEL), crossing(other, LEVEL)) for one, other in zip(keyed, plain, strict=True)]
    delay = over_seeds([one.at / other.at for one, other in reached])
    every = [one for pair in reached for one in pair]
    short = sum(not one.passed for one in every)
    told = f"; no more than a bound, since {short} of {len(every)} curves do not pass {LEVEL} in between" if short else ""
    return Finding(
        suite="concordance",
        name="instrument",
        title="What the instrument costs: random keys delay the content",
        rule=f"The number of steps to an AUROC of {LEVEL} of {METRIC} grows by less than half.",
        verdict=decide_passed(every, decide(delay, below=1.5)),
        reason=f"with random keys it takes {delay.value:.2f} times as many steps as with one gray on every mark{told}",
        statistic=f"steps to AUROC {LEVEL} with keys, over those without",
        estimate=delay,
        seeds=lab.seeds,
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


def _row(lab: Lab, seed: int, *, with_keys: bool) -> dict[int, float]:
    bed = lab.testbed("digits")
    testbed = replace(bed, recipe=replace(bed.recipe, learning_rate=2e-3, final_rate=1.0))
    snapshots = lab.snapshots(testbed, seed, STEPS, with_keys=with_keys)
    return {step: auroc(readings(lab, testbed, seed, model)[0][METRIC]) for step, model in snapshots.items()}
