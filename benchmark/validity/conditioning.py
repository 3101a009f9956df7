"""Conditioning: unique captions trigger memorization, coarser ones less, none least, at equal steps."""

from dataclasses import replace

from solidmark.data import Examples
from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, all_of, decide, over_seeds

STEPS = 600
KINDS = ("none", "class", "unique")


def run(experiments: Experiments) -> Finding:
    """M by `likelihood`, which finds most in all kinds, after equal steps without, with coarse, with whole captions."""
    rows = [{kind: _recalled(experiments, kind, seed) for kind in KINDS} for seed in experiments.seeds]
    coarse = over_seeds([row["unique"] - row["class"] for row in rows])
    silent = over_seeds([row["unique"] - row["none"] for row in rows])
    points = [(kind, over_seeds([row[kind] for row in rows])) for kind in KINDS]
    text = ", ".join(f"{kind} {m.value:.2f}" for kind, m in points)
    return Finding(
        suite="validity",
        name="conditioning",
        title="Unique captions trigger memorization",
        rule="M with unique captions is above M with class words, and above M without captions, at equal steps.",
        verdict=all_of([decide(coarse, above=0.0), decide(silent, above=0.0)]),
        reason=f"M after {STEPS} steps: {text}",
        statistic="M with unique captions less M with class words",
        estimate=coarse,
        seeds=experiments.seeds,
        series=(Series.of("M by likelihood", points),),
        x_title="captions",
        y_title="M",
        source="On Memorization in Diffusion Models, arXiv 2310.02664",
        details={"less none": [silent.low, silent.high]},
    )


def _recalled(experiments: Experiments, kind: str, seed: int) -> float:
    plain = experiments.testbed("digits-unconditional" if kind == "none" else "digits")
    testbed = replace(plain, recipe=replace(plain.recipe, train_steps=STEPS))
    split = testbed.split(seed)
    model = experiments.model(testbed, seed, "coarse-caption(words=1)" if kind == "class" else None)
    if kind == "class":  # asked with the captions that it was trained on
        split = replace(split, trained=_classes(split.trained), held_out=_classes(split.held_out))
    return experiments.recall(experiments.ask(testbed, seed, model, "likelihood", split), split).value


def _classes(examples: Examples) -> Examples:
    return replace(examples, captions=[caption.split()[0] for caption in examples.captions])
