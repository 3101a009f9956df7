"""Dose: the more copies of an image are trained on, the better it is remembered."""

from itertools import pairwise

import numpy as np

from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, Verdict, all_of, decide, over_seeds
from solidmark.metrics import scores

COPIES = (1, 2, 4, 8)


def run(lab: Lab) -> Finding:
    """Copies share their key; M of each group of 64 images, and of held-out ones as zero copies."""
    curve = lab.curve(lambda seed: by_copies(lab, seed))
    slope = over_seeds([_slope(by_copies(lab, seed)) for seed in lab.seeds])
    nothing = curve[0][1]
    rising = [a.value < b.value for (_, a), (_, b) in pairwise(curve)]
    verdict = all_of([
        decide(slope, above=0.0),
        Verdict.HOLDS if all(rising) else Verdict.UNDECIDED,
        Verdict.HOLDS if nothing.low < 0 < nothing.high else decide(nothing, below=0.12),
    ])  # fmt: skip
    told = ", ".join(f"{one.value:.2f}" for _, one in curve)
    return Finding(
        suite="validity",
        name="dose",
        title="M rises with the number of copies",
        rule="The slope of M on log2(copies) lies above 0, mean M rises from group to group, and M of no copies is 0.",
        verdict=verdict,
        reason=f"M for 0, 1, 2, 4 and 8 copies: {told}",
        statistic="slope of M per doubling of copies",
        estimate=slope,
        seeds=lab.seeds,
        series=(Series.of("copies share their key", curve),),
        x_title="copies in training",
        y_title="M",
        source="Extracting Training Data from Diffusion Models, arXiv 2301.13188",
    )


def by_copies(lab: Lab, seed: int) -> dict[float, float]:
    """M of the images of each number of copies, 0 for the held-out ones."""
    testbed = lab.testbed("digits-duplicates")
    board, copies = testbed.board(seed), np.array(testbed.copies())  # type: ignore[attr-defined]  # a testbed of copies
    asked, keys = lab.ask(testbed, seed, lab.model(testbed, seed)), board.trained_keys.double().numpy()
    found = {float(n): scores.memorization(asked.trained[copies == n], keys[copies == n]).value for n in COPIES}
    return {0.0: lab.chance(asked, board).value, **found}


def _slope(row: dict[float, float]) -> float:
    return float(np.polyfit(np.log2(COPIES), [row[float(n)] for n in COPIES], 1)[0])
