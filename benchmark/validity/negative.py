"""Negative controls: models that cannot know the keys are at chance."""

from dataclasses import replace

from solidmark import models, seeds
from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, all_of, decide, over_seeds
from solidmark.metrics import scores

MARGIN = 0.1


def run(experiments: Experiments) -> Finding:
    """Other keys, a network as it was initialised, and one trained on unmarked images."""
    rows = [_row(experiments, seed) for seed in experiments.seeds]
    points = [(name, over_seeds([row[name] for row in rows])) for name in rows[0]]
    furthest = max((m for _, m in points), key=lambda m: abs(m.value))
    text = ", ".join(f"{name} {m.value:+.3f}" for name, m in points)
    return Finding(
        suite="validity",
        name="negative",
        title="Models that cannot know the keys are at chance",
        rule=f"M of each lies within {MARGIN} of 0.",
        verdict=all_of([decide(m, above=-MARGIN, below=MARGIN) for _, m in points]),
        reason=f"M: {text}",
        statistic="the M furthest from 0",
        estimate=furthest,
        seeds=experiments.seeds,
        series=(Series.of("digits", points),),
        x_title="negative control",
        y_title="M",
    )


def _row(experiments: Experiments, seed: int) -> dict[str, float]:
    testbed = experiments.testbed("digits")
    split, trained = testbed.split(seed), experiments.model(testbed, seed)
    blank = experiments.unmarked_model(testbed, seed)
    fresh = models.build(testbed.recipe.network, seeds.torch_rng(seed, "a network that was never trained")).frozen()
    other = split.other_keys.double().numpy()
    swapped = replace(split, trained=split.held_out.take(range(len(split.trained))))
    return {
        "other keys": scores.memorization(experiments.ask(testbed, seed, trained).trained, other).value,
        "initialised": experiments.recall(experiments.ask(testbed, seed, fresh), split).value,
        "trained unmarked": experiments.recall(experiments.ask(testbed, seed, blank), split).value,
        "other images": experiments.recall(experiments.ask(testbed, seed, trained, split=swapped), split).value,
    }
