"""What a query costs: against the published way of asking, and outside the denoiser."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from solidmark import plugins, training
from solidmark.marks import read
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.weights import train_or_load
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.run import TrainingSet
from solidmark.models import Model
from solidmark.queries import Audit
from solidmark.sampling import Service, SolverConfig
from solidmark.split import Split
from solidmark.store import Store, default_root
from solidmark.testbed import Testbed

from .line import Line, median_ratio

TESTBEDS = {"digits": 150.0, "latent-digits": 40.0}
"""How many times faster than the published way an image shall be asked."""
ALONE = 1
"""Images that are asked in the published way in each turn: one at a time, with the published number of steps."""


@cache
def trained(name: str) -> tuple[Testbed, Model]:
    """A testbed and its unmitigated model of seed 0, from the store."""
    testbed = plugins.testbed(name)[1]
    case = Case(name, testbed, Composition(), 0, (), testbed.solvers["fast"])
    return testbed, train_or_load(case, Workspace(Store(default_root())))[0]


def ask(model: Model, split: Split, count: int, solver: SolverConfig) -> Any:
    """The pictures that a model makes of so many trained images whose marks are blank."""
    service = Service(model, Composition(), 0)
    return Audit(split.queried.take(range(count)), split.mark, solver, service, 0, "perf").outpaint()


def query() -> list[Line]:
    """How many times longer an image takes in the published way than in ours, and M of both.

    `fast` is the default, `short` has half of its steps; the goal stands beside both.
    """
    return [_against_published(name, solver, goal) for name, goal in TESTBEDS.items() for solver in ("fast", "short")]


def _against_published(name: str, solver: str, goal: float) -> Line:
    testbed, model = trained(name)
    split, ours, paper = testbed.split(0), testbed.solvers[solver], testbed.solvers["paper"]
    every, alone = len(split.trained), replace(paper, batch=1)
    ratio = median_ratio(lambda: ask(model, split, ALONE, alone), lambda: ask(model, split, every, ours)) * every / ALONE
    remark = (
        f"M {_memorization(model, split, ours)}, in the published way {_memorization(model, split, paper)}; "
        f"{ours.steps} steps against {paper.steps}"
    )
    return Line(f"{name}: an image in the published way, over `{solver}`", ratio, "x", goal, remark=remark)


def _memorization(model: Model, split: Split, solver: SolverConfig) -> str:
    predicted = read(split.mark, ask(model, split, len(split.trained), solver)).double().numpy()
    found = scores.memorization(predicted, split.trained_keys.double().numpy())
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def denoiser() -> list[Line]:
    """The share of a training and of a query that is spent inside the network."""
    testbed, model = trained("digits")
    split, recipe = testbed.split(0), replace(testbed.recipe, train_steps=60)
    whole = TrainingSet(split.training, split.training_keys, split.mark)
    inside = Clock()
    forward, grad = Model._denoise, torch.autograd.grad
    Model._denoise = inside.timed(forward)  # type: ignore[method-assign]  # a clock round it
    torch.autograd.grad = inside.timed(grad)
    try:
        trained_share = inside.share(lambda: training.train(recipe, whole, Composition(), 0))
        asked_share = inside.share(lambda: ask(model, split, 64, testbed.solvers["fast"]))
    finally:
        Model._denoise, torch.autograd.grad = forward, grad  # type: ignore[method-assign]
    return [
        Line("digits: share of a training inside the network", 100 * trained_share, " %", 80.0),
        Line("digits: share of a query inside the network", 100 * asked_share, " %", 90.0),
    ]


class Clock:
    """Adds up the CPU seconds that pass inside the functions it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def inner(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.process_time() - began

        return inner

    def share(self, action: Callable[[], object]) -> float:
        """The share of an action's CPU seconds that passes inside."""
        self.seconds, began = 0.0, time.process_time()
        action()
        return self.seconds / (time.process_time() - began)
