"""Experiments: trained models, snapshots and answers for them, from the same store and queries that cases use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from . import models, plugins, provenance
from .findings import over_seeds
from .measurement import action, answers, content, distances, weights
from .measurement.answers import PLAIN
from .measurement.blind import with_keys
from .measurement.case import Case, Workspace
from .measurement.distances import HEADLINE
from .measurement.responses import Responses
from .measurement.weights import BuildInfo
from .metrics import scores
from .metrics.features import judge_features
from .mitigation import Mitigation, Stage, Trainer
from .mitigation.composition import Composition, Part
from .mitigation.run import TrainingSet
from .models import Denoiser, Model
from .plugins import GROUPS
from .queries.caption_only import CaptionOnly
from .sampling import SolverConfig
from .schema.numbers import Estimate
from .split import Split
from .testbed import FAST, Testbed
from .training import train


@dataclass(frozen=True)
class Snapshots(Mitigation):
    """Saves the averaged weights after each of `steps`, and changes nothing."""

    steps: tuple[int, ...] = ()
    save: Callable[[int, Model], None] = field(default=lambda step, model: None, compare=False, repr=False)

    stage = Stage.TRAINING

    def trainer(self, inner: Trainer) -> Trainer:
        """A wrapper that saves after an update."""
        return _SnapshotTrainer(self, inner)


class _SnapshotTrainer(Trainer):
    mitigation: Snapshots

    def update(self, indices: Tensor) -> None:
        self.inner.update(indices)
        if self.run.done + 1 in self.mitigation.steps:
            with self.run as model:
                self.mitigation.save(self.run.done + 1, model)


@dataclass(frozen=True)
class Experiments:
    """What every experiment needs: a workspace, and at least three seeds, over which every number has its interval."""

    workspace: Workspace
    seeds: tuple[int, ...] = (0, 1, 2)
    solver: SolverConfig = FAST
    names: dict[type, str] = field(default_factory=dict, compare=False)
    """Of the testbeds that were asked for, by their classes, for what tells whose model is trained or stored."""

    def testbed(self, expression: str, **numbers: Any) -> Testbed:
        """A testbed by name or expression, with other numbers."""
        name, testbed = plugins.testbed(expression)
        self.names[type(testbed)] = name
        return replace(testbed, **numbers) if numbers else testbed  # type: ignore[no-any-return]  # a plugin's dataclass

    def case(self, testbed: Testbed, seed: int, query: str = "outpaint", **changed: Any) -> Case:
        """The case of one query without mitigation."""
        attack = plugins.instance(GROUPS["query"], "query", query)
        name = self.names.get(type(testbed), "experiment")
        return replace(Case(name, testbed, Composition(), seed, ((query, attack),), self.solver), **changed)

    def model(self, testbed: Testbed, seed: int, mitigation: str | None = None) -> Model:
        """The trained model, from the store, under a mitigation's expression."""
        composition = Composition() if mitigation is None else plugins.compose(mitigation)
        return weights.train_or_load(self.case(testbed, seed, composition=composition), self.workspace.suited(testbed))[0]

    def unmarked_model(self, testbed: Testbed, seed: int) -> Model:
        """The model of the same training on blank marks."""
        return weights.train_or_load(self.case(testbed, seed, marked=False), self.workspace.suited(testbed))[0]

    def snapshots(self, testbed: Testbed, seed: int, steps: Sequence[int]) -> Mapping[int, Model]:
        """Models after each of these steps of one training."""
        return self._snapshots(self.case(testbed, seed), steps)

    def unmarked_snapshots(self, testbed: Testbed, seed: int, steps: Sequence[int]) -> Mapping[int, Model]:
        """Models of the same training on blank marks."""
        return self._snapshots(self.case(testbed, seed, marked=False), steps)

    def _snapshots(self, case: Case, steps: Sequence[int]) -> Mapping[int, Model]:
        split, testbed, workspace = case.truth, case.testbed, self.workspace.suited(case.testbed)
        key = {
            "recipe": provenance.describe(testbed.recipe),
            "split": split.training_digest,
            "steps": list(steps),
            "keys": case.marked,
        }

        def build(folder: Path) -> None:
            snapshots = Snapshots(tuple(steps), lambda step, model: model.save(folder / str(step)))
            recipe, parts = replace(testbed.recipe, train_steps=max(steps)), Composition((Part("snapshots", snapshots),))
            training_set = TrainingSet(split.training, case.training_keys, split.mark)
            train(recipe, training_set, parts, case.seed, device=workspace.device, progress=workspace.progress)

        folder = workspace.stored("snapshots", key, provenance.TRAINING, build, weights.label(case))
        return {step: models.load(folder / str(step)).to(workspace.device) for step in steps}

    def ask(
        self,
        testbed: Testbed,
        seed: int,
        model: Denoiser,
        query: str = "outpaint",
        split: Split | None = None,
        solver: SolverConfig | None = None,
    ) -> Responses:
        """The answers of a model to a query, about the testbed's split or another one."""
        case = self.case(testbed, seed, query, solver=solver or self.solver)
        return self.ask_case(case, model, split or case.truth)

    def ask_case(self, case: Case, model: Denoiser, split: Split) -> Responses:
        """The answers to the leading query of a case, about a split."""
        return answers.ask_query(case, case.leading, model, self.workspace.suited(case.testbed), with_keys(split))

    def measure_recall(
        self,
        testbed: Testbed,
        seed: int,
        mitigation: str | Composition,
        query: str = "outpaint",
        solver: SolverConfig | None = None,
    ) -> Estimate:
        """M of the images that a mitigation is about, under a query: the forget list where there is one, else all.

        Several experiments need the same M, so the answers are stored.
        """
        case, responses, _ = self._answered(testbed, seed, mitigation, query, solver or self.solver)
        target = case.groups["target"]
        return scores.memorization(responses.trained[target], case.truth.trained_keys.double().numpy()[target])

    def measure_action(
        self, testbed: Testbed, seed: int, mitigation: Composition, query: str, solver: SolverConfig
    ) -> float | None:
        """The share of queries on which a mitigation says that it acted; None where a part of it does not say."""
        _, responses, builds = self._answered(testbed, seed, mitigation, query, solver)
        return action.of_row((*(build.reported for build in builds), responses.doses), mitigation.parts)

    def _answered(
        self, testbed: Testbed, seed: int, mitigation: str | Composition, query: str, solver: SolverConfig
    ) -> tuple[Case, Responses, Sequence[BuildInfo]]:
        """A case, its answers to a query, from the store where they were asked for before, and the builds of its model."""
        composition = plugins.compose(mitigation) if isinstance(mitigation, str) else mitigation
        case = self.case(testbed, seed, query, composition=composition, solver=solver)
        workspace = self.workspace.suited(case.testbed)
        model, builds = weights.edit_or_load(case, workspace)
        return case, answers.ask_cached(case, case.leading, model, workspace), tuple(builds.values())

    def measure_copies(
        self, testbed: Testbed, seed: int, mitigation: str | Composition, solver: SolverConfig
    ) -> dict[str, float]:
        """By distance, how well pictures of their own captions tell trained from held-out images: 2 AUROC - 1, chance 0.

        `ratio` is the headline of content and `any` the same of pictures of any caption; the others are the installed
        distances that apply, where captions are images' own. The pictures are generated plainly and stored.
        """
        composition = plugins.compose(mitigation) if isinstance(mitigation, str) else mitigation
        plain = ((PLAIN, CaptionOnly()),)
        case = replace(self.case(testbed, seed, composition=composition, solver=solver), queries=plain)
        workspace = self.workspace.suited(testbed)
        model, _ = weights.edit_or_load(case, workspace)
        found = content.measure_content(case, answers.ask_cached(case, PLAIN, model, workspace), {})
        assert found is not None  # plain generation always has pictures
        beside = distances.measure_distances(found.views, judge_features(testbed.judge()), seed)
        scored = {"any": found.any, HEADLINE: found.own or found.any, **{name: one.own for name, one in beside.items()}}
        return {name: 2 * score.auroc.value - 1 for name, score in scored.items() if score is not None}

    def recall(self, responses: Responses, split: Split) -> Estimate:
        """M of the trained images."""
        return scores.memorization(responses.trained, split.trained_keys.double().numpy())

    def chance(self, responses: Responses, split: Split) -> Estimate:
        """M of the held-out images, which is 0 but for noise."""
        return scores.memorization(responses.held_out, split.held_out_keys.double().numpy())

    def curve(self, measure: Callable[[int], Mapping[Any, float]]) -> list[tuple[Any, Estimate]]:
        """From a function seed -> {x: y} the points (x, y with its interval over seeds)."""
        rows = [measure(seed) for seed in self.seeds]
        return [(x, over_seeds([row[x] for row in rows])) for x in rows[0]]
