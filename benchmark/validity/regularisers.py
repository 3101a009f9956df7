"""Regularisers: capacity raises memorization, dropout lowers it, weight decay hardly matters."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, Verdict, decide, over_seeds
from solidmark.schema.numbers import Estimate
from solidmark.testbed import Testbed

STEPS = 300
WIDTHS = {0.25: (8, 16), 0.5: (16, 32), 1.0: (32, 64)}
DROPOUT = (0.0, 0.1, 0.3)
DECAY = (0.0, 0.01, 0.1, 1.0)


def capacity(experiments: Experiments) -> Finding:
    """M at equal steps against the width of the network."""

    def change(testbed: Testbed, width: float) -> Testbed:
        return _with_network(testbed, widths=WIDTHS[width])

    return _finding(
        experiments,
        "capacity",
        "More capacity, more memory",
        "M of the widest network is above that of the narrowest.",
        change,
        tuple(WIDTHS),
        lambda difference: decide(difference, above=0.0),
        "width of the network, of the default",
        {"log_x": True},
    )


def dropout(experiments: Experiments) -> Finding:
    """M at equal steps against dropout."""

    def change(testbed: Testbed, rate: float) -> Testbed:
        return _with_network(testbed, dropout=rate)

    return _finding(
        experiments,
        "dropout",
        "Dropout lowers memorization",
        "M at the highest dropout is below that without.",
        change,
        DROPOUT,
        lambda difference: decide(difference, below=0.0),
        "dropout",
        {},
    )


def weight_decay(experiments: Experiments) -> Finding:
    """M at equal steps against weight decay."""

    def change(testbed: Testbed, rate: float) -> Testbed:
        return replace(testbed, recipe=replace(testbed.recipe, weight_decay=rate))

    return _finding(
        experiments,
        "weight-decay",
        "Weight decay hardly matters, but for extremes",
        "M at the highest weight decay is within 0.1 of that without.",
        change,
        DECAY,
        lambda difference: decide(difference, above=-0.1, below=0.1),
        "weight decay",
        {},
    )


def _with_network(testbed: Testbed, **changed: Any) -> Testbed:
    return replace(testbed, recipe=replace(testbed.recipe, network=replace(testbed.recipe.network, **changed)))


def _finding(
    experiments: Experiments,
    name: str,
    title: str,
    rule: str,
    change: Callable[[Testbed, float], Testbed],
    values: tuple[float, ...],
    judge: Callable[[Estimate], Verdict],
    x_title: str,
    details: Mapping[str, Any],
) -> Finding:
    """M at STEPS steps for each value; the last against the first, paired by seed."""
    plain = experiments.testbed("digits")
    short = replace(plain, recipe=replace(plain.recipe, train_steps=STEPS))

    def by_value(seed: int) -> dict[float, float]:
        return {value: _recalled(experiments, change(short, value), seed) for value in values}

    rows = [by_value(seed) for seed in experiments.seeds]
    difference = over_seeds([row[values[-1]] - row[values[0]] for row in rows])
    curve = [(value, over_seeds([row[value] for row in rows])) for value in values]
    text = ", ".join(f"{m.value:.2f} at {value:g}" for value, m in curve)
    return Finding(
        suite="validity",
        name=name,
        title=title,
        rule=rule,
        verdict=judge(difference),
        reason=f"M after {STEPS} steps: {text}",
        statistic="M at the last value less M at the first",
        estimate=difference,
        seeds=experiments.seeds,
        series=(Series.of("digits", curve),),
        x_title=x_title,
        y_title="M",
        source="On Memorization in Diffusion Models, arXiv 2310.02664",
        details=dict(details),
    )


def _recalled(experiments: Experiments, testbed: Testbed, seed: int) -> float:
    return experiments.recall(experiments.ask(testbed, seed, experiments.model(testbed, seed)), testbed.split(seed)).value
