"""What each way to compute the quick profile faster gains: the median over turns of before over after, in CPU seconds.

    python design/quick_speed.py

Both are taken in each turn, so that a busy machine hardly matters. The line of memory is of two processes a turn, one as
workers were started before and one as they are now, and has the page faults of a pass beside it.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from tabulate import tabulate

from solidmark import plugins, sampling, seeds
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.models import Model, build
from solidmark.runner.devices import MEMORY
from solidmark.sampling import Service, SolverConfig, noises

QUERIES, TURNS = 128, 5


def cpu(action: Callable[[], object], times: int) -> float:
    """CPU seconds of an action, the mean of so many times."""
    began = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - began) / times


def ratio(before: Callable[[], object], after: Callable[[], object], times: int = 4) -> float:
    """The median over turns of the CPU seconds of `before` over those of `after`."""
    return statistics.median(cpu(before, times) / cpu(after, times) for _ in range(TURNS))


def model() -> Model:
    """The untrained network of the quick profile."""
    return build(plugins.testbed("digits-quick")[1].recipe.network, seeds.torch_rng(0, "speed"))


def branches(denoiser: Model, together: int) -> Callable[[], object]:
    """Two steps of generation with guidance; the branches pass together up to so many numbers."""
    solver, captions = SolverConfig(steps=2, batch=QUERIES), ["seven w1 w2"] * QUERIES
    noise = noises(range(QUERIES), denoiser.shape, solver.draws, 0, "speed")
    mask, observed = torch.ones(QUERIES, 1, 12, 12, dtype=torch.bool), torch.zeros(QUERIES, 1, 12, 12)

    def generate() -> None:
        sampling.TOGETHER = together
        Service(denoiser, Composition(), 0).sample(captions, observed, mask, noise, solver)

    return generate


def passes() -> None:
    """Print CPU seconds and page faults of a pass over all queries in this process."""
    torch.set_num_threads(1)
    denoiser = model().frozen()
    x, embeddings = torch.randn(QUERIES, *denoiser.shape), denoiser.embed(["seven w1 w2"] * QUERIES)
    with torch.no_grad():
        denoiser.predict(x, 500, embeddings)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        took = cpu(lambda: denoiser.predict(x, 500, embeddings), 20)
    print(took, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)


def in_a_process(environment: dict[str, str]) -> tuple[float, float]:
    """What `passes` prints in a process of this environment."""
    given = {name: value for name, value in os.environ.items() if name not in MEMORY} | environment
    done = subprocess.run([sys.executable, __file__, "passes"], env=given, capture_output=True, text=True, check=True)
    took, faults = map(float, done.stdout.split())
    return took, faults


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    denoiser, turns = model(), [(in_a_process({}), in_a_process(MEMORY)) for _ in range(3)]
    faults = [statistics.median(turn[side][1] for turn in turns) for side in (0, 1)]
    p = np.random.default_rng(0).uniform(size=(QUERIES, 8))
    lines = [
        (
            f"freed memory is kept ({faults[0]:.0f} page faults in a pass over {QUERIES} images, then {faults[1]:.0f})",
            statistics.median(before[0] / after[0] for before, after in turns),
        ),
        ("combined p-values by one spline", ratio(lambda: stats.irwinhall.cdf(p.sum(axis=1), 8), lambda: scores.combine(p))),
        ("both branches of guidance in one call", ratio(branches(denoiser.frozen(), 0), branches(denoiser, 2**18), 2)),
    ]
    print(tabulate(lines, headers=("what", "before / after"), tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    passes() if sys.argv[1:] == ["passes"] else main()
