"""Dose: the more copies of an image are trained on, the better it is remembered."""

from itertools import pairwise

import numpy as np

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, Verdict, all_of, decide, over_seeds
from solidmark.metrics import scores

COPIES = (1, 2, 4, 8)


def run(experiments: Experiments) -> Finding:
    """Copies share their key; M of each group of 64 images, and of held-out ones as zero copies."""
    curve = experiments.curve(lambda seed: by_copies(experiments, seed))
    slope = over_seeds([_slope(by_copies(experiments, seed)) for seed in experiments.seeds])
    nothing = curve[0][1]
    rising = [a.value < b.value for (_, a), (_, b) in pairwise(curve)]
    verdict = all_of([
        decide(slope, above=0.0),
        Verdict.HOLDS if all(rising) else Verdict.UNDECIDED,
        Verdict.HOLDS if nothing.limits[0] < 0 < nothing.limits[1] else decide(nothing, below=0.12),
    ])  # fmt: skip
    text = ", ".join(f"{m.value:.2f}" for _, m in curve)
    return Finding(
        suite="validity",
        name="dose",
        title="M rises with the number of copies",
        rule="The slope of M on log2(copies) lies above 0, mean M rises from group to group, and M of no copies is 0.",
        verdict=verdict,
        reason=f"M for 0, 1, 2, 4 and 8 copies: {text}",
        statistic="slope of M per doubling of copies",
        estimate=slope,
        seeds=experiments.seeds,
        series=(Series.of("copies share their key", curve),),
        x_title="copies in training",
        y_title="M",
        source="Extracting Training Data from Diffusion Models, arXiv 2301.13188",
    )


def by_copies(experiments: Experiments, seed: int) -> dict[float, float]:
    """M of the images of each number of copies, 0 for the held-out ones."""
    testbed = experiments.testbed("digits-duplicates")
    split, copies = testbed.split(seed), np.array(testbed.copies())  # type: ignore[attr-defined]  # a testbed of copies
    responses, keys = experiments.ask(testbed, seed, experiments.model(testbed, seed)), split.trained_keys.double().numpy()
    copied = {float(n): scores.memorization(responses.trained[copies == n], keys[copies == n]).value for n in COPIES}
    return {0.0: experiments.chance(responses, split).value, **copied}


def _slope(row: dict[float, float]) -> float:
    return float(np.polyfit(np.log2(COPIES), [row[float(n)] for n in COPIES], 1)[0])
