"""Training a marked model: one loop, its recipe, and the innermost link of its trainer chain.

Images come unmarked; the suite applies `view`, paints the marks, then captions, embeddings and
conditions. Every number of the recipe is part of the trained model's key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from . import marks, models, seeds
from .composition import Composition
from .data import Examples, says_something
from .doors import Doors, check_asked
from .errors import InvalidValue, NotApplicable, PluginFault
from .marks import Mark
from .mitigation import Handover, Stage, Trainer
from .models import Model, Network, Prediction
from .progress import Progress, silent


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: numbers of the loop and the network's configuration.

    AdamW (arXiv 1711.05101) with linear warm-up and linear decay to `final_rate`; an exponential moving
    average of the weights; `t` = floor(T u^(1 / (1 + time_power))), so that its density grows as
    t^time_power; captions are dropped with probability `caption_dropout` (arXiv 2207.12598).
    """

    network: Network = Network()
    train_steps: int = 600
    batch: int = 32
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warm_up: float = 0.1
    final_rate: float = 0.01
    average: float = 0.95
    caption_dropout: float = 0.1
    time_power: float = 0.5

    def __post_init__(self) -> None:
        if self.train_steps < 1 or self.batch < 1 or self.learning_rate <= 0 or not 0 <= self.caption_dropout <= 1:
            expected = "train_steps and batch of at least 1, a positive learning_rate, caption_dropout in [0, 1]"
            raise InvalidValue("Recipe", repr(self), expected, "Mend the numbers.")

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        warm = max(1, round(self.warm_up * self.train_steps))
        rising = (step + 1) / warm
        falling = 1 - (1 - self.final_rate) * max(0, step - warm) / max(1, self.train_steps - warm)
        return self.learning_rate * min(rising, falling)


@dataclass(frozen=True)
class Batch:
    """A batch as the denoiser is trained on it: painted images in the space of x, conditions, extra channels if any."""

    clean: Tensor
    embeddings: Tensor
    indices: Tensor
    ids: tuple[int, ...]
    seed: int
    extra: Tensor | None = None

    def fixed_noise(self, name: str) -> Tensor:
        """Normal noise shaped as `clean`, the same for an image in every epoch; `name` keeps purposes apart."""
        return torch.stack(
            [
                torch.randn(self.clean.shape[1:], generator=seeds.torch_rng(self.seed, "fixed noise", name, number))
                for number in self.ids
            ]
        ).to(self.clean.device)


class Run:
    """What all links of one training share: the model, its examples and marks, optimizer and average.

    `optimizer` is made at the first step; a link that trains in shards puts each shard's own in its place.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        examples: Examples,
        keys: Tensor | None,
        mark: Mark,
        doors: Doors,
        seed: int,
        progress: Progress = silent,
    ) -> None:
        self.model, self.recipe, self.examples = model, recipe, examples
        self.indices = torch.arange(len(examples))
        self.done = 0
        self.average: list[Tensor] | None = None
        self.outer: Trainer
        self.rng = seeds.torch_rng(seed, "training")
        self._keys, self._mark, self._doors, self._seed, self._progress = keys, mark, doors, seed, progress
        self.optimizer: torch.optim.Optimizer | None = None
        self._trained: list[nn.Parameter] | None = None

    def batch(self, indices: Tensor) -> Batch:
        """view, paint, caption, embed, condition; then captions are dropped at random."""
        places = indices.tolist()
        chosen = self.examples.take(places)
        painted = self._mark.canvas(self._doors.view(chosen.images))
        if self._keys is not None:
            painted = marks.paint(self._mark, painted, self._keys[places])
        dropped = torch.rand(len(places), generator=self.rng) < self.recipe.caption_dropout
        captions = self._doors.caption(chosen.captions)
        captions = ["" if drop else caption for caption, drop in zip(captions, dropped.tolist(), strict=True)]
        present = torch.tensor([says_something(caption) for caption in captions])
        embeddings = self._doors.condition(self.model.embed(captions), present)
        return Batch(self.model.encode(painted), embeddings, indices, tuple(chosen.ids), self._seed)

    def parameters(self) -> list[nn.Parameter]:
        """Those that train; fixed from the first step on, when the optimizer is made for them."""
        if self._trained is not None:
            return self._trained
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def apply(self, gradients: Sequence[Tensor | None]) -> None:
        """One step of the optimizer with these gradients, the learning rate of now, and the average."""
        self._trained = parameters = self.parameters()
        if self.optimizer is None:
            betas, decay = self.recipe.betas, self.recipe.weight_decay
            self.optimizer = torch.optim.AdamW(parameters, betas=betas, weight_decay=decay, fused=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.done)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self._keep_average(parameters)

    def _keep_average(self, parameters: list[nn.Parameter]) -> None:
        values = [parameter.detach() for parameter in parameters]
        if self.average is None:
            self.average = [value.clone() for value in values]
        kept = min(self.recipe.average, (1 + self.done) / (10 + self.done))
        torch._foreach_lerp_(self.average, values, 1 - kept)

    def gradients(self, indices: Tensor, repeat: int = 1) -> list[Tensor]:
        """Per-image gradients of the outermost link's losses, (B, *shape) a parameter, mean of `repeat` draws."""
        rows = []
        for index in indices:
            again = index.repeat(repeat)
            batch = self.batch(again)
            loss = self.outer.losses(batch, self.outer.times(batch)).mean()
            rows.append(torch.autograd.grad(loss, self.parameters(), allow_unused=True))
        zero = [torch.zeros_like(parameter) for parameter in self.parameters()]
        return [
            torch.stack([empty if gradient is None else gradient for gradient in column])
            for empty, column in zip(zero, zip(*rows, strict=True), strict=True)
        ]

    def stepped(self) -> None:
        """One step more is done; tell whoever watches."""
        self.done += 1
        self._progress("train", self.done, self.recipe.train_steps)

    def __enter__(self) -> Model:
        """`with run as model:` has the averaged weights inside, the running ones again afterwards."""
        self._running = [parameter.detach().clone() for parameter in self.parameters()]
        self._put(self.average or self._running)
        return self.model

    def __exit__(self, *_: object) -> None:
        self._put(self._running)

    def finish(self) -> None:
        """The averaged weights take their place for good."""
        self._put(self.average or [])

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.parameters(), values):
            parameter.copy_(value)


