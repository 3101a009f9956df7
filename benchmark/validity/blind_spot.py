"""Blind spot: without captions the published query does not find what a network holds; likelihood does."""

from dataclasses import replace

from solidmark import plugins
from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, all_of, decide, over_seeds
from solidmark.models import Denoiser
from solidmark.models.memorizer import Memorizer

PROPOSALS = (1, 2, 4, 8, 16, 32)


def run(experiments: Experiments) -> Finding:
    """M against the number of proposals, on a trained unconditional model and on the perfect memorizer."""
    rows = [_row(experiments, seed) for seed in experiments.seeds]
    kinds = ("trained", "perfect memorizer")
    reached = {kind: over_seeds([row[kind][PROPOSALS[-1]] for row in rows]) for kind in kinds}
    published = {kind: over_seeds([row[kind][0] for row in rows]) for kind in kinds}
    text = ", ".join(
        f"{kind} {published[kind].value:.2f} by outpaint, {reached[kind].value:.2f} by likelihood" for kind in kinds
    )
    return Finding(
        suite="validity",
        name="blind-spot",
        title="The published query does not find what the network holds",
        rule="Without captions, likelihood with 32 proposals reads M of at least 0.9 from model and memorizer where "
        "outpaint reads less than 0.6.",
        verdict=all_of(
            [*(decide(m, above=0.9) for m in reached.values()), *(decide(m, below=0.6) for m in published.values())]
        ),
        reason=f"M: {text}",
        statistic="M of the trained model by likelihood",
        estimate=reached["trained"],
        seeds=experiments.seeds,
        series=tuple(
            Series.of(kind, [(float(n), over_seeds([row[kind][n] for row in rows])) for n in PROPOSALS]) for kind in kinds
        ),
        x_title="proposals",
        y_title="M",
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
        details={"log_x": True},
    )


def _row(experiments: Experiments, seed: int) -> dict[str, dict[int, float]]:
    testbed = experiments.testbed("digits-unconditional", held_out=64)
    split = testbed.split(seed)
    models = {"trained": experiments.model(testbed, seed), "perfect memorizer": Memorizer(split.marked_training)}
    return {kind: _by_proposals(experiments, seed, model) for kind, model in models.items()}


def _by_proposals(experiments: Experiments, seed: int, model: Denoiser) -> dict[int, float]:
    """M for each number of proposals; that of 0 proposals is M by the published query."""
    testbed = experiments.testbed("digits-unconditional", held_out=64)
    split = testbed.split(seed)
    by_proposals = {0: experiments.recall(experiments.ask(testbed, seed, model), split).value}
    for count in PROPOSALS:
        attack = plugins.instance(plugins.GROUPS["query"], "query", "likelihood", proposals=count)
        case = replace(experiments.case(testbed, seed), queries=(("likelihood", attack),))
        by_proposals[count] = experiments.recall(experiments.ask_case(case, model, split), split).value
    return by_proposals
