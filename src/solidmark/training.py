"""Training a marked model: one loop, its recipe, and the innermost wrapper of its chain of trainers.

Images come unmarked. The suite applies `view`, paints the marks, then makes captions and embeddings and applies their
hooks. Every number of the recipe is a part of the trained model's key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import models, seeds
from .errors import NotApplicable, PluginFault
from .mitigation import Stage, Trainer, WrapperContext
from .mitigation.composition import Composition
from .mitigation.crew import Crew
from .mitigation.handout import HandedOut
from .mitigation.hooks import Hooks, check_overrides
from .mitigation.run import Run, TrainingSet
from .mitigation.saved_run import SavedRun
from .models import Adapters, Batch, Model, Network, Prediction, Recipe, Space
from .models.denoising import draw_times
from .progress import Progress, silent


class BaseTrainer(Trainer):
    """The innermost wrapper: shuffled epochs, the recipe's timesteps, mean squared error, AdamW."""

    inner: Any = None
    context: WrapperContext | None = None

    def __init__(self, run: Run, saved: SavedRun | None = None, crew: Crew | None = None) -> None:
        self.run, self.model, self.outer = run, run.model, self
        self.waiting, self.saved = torch.empty(0, dtype=torch.long), saved
        self.crew = crew

    def prepare(self) -> None:
        """No-op."""

    def batches(self) -> Iterator[Tensor]:
        """Epochs without replacement, cut into batches; a batch may span two epochs."""
        count, size = len(self.run.indices), self.run.recipe.batch
        while True:
            while len(self.waiting) < size:
                self.waiting = torch.cat([self.waiting, torch.randperm(count, generator=self.run.rng)])
            chosen, self.waiting = self.waiting[:size], self.waiting[size:]
            yield chosen

    def times(self, batch: Batch) -> Tensor:
        """Timesteps, (B,), with a density proportional to t^timestep_power."""
        t = draw_times(self.run.recipe, len(batch.clean), self.model.schedule.steps, self.run.rng)
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
        parts = indices.tensor_split(max(1, min(self.run.recipe.accumulate, len(indices))))
        if len(parts) > 1:
            self._update_in_parts(parts)
            return
        loss, count = self._loss(indices)
        loss = loss / max(count, 1)
        if count:
            self.run.apply(torch.autograd.grad(loss, self.run.parameters(), allow_unused=True))

    def _update_in_parts(self, parts: Sequence[Tensor]) -> None:
        """The same, one part of the batch after the other."""
        gradients: list[Tensor | None] = [None] * len(self.run.parameters())
        total = 0
        for part in self._with_own_noise(parts):
            loss, count = self._loss(part)
            total += count
            if count:
                more = torch.autograd.grad(loss, self.run.parameters(), allow_unused=True)
                gradients = [_added(old, new) for old, new in zip(gradients, more, strict=True)]
        if self.crew is not None:
            gradients, total = self._of_all(gradients, total)
        if total:
            self.run.apply([None if gradient is None else gradient / total for gradient in gradients])

    def _of_all(self, gradients: Sequence[Tensor | None], total: int) -> tuple[list[Tensor | None], int]:
        """The gradients and the count of all processes, added up; None where no process had a gradient."""
        assert self.crew is not None
        own = [torch.zeros_like(one) if g is None else g for one, g in zip(self.run.parameters(), gradients, strict=True)]
        counts = torch.tensor([float(total), *(float(g is not None) for g in gradients)], device=self.model.device)
        *summed, counts = self.crew.total([*own, counts])
        whole, *had = counts.tolist()
        return [gradient if some else None for gradient, some in zip(summed, had, strict=True)], round(whole)

    def _with_own_noise(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Each part of this process while the run draws from a stream that is the part's own, whoever works on others."""
        begins = torch.randint(2**62, (len(parts),), generator=self.run.rng).tolist()
        after = self.run.rng.get_state()
        every = list(zip(begins, parts, strict=True))
        for begin, part in every if self.crew is None else self.crew.mine(every):
            self.run.rng.manual_seed(begin)
            yield part
        self.run.rng.set_state(after)

    def _loss(self, indices: Tensor) -> tuple[Tensor, int]:
        """The sum of the losses of these samples, and how many of them were not dropped."""
        batch = self.run.batch(indices)
        t = self.outer.times(batch)
        _require_one_a_sample("times", t, batch)
        losses = self.outer.losses(batch, t)
        _require_one_a_sample("losses", losses, batch)
        loss = losses.sum()
        found, count = torch.stack([loss.detach(), torch.count_nonzero(losses.detach())]).tolist()  # one wait for a GPU
        if not math.isfinite(found):
            cure = "Lower the learning rate, or look at what the wrappers return."
            raise PluginFault(f"training, step {self.run.done}", f"loss {found}", "a finite loss", cure)
        return loss, round(count)

    def fit(self) -> None:
        """`train_steps` updates, fewer where `batches` ends early."""
        for indices in islice(self.outer.batches(), self.run.recipe.train_steps - self.run.done):
            self.outer.update(indices)
            self.run.count_step()
            if self.saved is not None and (self.crew is None or self.crew.leads):
                self.saved.save_when_due(self.run, self.waiting)

    def finish(self) -> None:
        """No-op."""


def _require_one_a_sample(method: str, values: Tensor, batch: Batch) -> None:
    """Raise PluginFault for values that are not (B,), or not where the samples are."""
    expected = f"({len(batch.clean)},) on {batch.clean.device}"
    if (found := f"{tuple(values.shape)} on {values.device}") != expected:
        cure = f"Return one number a sample from `{method}`, where the samples are."
        raise PluginFault(f"training, {method}", found, expected, cure)


def _added(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The sum of two gradients, of which None is that of a parameter that had no part in the loss."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


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
    unfinished: Path | None = None,
    crew: Crew | None = None,
    progress: Progress = silent,
) -> Model:
    """A model trained on a set of marked images.

    It starts from the weights of `initial` where one is given, and works in `space` where one is given. A long training
    without mitigations is saved in the folder `unfinished` now and then, and goes on from there; a `crew` shares it.
    Training-stage parts of `composition` act through their hooks; `data` are the parts of the data that they may ask for,
    by name. The returned model has the averaged weights, is frozen, its evaluations are those of the training, and
    `reported` is what the parts report.

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
        adapters = None
        if recipe.adapter_rank:
            adapters = Adapters(model, recipe.adapter_rank, seeds.torch_rng(seed, "adapters"))
        if recipe.checkpointing:
            model.network.enable_gradient_checkpointing()  # type: ignore[operator]  # of every network of diffusers
        model.space.expect(len(prepared.examples))
        run = Run(model, recipe, prepared, hooks, seed, progress)
        saved = SavedRun(unfinished) if unfinished is not None and not composition.at(Stage.TRAINING).parts else None
        innermost = BaseTrainer(run, saved, crew)
        run.outer = wrapper = hooks.trainer(innermost)
        wrapper.prepare()
        if saved is not None and (waiting := saved.restore(run)) is not None:
            innermost.waiting = waiting
        if crew is not None:
            crew.check_step(run.done)
        wrapper.fit()
        run.finish()
        wrapper.finish()
        if adapters is not None:
            adapters.merge()
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
