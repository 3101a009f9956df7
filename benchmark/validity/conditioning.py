"""Conditioning: unique captions trigger memorization, coarser ones less, none least, at equal steps."""

from dataclasses import replace

from solidmark.data import Examples
from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, all_of, decide, over_seeds

STEPS = 600
KINDS = ("none", "class", "unique")


def run(lab: Lab) -> Finding:
    """M by `likelihood`, which finds most in all kinds, after equal steps without, with coarse, with whole captions."""
    rows = [{kind: _recalled(lab, kind, seed) for kind in KINDS} for seed in lab.seeds]
    coarse = over_seeds([row["unique"] - row["class"] for row in rows])
    silent = over_seeds([row["unique"] - row["none"] for row in rows])
    points = [(kind, over_seeds([row[kind] for row in rows])) for kind in KINDS]
    told = ", ".join(f"{kind} {one.value:.2f}" for kind, one in points)
    return Finding(
        suite="validity",
        name="conditioning",
        title="Unique captions trigger memorization",
        rule="M with unique captions is above M with class words, and above M without captions, at equal steps.",
        verdict=all_of([decide(coarse, above=0.0), decide(silent, above=0.0)]),
        reason=f"M after {STEPS} steps: {told}",
        statistic="M with unique captions less M with class words",
        estimate=coarse,
        seeds=lab.seeds,
        series=(Series.of("M by likelihood", points),),
        x_title="captions",
        y_title="M",
        source="On Memorization in Diffusion Models, arXiv 2310.02664",
        details={"less none": [silent.low, silent.high]},
    )


def _recalled(lab: Lab, kind: str, seed: int) -> float:
    plain = lab.testbed("digits-unconditional" if kind == "none" else "digits")
    testbed = replace(plain, recipe=replace(plain.recipe, train_steps=STEPS))
    board = testbed.board(seed)
    model = lab.model(testbed, seed, "coarse-caption(words=1)" if kind == "class" else None)
    if kind == "class":  # asked with the captions that it was trained on
        board = replace(board, trained=_classes(board.trained), held_out=_classes(board.held_out))
    return lab.recall(lab.ask(testbed, seed, model, "likelihood", board), board).value


def _classes(examples: Examples) -> Examples:
    return replace(examples, captions=[caption.split()[0] for caption in examples.captions])
