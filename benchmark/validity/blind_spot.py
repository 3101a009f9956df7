"""Blind spot: without captions the published query does not find what a network holds; likelihood does."""

from dataclasses import replace

from solidmark import plugins
from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, all_of, decide, over_seeds
from solidmark.measurement import responses
from solidmark.models import Denoiser
from solidmark.models.memorizer import Memorizer

PROPOSALS = (1, 2, 4, 8, 16, 32)


def run(lab: Lab) -> Finding:
    """M against the number of proposals, on a trained unconditional model and on the perfect memorizer."""
    rows = [_row(lab, seed) for seed in lab.seeds]
    kinds = ("trained", "perfect memorizer")
    reached = {kind: over_seeds([row[kind][PROPOSALS[-1]] for row in rows]) for kind in kinds}
    published = {kind: over_seeds([row[kind][0] for row in rows]) for kind in kinds}
    told = ", ".join(
        f"{kind} {published[kind].value:.2f} by outpaint, {reached[kind].value:.2f} by likelihood" for kind in kinds
    )
    return Finding(
        suite="validity",
        name="blind-spot",
        title="The published query does not find what the network holds",
        rule="Without captions, likelihood with 32 proposals reads M of at least 0.9 from model and memorizer where "
        "outpaint reads less than 0.6.",
        verdict=all_of(
            [*(decide(one, above=0.9) for one in reached.values()), *(decide(one, below=0.6) for one in published.values())]
        ),
        reason=f"M: {told}",
        statistic="M of the trained model by likelihood",
        estimate=reached["trained"],
        seeds=lab.seeds,
        series=tuple(
            Series.of(kind, [(float(n), over_seeds([row[kind][n] for row in rows])) for n in PROPOSALS]) for kind in kinds
        ),
        x_title="proposals",
        y_title="M",
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
        details={"log_x": True},
    )


def _row(lab: Lab, seed: int) -> dict[str, dict[int, float]]:
    testbed = lab.testbed("digits-unconditional", held_out=64)
    board = testbed.board(seed)
    askable = {"trained": lab.model(testbed, seed), "perfect memorizer": Memorizer(board.marked_training)}
    return {kind: _by_proposals(lab, seed, model) for kind, model in askable.items()}


def _by_proposals(lab: Lab, seed: int, model: Denoiser) -> dict[int, float]:
    """M for each number of proposals; 0 stands for the published query."""
    testbed = lab.testbed("digits-unconditional", held_out=64)
    board, found = testbed.board(seed), {0: lab.recall(lab.ask(testbed, seed, model), testbed.board(seed)).value}
    for count in PROPOSALS:
        attack = plugins.instance(plugins.GROUPS["query"], "query", "likelihood", proposals=count)
        case = replace(lab.case(testbed, seed), queries=(("likelihood", attack),))
        found[count] = lab.recall(responses.question(case, "likelihood", attack, model, board, lab.desk), board).value
    return found
