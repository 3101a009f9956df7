"""Solvers: the fast solver and the paper's measure the same M, on every testbed."""

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, all_of, decide, over_seeds
from solidmark.testbed import Testbed

TESTBEDS = (
    "digits",
    "digits-1",
    "digits-4",
    "digits-16",
    "digits-patch",
    "digits-id",
    "digits-unconditional",
    "mnist",
    "mnist-class",
)
MARGIN = 0.05
HELD_OUT = 64


def run(experiments: Experiments) -> Finding:
    """M by `fast` and by `paper` on the same models; they agree where the difference lies within the margin."""
    rows = {
        name: [both(experiments, experiments.testbed(name, held_out=HELD_OUT), seed) for seed in experiments.seeds]
        for name in TESTBEDS
    }
    differences = {name: over_seeds([paper - fast for fast, paper in pairs]) for name, pairs in rows.items()}
    widest = max(differences.values(), key=lambda difference: abs(difference.value))
    text = ", ".join(f"{name} {difference.value:+.3f}" for name, difference in differences.items())
    fast = [(name, over_seeds([m for m, _ in pairs])) for name, pairs in rows.items()]
    paper = [(name, over_seeds([m for _, m in pairs])) for name, pairs in rows.items()]
    return Finding(
        suite="validity",
        name="solvers",
        title="The fast and the paper's solver agree",
        rule=f"On every testbed the difference of M lies within {MARGIN} of 0.",
        verdict=all_of([decide(difference, above=-MARGIN, below=MARGIN) for difference in differences.values()]),
        reason=f"paper less fast: {text}",
        statistic="the largest difference of M",
        estimate=widest,
        seeds=experiments.seeds,
        series=(Series.of("fast, 25 steps", fast), Series.of("paper, 250 steps", paper)),
        x_title="testbed",
        y_title="M by outpaint",
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
    )


def both(experiments: Experiments, testbed: Testbed, seed: int) -> tuple[float, float]:
    """M by either solver."""
    split, model = testbed.split(seed), experiments.model(testbed, seed)
    fast, paper = (experiments.ask(testbed, seed, model, solver=testbed.solvers[name]) for name in ("fast", "paper"))
    return experiments.recall(fast, split).value, experiments.recall(paper, split).value
