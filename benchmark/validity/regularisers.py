"""Regularisers: capacity raises memorization, dropout lowers it, weight decay hardly matters."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, Verdict, decide, over_seeds
from solidmark.testbed import Testbed

STEPS = 300
WIDTHS = {0.25: (8, 16), 0.5: (16, 32), 1.0: (32, 64)}
DROPOUT = (0.0, 0.1, 0.3)
DECAY = (0.0, 0.01, 0.1, 1.0)


def capacity(lab: Lab) -> Finding:
    """M at equal steps against the width of the network."""

    def made(testbed: Testbed, width: float) -> Testbed:
        return _with_network(testbed, widths=WIDTHS[width])

    return _finding(
        lab,
        "capacity",
        "More capacity, more memory",
        "M of the widest network is above that of the narrowest.",
        made,
        tuple(WIDTHS),
        lambda difference: decide(difference, above=0.0),
        "width of the network, of the default",
        {"log_x": True},
    )


def dropout(lab: Lab) -> Finding:
    """M at equal steps against dropout."""

    def made(testbed: Testbed, rate: float) -> Testbed:
        return _with_network(testbed, dropout=rate)

    return _finding(
        lab,
        "dropout",
        "Dropout lowers memorization",
        "M at the highest dropout is below that without.",
        made,
        DROPOUT,
        lambda difference: decide(difference, below=0.0),
        "dropout",
        {},
    )


def weight_decay(lab: Lab) -> Finding:
    """M at equal steps against weight decay."""

    def made(testbed: Testbed, rate: float) -> Testbed:
        return replace(testbed, recipe=replace(testbed.recipe, weight_decay=rate))

    return _finding(
        lab,
        "weight-decay",
        "Weight decay hardly matters, but for extremes",
        "M at the highest weight decay is within 0.1 of that without.",
        made,
        DECAY,
        lambda difference: decide(difference, above=-0.1, below=0.1),
        "weight decay",
        {},
    )


def _with_network(testbed: Testbed, **changed: Any) -> Testbed:
    return replace(testbed, recipe=replace(testbed.recipe, network=replace(testbed.recipe.network, **changed)))


def _finding(
    lab: Lab,
    name: str,
    title: str,
    rule: str,
    made: Callable[[Testbed, float], Testbed],
    values: tuple[float, ...],
    decided: Callable[..., Verdict],
    x_title: str,
    details: Mapping[str, Any],
) -> Finding:
    """M at STEPS steps for each value; the last against the first, paired by seed."""
    plain = lab.testbed("digits")
    short = replace(plain, recipe=replace(plain.recipe, train_steps=STEPS))

    def by_value(seed: int) -> dict[float, float]:
        return {value: _recalled(lab, made(short, value), seed) for value in values}

    rows = [by_value(seed) for seed in lab.seeds]
    difference = over_seeds([row[values[-1]] - row[values[0]] for row in rows])
    curve = [(value, over_seeds([row[value] for row in rows])) for value in values]
    told = ", ".join(f"{one.value:.2f} at {value:g}" for value, one in curve)
    return Finding(
        suite="validity",
        name=name,
        title=title,
        rule=rule,
        verdict=decided(difference),
        reason=f"M after {STEPS} steps: {told}",
        statistic="M at the last value less M at the first",
        estimate=difference,
        seeds=lab.seeds,
        series=(Series.of("digits", curve),),
        x_title=x_title,
        y_title="M",
        source="On Memorization in Diffusion Models, arXiv 2310.02664",
        details=dict(details),
    )


def _recalled(lab: Lab, testbed: Testbed, seed: int) -> float:
    return lab.recall(lab.ask(testbed, seed, lab.model(testbed, seed)), testbed.board(seed)).value
