"""Protocols: the fast solver and the paper's ask the same question, on every testbed."""

from solidmark.experiments import Lab
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
ASKED = 64


def run(lab: Lab) -> Finding:
    """M by `fast` and by `paper` on the same models; they agree where the difference lies within the margin."""
    rows = {name: [both(lab, lab.testbed(name, held_out=ASKED), seed) for seed in lab.seeds] for name in TESTBEDS}
    differences = {name: over_seeds([paper - fast for fast, paper in found]) for name, found in rows.items()}
    widest = max(differences.values(), key=lambda one: abs(one.value))
    told = ", ".join(f"{name} {one.value:+.3f}" for name, one in differences.items())
    fast = [(name, over_seeds([one for one, _ in found])) for name, found in rows.items()]
    paper = [(name, over_seeds([one for _, one in found])) for name, found in rows.items()]
    return Finding(
        suite="validity",
        name="protocols",
        title="The fast and the paper's protocol agree",
        rule=f"On every testbed the difference of M lies within {MARGIN} of 0.",
        verdict=all_of([decide(one, above=-MARGIN, below=MARGIN) for one in differences.values()]),
        reason=f"paper less fast: {told}",
        statistic="the largest difference of M",
        estimate=widest,
        seeds=lab.seeds,
        series=(Series.of("fast, 25 steps", fast), Series.of("paper, 250 steps", paper)),
        x_title="testbed",
        y_title="M by outpaint",
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
    )


def both(lab: Lab, testbed: Testbed, seed: int) -> tuple[float, float]:
    """M by either protocol."""
    board, model = testbed.board(seed), lab.model(testbed, seed)
    fast, paper = (lab.ask(testbed, seed, model, protocol=testbed.protocols[name]) for name in ("fast", "paper"))
    return lab.recall(fast, board).value, lab.recall(paper, board).value
