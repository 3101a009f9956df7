"""Training a marked model: one loop, its recipe, and the innermost wrapper of its chain of trainers.

Images come unmarked. The suite applies `view`, paints the marks, then makes captions and embeddings and applies their
hooks. Every number of the recipe is a part of the trained model's key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from . import models, seeds
from .errors import NotApplicable, PluginFault
from .mitigation import Stage, Trainer, WrapperContext
from .mitigation.composition import Composition
from .mitigation.handout import HandedOut
from .mitigation.hooks import Hooks, check_overrides
from .mitigation.run import Run, TrainingSet
from .models import Batch, Model, Network, Prediction, Recipe, Space
from .progress import Progress, silent


class BaseTrainer(Trainer):
    """The innermost wrapper: shuffled epochs, the recipe's timesteps, mean squared error, AdamW."""

    inner: Any = None
    context: WrapperContext | None = None

    def __init__(self, run: Run) -> None:
        self.run, self.model, self.outer = run, run.model, self

    def prepare(self) -> None:
        """No-op."""

    def batches(self) -> Iterator[Tensor]:
        """Epochs without replacement, cut into batches; a batch may span two epochs."""
        count, size = len(self.run.indices), self.run.recipe.batch
        waiting = torch.empty(0, dtype=torch.long)
        while True:
            while len(waiting) < size:
                waiting = torch.cat([waiting, torch.randperm(count, generator=self.run.rng)])
            yield waiting[:size]
            waiting = waiting[size:]

    def times(self, batch: Batch) -> Tensor:
        """Timesteps, (B,), with a density proportional to t^timestep_power."""
        u = torch.rand(len(batch.clean), generator=self.run.rng)
        steps = self.model.schedule.steps
        t = (steps * u ** (1 / (1 + self.run.recipe.timestep_power))).long().clamp(max=steps - 1)
        return t.to(batch.clean.device)

    def predict(self, x: Tensor, t: Tensor, batch: Batch) -> Prediction:
        """The denoiser with the batch's conditions and extra channels."""
        return self.model.predict(x, t, batch.embeddings, extra=batch.extra)

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """Mean squared error of each sample in the network's own parametrisation."""
        noise = torch.randn(batch.clean.shape, generator=self.run.rng).to(batch.clean.device)
        x = self.model.schedule.add_noise(batch.clean, noise, t)
        return self.outer.predict(x, t, batch).losses(batch.clean, noise).flatten(1).mean(dim=1)

    def update(self, indices: Tensor) -> None:
        """One step along the gradient of the mean over the samples that were not dropped. None left: no step."""
        batch = self.run.batch(indices)
        t = self.outer.times(batch)
        _require_one_a_sample("times", t, batch)
        losses = self.outer.losses(batch, t)
        _require_one_a_sample("losses", losses, batch)
        count = int(torch.count_nonzero(losses.detach()))
        loss = losses.sum() / max(count, 1)
        if not math.isfinite(loss.item()):
            cure = "Lower the learning rate, or look at what the wrappers return."
            raise PluginFault(f"training, step {self.run.done}", f"loss {loss.item()}", "a finite loss", cure)
        if count:
            self.run.apply(torch.autograd.grad(loss, self.run.parameters(), allow_unused=True))

    def fit(self) -> None:
        """`train_steps` updates, fewer where `batches` ends early."""
        for indices in islice(self.outer.batches(), self.run.recipe.train_steps):
            self.outer.update(indices)
            self.run.count_step()

    def finish(self) -> None:
        """No-op."""


def _require_one_a_sample(method: str, values: Tensor, batch: Batch) -> None:
    """Raise PluginFault for values that are not (B,), or not where the samples are."""
    expected = f"({len(batch.clean)},) on {batch.clean.device}"
    if (found := f"{tuple(values.shape)} on {values.device}") != expected:
        cure = f"Return one number a sample from `{method}`, where the samples are."
        raise PluginFault(f"training, {method}", found, expected, cure)


def train(
    recipe: Recipe,
    training_set: TrainingSet,
    composition: Composition,
    seed: int,
    *,
    device: torch.device | str = "cpu",
    data: HandedOut | None = None,
    initial: Model | None = None,
    space: Space | None = None,
    progress: Progress = silent,
) -> Model:
    """A model trained on a set of marked images.

    It starts from the weights of `initial` where one is given, and works in `space` where one is given. Training-stage
    parts of `composition` act through their hooks; `data` are the parts of the data that they may ask for, by name. The
    returned model has the averaged weights, is frozen, its evaluations are those of the training, and `reported` is what
    the parts report.
    Two trainings with equal arguments on one machine give equal weights. Raises PluginFault for what a hook may not do.
    """
    hooks = Hooks(composition.at(Stage.TRAINING), seed, "training", data=data)
    recipe = hooks.recipe(recipe)
    prepared = _prepare(hooks, training_set)
    with seeds.forked(seed, "training, global generator"):
        model = models.build(recipe.network, seeds.torch_rng(seed, "initialisation")).to(device)
        if initial is not None:
            _start_from(model, initial)
        if space is not None:
            model.space = space
        run = Run(model, recipe, prepared, hooks, seed, progress)
        run.outer = wrapper = hooks.trainer(BaseTrainer(run))
        wrapper.prepare()
        wrapper.fit()
        run.finish()
        wrapper.finish()
    check_overrides(wrapper)
    trained = _rebuild(model, recipe.network)
    trained.reported = hooks.reported
    return trained


def _prepare(hooks: Hooks, training_set: TrainingSet) -> TrainingSet:
    """The training set after the `prepare` hooks. An image keeps its key, however often it occurs."""
    examples, keys = hooks.prepare(training_set.examples), training_set.keys
    if keys is not None:
        first = {number: row for row, number in reversed(list(enumerate(training_set.examples.ids)))}
        keys = keys[[first[number] for number in examples.ids]]
    return TrainingSet(examples, keys, training_set.mark)


def _start_from(model: Model, initial: Model) -> None:
    """Give `model` the weights of `initial`. Raises NotApplicable where they are of another network."""
    try:
        model.load_state(initial.state())
    except RuntimeError as cause:
        found, cure = "a network that a mitigation has changed", "Choose a testbed that trains from scratch."
        raise NotApplicable("training from a base model", found, "the network of the base model", cure) from cause


def _rebuild(model: Model, network: Network) -> Model:
    """The weights in a network built from the recipe alone: no change of a module survives that no recipe describes."""
    try:
        fresh = models.build(network, torch.Generator()).load_state(model.state())
    except RuntimeError as cause:
        expected = "the weights of the network that the recipe describes"
        cure = "Merge adapters in `finish`, or describe the change in `recipe`."
        raise PluginFault("training, after its wrappers", f"{cause}", expected, cure) from cause
    fresh.evaluations, fresh.space = model.evaluations, model.space
    return fresh.to(model.device).frozen()