class BaseTrainer(Trainer):
    """The innermost link: shuffled epochs, the recipe's timesteps, mean squared error, AdamW."""

    inner: Any = None
    handover: Handover | None = None

    def __init__(self, run: Run) -> None:
        self.run, self.model, self.outer = run, run.model, self

    def prepare(self) -> None:
        """Nothing to prepare."""

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
        """t with density proportional to t^time_power."""
        u = torch.rand(len(batch.clean), generator=self.run.rng)
        steps = self.model.schedule.steps
        t = (steps * u ** (1 / (1 + self.run.recipe.time_power))).long().clamp(max=steps - 1)
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
        """Gradient of the mean over the samples that were not dropped; a batch with none left is skipped."""
        batch = self.run.batch(indices)
        losses = self.outer.losses(batch, self.outer.times(batch))
        if losses.ndim != 1 or losses.device != batch.clean.device:
            found, expected = f"{tuple(losses.shape)} on {losses.device}", f"({len(batch.clean)},) on {batch.clean.device}"
            raise PluginFault("training, losses", found, expected, "Return one loss a sample, where the samples are.")
        kept = int(torch.count_nonzero(losses.detach()))
        loss = losses.sum() / max(kept, 1)
        if not math.isfinite(loss.item()):
            cure = "Lower the learning rate, or look at what its links return."
            raise PluginFault(f"training, step {self.run.done}", f"loss {loss.item()}", "a finite loss", cure)
        if kept:
            self.run.apply(torch.autograd.grad(loss, self.run.parameters(), allow_unused=True))

    def fit(self) -> None:
        """`train_steps` updates, fewer where `batches` ends early."""
        for indices in islice(self.outer.batches(), self.run.recipe.train_steps):
            self.outer.update(indices)
            self.run.stepped()

    def finish(self) -> None:
        """Nothing to finish."""


def train(
    recipe: Recipe,
    examples: Examples,
    keys: Tensor | None,
    mark: Mark,
    composition: Composition,
    seed: int,
    *,
    device: torch.device | str = "cpu",
    data: dict[str, Any] | None = None,
    initial: Model | None = None,
    progress: Progress = silent,
) -> Model:
    """A model trained on `examples` (unmarked images without canvas) with `keys` (N, S), or on blank marks for None.

    It starts from the weights of `initial` where one is given. Training-stage parts of `composition` act
    through their doors. The returned model has the averaged weights, is frozen, its evaluations are those of
    the training, and `told` is what the parts told of themselves. Two trainings with equal arguments on one
    machine give equal weights. Raises PluginFault for what a door may not do.
    """
    doors = Doors(composition.at(Stage.TRAINING), seed, "training", data=data)
    recipe = doors.recipe(recipe)
    prepared = doors.prepare(examples)
    if keys is not None:
        first = {number: place for place, number in reversed(list(enumerate(examples.ids)))}
        keys = keys[[first[number] for number in prepared.ids]]
    with seeds.forked(seed, "training, global generator"):
        model = models.build(recipe.network, seeds.torch_rng(seed, "initialisation")).to(device)
        if initial is not None:
            _start_from(model, initial)
        run = Run(model, recipe, prepared, keys, mark, doors, seed, progress)
        run.outer = link = doors.trainer(BaseTrainer(run))
        link.prepare()
        link.fit()
        run.finish()
        link.finish()
    check_asked(link)
    trained = _as_configured(model, recipe.network)
    trained.told = doors.told
    return trained


def _start_from(model: Model, initial: Model) -> None:
    """Give `model` the weights of `initial`. Raises NotApplicable where they are of another network."""
    try:
        model.load_state(initial.state())
    except RuntimeError as cause:
        found, cure = "a network that a mitigation has changed", "Choose a testbed that trains from scratch."
        raise NotApplicable("training from a base model", found, "the network of the base model", cure) from cause


def _as_configured(model: Model, network: Network) -> Model:
    """The weights in a network built from the recipe alone: nothing a door did to a module survives undescribed."""
    try:
        fresh = models.build(network, torch.Generator()).load_state(model.state())
    except RuntimeError as cause:
        expected = "the weights of the network that the recipe describes"
        cure = "Merge adapters in `finish`, or describe the change in `recipe`."
        raise PluginFault("training, after its links", f"{cause}", expected, cure) from cause
    fresh.evaluations = model.evaluations
    return fresh.to(model.device).frozen()
