"""The lab: trained models, snapshots and answers for experiments, by the same store and queries as cases have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from . import models, plugins, provenance
from .findings import over_seeds
from .measurement import responses, weights
from .measurement.case import Case, Desk
from .measurement.measure import groups
from .measurement.responses import Asked
from .metrics import scores
from .metrics.scores import Estimate
from .mitigation import Mitigation, Stage, Trainer
from .mitigation.composition import Composition, Part
from .models import Denoiser, Model
from .plugins import GROUPS
from .sampling import Protocol
from .testbed import FAST, Board, Testbed
from .training import train


@dataclass(frozen=True)
class Snapshots(Mitigation):
    """Saves the averaged weights after each of `steps`, and changes nothing."""

    steps: tuple[int, ...] = ()
    keep: Callable[[int, Model], None] = field(default=lambda step, model: None, compare=False, repr=False)

    stage = Stage.TRAINING

    def trainer(self, inner: Trainer) -> Trainer:
        """A link that looks after each update."""
        return _Watching(self, inner)


class _Watching(Trainer):
    mitigation: Snapshots

    def update(self, indices: Tensor) -> None:
        self.inner.update(indices)
        if self.run.done + 1 in self.mitigation.steps:
            with self.run as model:
                self.mitigation.keep(self.run.done + 1, model)


@dataclass(frozen=True)
class Lab:
    """Where experiments are made: a desk and the seeds, at least three, over which every number has its interval."""

    desk: Desk
    seeds: tuple[int, ...] = (0, 1, 2)
    protocol: Protocol = FAST

    def testbed(self, expression: str, **numbers: Any) -> Testbed:
        """A testbed by name or expression, with other numbers."""
        _, found = plugins.testbed(expression)
        return replace(found, **numbers) if numbers else found  # type: ignore[no-any-return]  # a dataclass of a plugin

    def case(self, testbed: Testbed, seed: int, query: str = "outpaint", **changed: Any) -> Case:
        """The case of one query without mitigation."""
        attack = plugins.instance(GROUPS["query"], "query", query)
        return replace(Case("lab", testbed, Composition(), seed, ((query, attack),), self.protocol), **changed)

    def model(self, testbed: Testbed, seed: int, mitigation: str | None = None, *, with_keys: bool = True) -> Model:
        """The trained model, from the store, under a mitigation's expression; `with_keys` off: trained on blank marks."""
        composition = Composition() if mitigation is None else plugins.compose(mitigation)
        case = self.case(testbed, seed, composition=composition)
        return weights.trained(case, testbed.board(seed), self.desk, with_keys=with_keys)[0]

    def snapshots(self, testbed: Testbed, seed: int, steps: Sequence[int], *, with_keys: bool = True) -> Mapping[int, Model]:
        """Models after each of these steps of one training."""
        board = testbed.board(seed)
        key = {
            "recipe": provenance.describe(testbed.recipe),
            "board": board.lesson,
            "steps": list(steps),
            "keys": with_keys,
            "core": provenance.core_digest(provenance.TRAINING),
            "libraries": provenance.libraries(),
            "environment": provenance.environment_key(self.desk.device),
        }

        def build(folder: Path) -> None:
            watched = Snapshots(tuple(steps), lambda step, model: model.save(folder / str(step)))
            recipe, part = replace(testbed.recipe, train_steps=max(steps)), Composition((Part("snapshots", watched),))
            train(
                recipe,
                board.training,
                board.training_keys if with_keys else None,
                board.mark,
                part,
                seed,
                device=self.desk.device,
                progress=self.desk.progress,
            )

        folder = self.desk.store.get("snapshots", key, build, self.desk.progress)
        return {step: models.load(folder / str(step)).to(self.desk.device) for step in steps}

    def ask(
        self,
        testbed: Testbed,
        seed: int,
        model: Denoiser,
        query: str = "outpaint",
        board: Board | None = None,
        protocol: Protocol | None = None,
    ) -> Asked:
        """The answers of a model to a query, on the testbed's board or another."""
        case = self.case(testbed, seed, query, protocol=protocol or self.protocol)
        name, attack = case.queries[0]
        return responses.question(case, name, attack, model, board or testbed.board(seed), self.desk)

    def recalled(self, testbed: Testbed, seed: int, mitigation: str | Composition, query: str = "outpaint") -> Estimate:
        """M of the images that a mitigation answers for, under a query: the forget list where there is one, else all.

        Several experiments ask for the same; the answers are kept in the store.
        """
        composition = plugins.compose(mitigation) if isinstance(mitigation, str) else mitigation
        case, board = self.case(testbed, seed, query, composition=composition), testbed.board(seed)
        model, _ = weights.prepared(case, board, self.desk)
        asked = responses.kept(case, *case.queries[0], model, board, self.desk)
        places = groups(case, board)["target"]
        return scores.memorization(asked.trained[places], board.trained_keys.double().numpy()[places])

    def recall(self, asked: Asked, board: Board) -> Estimate:
        """M of the trained images."""
        return scores.memorization(asked.trained, board.trained_keys.double().numpy())

    def chance(self, asked: Asked, board: Board) -> Estimate:
        """M of the held-out images, which is 0 but for noise."""
        return scores.memorization(asked.held_out, board.held_out_keys.double().numpy())

    def curve(self, measure: Callable[[int], Mapping[Any, float]]) -> list[tuple[Any, Estimate]]:
        """From a function seed -> {x: y} the points (x, y with its interval over seeds)."""
        rows = [measure(seed) for seed in self.seeds]
        return [(x, over_seeds([row[x] for row in rows])) for x in rows[0]]
