"""A training run: what all wrappers of one training share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from .. import marks, seeds
from ..data import Examples, says_something
from ..marks import Mark
from ..models import Batch, Model, Recipe
from ..progress import Progress, silent


class DataHooks(Protocol):
    """The hooks that change a batch on its way to the denoiser (see `hooks.Hooks`)."""

    def acts(self, hook: str) -> bool:
        """Whether any part has a hook of that name."""

    def view(self, images: Tensor) -> Tensor:
        """Unmarked images, (B, C, H, W) in [0, 1], changed."""

    def caption(self, captions: list[str], fits: Callable[[str], bool]) -> list[str]:
        """The captions, those that have a word changed. `fits` says of one whether the encoder takes all its words."""

    def condition(self, embeddings: Tensor, present: Tensor) -> Tensor:
        """The embeddings, those of captions that are `present`, (B,) booleans, changed."""


class Losses(Protocol):
    """The losses that a training descends (those of the outermost `Trainer`)."""

    def times(self, batch: Batch) -> Tensor:
        """One timestep a sample, (B,)."""

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """(B,) losses."""


@dataclass(frozen=True)
class TrainingSet:
    """What a model is trained on: unmarked `examples` without canvas, their `keys` and the mark.

    `keys` is (N, S), or None where the marks stay blank.
    """

    examples: Examples
    keys: Tensor | None
    mark: Mark


class Run:
    """What all wrappers of one training share: the model, its examples and marks, optimizer and moving average.

    `indices` are the rows of `examples` that are trained on, `done` is the number of steps taken. `average` is the
    moving average of the parameters. `optimizer` is made at the first step. A wrapper that trains on shards puts each
    shard's own in its place.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        training_set: TrainingSet,
        hooks: DataHooks,
        seed: int,
        progress: Progress = silent,
    ) -> None:
        self.model, self.recipe, self.examples = model, recipe, training_set.examples
        self.indices = torch.arange(len(training_set.examples))
        self.done = 0
        self.average: list[Tensor] | None = None
        self.outer: Losses
        self.rng = seeds.torch_rng(seed, "training")
        self._set, self._hooks, self._seed, self._progress = training_set, hooks, seed, progress
        self._latents: dict[int, Tensor] = {}
        self.optimizer: torch.optim.Optimizer | None = None
        self._trained: list[nn.Parameter] | None = None

    @property
    def seed(self) -> int:
        """The seed of the training, whose images and keys are its own."""
        return self._seed

    def batch(self, indices: Tensor) -> Batch:
        """The batch of these rows: view, paint, caption, drop captions at random, embed, condition."""
        rows = indices.tolist()
        clean = self._clean(rows)
        dropped = torch.rand(len(rows), generator=self.rng) < self.recipe.caption_dropout
        captions = self._hooks.caption([self.examples.captions[row] for row in rows], self.model.fits)
        captions = ["" if drop else caption for caption, drop in zip(captions, dropped.tolist(), strict=True)]
        present = torch.tensor([says_something(caption) for caption in captions])
        embeddings = self._hooks.condition(self.model.embed(captions), present)
        return Batch(clean, embeddings, indices, tuple(self.examples.ids[row] for row in rows), self._seed)

    def _clean(self, rows: list[int]) -> Tensor:
        """The marked images of these rows in the space of x. Latents that no `view` changes are kept, since a GPU would
        wait for large images to be painted and recognised at each step.
        """
        if self.model.space.factor == 1 or self._hooks.acts("view"):
            return self.model.encode(self._painted(rows))
        new = [row for row in dict.fromkeys(rows) if row not in self._latents]
        if new:
            self._latents.update(zip(new, self.model.encode(self._painted(new))))
        return torch.stack([self._latents[row] for row in rows])

    def _painted(self, rows: list[int]) -> Tensor:
        painted = self._set.mark.canvas(self._hooks.view(self.examples.images[rows]))
        return painted if self._set.keys is None else marks.paint(self._set.mark, painted, self._set.keys[rows])

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that are trained. They are fixed from the first step on, when the optimizer is made."""
        if self._trained is not None:
            return self._trained
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def apply(self, gradients: Sequence[Tensor | None]) -> None:
        """One step of the optimizer with these gradients, at the learning rate of this step, and of the average."""
        self._trained = parameters = self.parameters()
        optimizer = self.optimizer or self.start_optimizer(parameters)
        for group in optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.done)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        if self.recipe.ema_decay:
            self._update_average(parameters)

    def start_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters, which are those that are trained from now on."""
        betas, decay = self.recipe.betas, self.recipe.weight_decay
        self._trained = parameters
        self.optimizer = torch.optim.AdamW(parameters, betas=betas, weight_decay=decay, fused=True)
        return self.optimizer

    def _update_average(self, parameters: list[nn.Parameter]) -> None:
        values = [parameter.detach() for parameter in parameters]
        if self.average is None:
            self.average = [value.clone() for value in values]
        decay = min(self.recipe.ema_decay, (1 + self.done) / (10 + self.done))
        torch._foreach_lerp_(self.average, values, 1 - decay)

    def gradients(self, indices: Tensor, repeat: int = 1) -> list[Tensor]:
        """Per-image gradients of the outermost trainer's losses, (B, *shape) a parameter, the mean of `repeat` draws."""
        rows = []
        for index in indices:
            batch = self.batch(index.repeat(repeat))
            loss = self.outer.losses(batch, self.outer.times(batch)).mean()
            rows.append(torch.autograd.grad(loss, self.parameters(), allow_unused=True))
        zero = [torch.zeros_like(parameter) for parameter in self.parameters()]
        return [
            torch.stack([empty if gradient is None else gradient for gradient in column])
            for empty, column in zip(zero, zip(*rows, strict=True), strict=True)
        ]

    def count_step(self) -> None:
        """Count one step as taken, and report it to the progress display."""
        self.done += 1
        self._progress("train", self.done, self.recipe.train_steps)

    def __enter__(self) -> Model:
        """`with run as model:` has the averaged weights inside, and the running ones again afterwards."""
        self._running = [parameter.detach().clone() for parameter in self.parameters()]
        self._put(self.average or self._running)
        return self.model

    def __exit__(self, *_: object) -> None:
        self._put(self._running)

    def finish(self) -> None:
        """Put the averaged weights in place for good."""
        self._put(self.average or [])

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.parameters(), values):
            parameter.copy_(value)
