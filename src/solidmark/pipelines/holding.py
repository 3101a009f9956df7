"""One method is put on the pipeline's scheduler, and the pipeline outpaints. Read `held` first.

The scheduler's own `step` runs; then the known cells of its result are put back at the noise level of the next step.
Everything else stays the stranger's: his loop, guidance, prompts and callbacks.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor

from .. import seeds
from ..errors import InvalidValue, NotApplicable
from ..marks import BLANK, Mark
from .counting import modules
from .levels import check_falling, clean, find_place, level
from .space import Layout, Space, cells

EVERY = 4
"""Steps between two encodings of the known pixels. The SolidMark paper (arXiv 2503.00592) encodes anew at each tenth
of 100 steps; at each fourth of 20 steps it is a fifth of the run, which read the same keys."""


@contextmanager
def held(
    pipe: Any,
    images: Tensor,
    mask: Tensor | Mark,
    *,
    every: int = EVERY,
    seed: int = 0,
    ids: Sequence[int] | None = None,
    scheduler: Any = None,
) -> Iterator[Held]:
    """Inside, any call of `pipe` for these B images fills in the pixels under `mask`; the others it is given.

    `images` are (B, C, H, W) in [0, 1], in the order of the prompts; `mask` is a mark, or booleans (H, W) or
    (B, 1, H, W), True where the model fills in. Pixels under the mask are blanked first, so nothing leaks. Known cells
    are encoded anew at each `every`-th step together with what the model has filled in (0: never). All noise depends on
    `seed` and the image's number in `ids` alone. `scheduler` is the one to hold where it is not `pipe.scheduler`.
    Raises NotApplicable where the pipeline does not sample by that scheduler, or leaves off before its last step.
    """
    scheduler = scheduler_of(pipe) if scheduler is None else scheduler
    check_evaluating(pipe)
    parameters = _step_parameters(scheduler)
    run = Held(pipe, images, mask, every=every, seed=seed, ids=ids)
    before = vars(scheduler).get("step")  # a mitigation may live in a method that it has put there itself
    after = MethodType(_watched(run, type(scheduler).step, before, parameters), scheduler)
    scheduler.step = after
    try:
        yield run
    finally:
        run.open = False  # a copy of the scheduler that the pipeline keeps holds nothing any more
        if vars(scheduler).get("step") is after:
            del scheduler.step
            if before is not None:
                scheduler.step = before
    run.check_finished(scheduler)


class Held:
    """A run that is held: its known latents, and what has been seen of it.

    `known` are the latents (B, c, h, w) that are put back, `steps` counts calls of `step`, `renewals` encodings of the
    known pixels after the first, `levels` has (a, s) after each step, `x` the last sample, as the pipeline got it.
    """

    def __init__(
        self, pipe: Any, images: Tensor, mask: Tensor | Mark, *, every: int, seed: int, ids: Sequence[int] | None
    ) -> None:
        self.pipe, self.seed, self.every = pipe, seed, every
        self.mask = as_mask(mask, images)
        self.images = torch.where(self.mask, BLANK, images)
        self.ids = list(range(len(images))) if ids is None else list(ids)
        if len(self.ids) != len(images) or every < 0:
            found = f"{len(self.ids)} ids for {len(images)} images, every={every}"
            raise InvalidValue("pipelines.held", found, "one id an image, every of at least 0", "Correct them.")
        self.space = Space(pipe)
        self._first = self.known = self.space.encode(self.images)
        self.filled = cells(self.mask, images, self.known).expand_as(self.known)
        self._noise = torch.stack([torch.randn(self.known.shape[1:], generator=rng) for rng in self.generators("known")])
        self._layout, self._own = Layout(pipe, self.known.shape[1:]), list[torch.Generator]()
        self.open, self.steps, self.renewals, self.levels = True, 0, 0, list[tuple[float, float]]()
        self.x: Tensor | None = None
        self._last, self._finished = -1, False

    def generators(self, purpose: str = "x_T") -> list[torch.Generator]:
        """One generator an image, on the CPU: batches and devices change nothing."""
        return [seeds.torch_rng(self.seed, "pipeline", purpose, number) for number in self.ids]

    def drawn(self, count: int) -> list[torch.Generator]:
        """The generators of `count` samples for a scheduler that nobody gave any; copies of an image draw alike."""
        while len(self._own) < count:
            self._own += self.generators("step")
        return self._own[:count]

    def begin(self, x: Tensor) -> None:
        """Before the first step: raise NotApplicable for a sample that is no latent of these images."""
        if not self.steps:
            self._layout.into(self.filled, x)

    def stepped(self, scheduler: Any, output: Tensor, t: Any, x: Tensor, result: Any) -> Tensor:
        """The sample of the scheduler's `result` with the known cells put back at the level of the next step."""
        place = find_place(scheduler, t, self._last)
        if place == 0:  # a run begins: the first, or the one after a mitigation's own search
            self.known, self._last = self._first, -1
        self._last, self.steps = place, self.steps + 1
        a, s = level(scheduler, place + 1)
        self.levels.append((a, s))
        if self.every and s and (place + 1) % self.every == 0 and self.space.autoencoder is not None:
            self._renew(_clean(scheduler, output, x, place, result))
        self._finished = place + 1 >= len(scheduler.timesteps)
        self.x = self._hold(_sample(result), a, s)
        return self.x

    def latents(self) -> Tensor:
        """The last sample as latents (B, c, h, w), not packed and without copies. Raises InvalidValue before any step."""
        if self.x is None:
            raise InvalidValue("pipelines.held", "no step yet", "a finished run", "Call the pipeline first.")
        return self._layout.outof(self.x, len(self.images))

    def decoded(self) -> Tensor:
        """What the autoencoder makes of the last sample, (B, C, H, W) in [0, 1]: the pipeline's picture should be it."""
        return self.space.decode(self.latents())

    def check_finished(self, scheduler: Any) -> None:
        """Raise NotApplicable where the scheduler was not used, or not to the end of its run."""
        who, kind = type(self.pipe).__name__, type(scheduler).__name__
        if not self.steps:
            cure = "Let it use `self.scheduler`, or give the scheduler of your loop to `held(..., scheduler=...)`."
            raise NotApplicable(who, f"a run that never called {kind}.step", "a step at each time", cure)
        if not self._finished:
            found = (
                f"a run that left off after step {self._last + 1} of {len(scheduler.timesteps)}, known pixels still noise"
            )
            raise NotApplicable(who, found, "all steps", "Ask the last stage, or drop `denoising_end`.")

    def _renew(self, x0: Tensor | None) -> None:
        """Encode the known pixels anew, beside what the model has filled in so far: the encoder sees both."""
        if x0 is not None and not bool(self.filled.all()):
            shown = self.space.decode(self._layout.outof(x0, len(self.images)))
            self.known = self.space.encode(torch.where(self.mask, shown, self.images))
            self.renewals += 1

    def _hold(self, x: Tensor, a: float, s: float) -> Tensor:
        known = a * self.known + s * self._noise if s else a * self.known
        filled = self._layout.into(self.filled, x)
        return torch.where(filled, x, self._layout.into(known, x).to(x.dtype))


def as_mask(mask: Tensor | Mark, images: Tensor) -> Tensor:
    """The pixels to fill in, (B, 1, H, W) booleans. Raises InvalidValue for other shapes, or where there are none."""
    marked = mask if isinstance(mask, Tensor) else mask.masks(*images.shape[-2:]).any(dim=0)
    height, width = images.shape[-2:]
    if marked.dtype is not torch.bool or tuple(marked.shape) not in ((height, width), (len(images), 1, height, width)):
        found = f"{marked.dtype} of {tuple(marked.shape)}"
        expected = f"booleans of {(height, width)} or {(len(images), 1, height, width)}"
        raise InvalidValue("pipelines, mask", found, expected, "Give one mask, or one an image.")
    whole = marked.expand(len(images), 1, height, width)
    if not bool(whole.flatten(1).any(dim=1).all()):
        raise InvalidValue("pipelines, mask", "no pixel of an image", "one or more to fill in", "Mark the images.")
    return whole


def check_evaluating(pipe: Any) -> None:
    """Raise NotApplicable for networks in training mode: dropout would answer."""
    training = [name for name, part in modules(pipe).items() if part.training]
    if training:
        cure = "Call .eval() on each."
        raise NotApplicable(type(pipe).__name__, f"{', '.join(training)} in training mode", "evaluation mode", cure)


def scheduler_of(pipe: Any) -> Any:
    """The scheduler of a pipeline. Raises NotApplicable where it has none, as a pipeline of several pipelines."""
    scheduler = getattr(pipe, "scheduler", None)
    if scheduler is None:
        cure = "Ask the part that makes the image, with its scheduler."
        raise NotApplicable(type(pipe).__name__, "no scheduler", "a pipeline that samples by its `scheduler`", cure)
    return scheduler


def _step_parameters(scheduler: Any) -> list[str]:
    """The parameters of `step` behind self. Raises NotApplicable where it needs more than output, time and sample."""
    if not callable(getattr(type(scheduler), "step", None)):
        where, expected = type(scheduler).__name__, "step(model_output, timestep, sample)"
        raise NotApplicable(where, "no method `step`", expected, "Choose another scheduler.")
    parameters = list(inspect.signature(type(scheduler).step).parameters.values())[1:]
    names = [one.name for one in parameters]
    needed = [one for one in parameters[3:] if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    if names[:3] != ["model_output", "timestep", "sample"] or needed:
        where, expected = f"{type(scheduler).__name__}.step", "(model_output, timestep, sample), and what has a default"
        raise NotApplicable(where, f"({', '.join(names)})", expected, "Choose another scheduler.")
    return names


def _watched(run: Held, step: Callable[..., Any], before: Any, parameters: list[str]) -> Callable[..., Any]:
    """The scheduler's `step`, or the one put there `before`, with the run's known cells put back in what it gives."""
    place_of_generator = parameters.index("generator") - 3 if "generator" in parameters else None

    @functools.wraps(step)
    def watched(self: Any, model_output: Tensor, timestep: Any, sample: Tensor, *rest: Any, **named: Any) -> Any:
        own = _bound(step, before, self)
        if not run.open:
            return own(model_output, timestep, sample, *rest, **named)
        if not run.steps:
            check_falling(self)
        run.begin(sample)
        if place_of_generator is not None and len(rest) <= place_of_generator and named.get("generator") is None:
            named["generator"] = run.drawn(len(sample))  # else noise depends on the batch
        result = own(model_output, timestep, sample, *rest, **named)
        return _with_sample(result, run.stepped(self, model_output, timestep, sample, result))

    return watched


def _bound(step: Callable[..., Any], before: Any, scheduler: Any) -> Callable[..., Any]:
    """`before`, else the class's `step`, bound to this scheduler, which may be a copy of the one that was held."""
    inner = step if before is None else getattr(before, "__func__", None)
    return before if inner is None else MethodType(inner, scheduler)


def _sample(result: Any) -> Tensor:
    """The next sample of what `step` gives: a tensor, a tuple or an output object."""
    sample: Tensor = result if isinstance(result, Tensor) else result[0] if isinstance(result, tuple) else result.prev_sample
    return sample


def _with_sample(result: Any, sample: Tensor) -> Any:
    """What `step` gives, with another sample in it."""
    if isinstance(result, Tensor):
        return sample
    if isinstance(result, tuple):
        return (sample, *result[1:])
    result.prev_sample = sample
    return result


def _clean(scheduler: Any, output: Tensor, x: Tensor, place: int, result: Any) -> Tensor | None:
    """x0 by what the scheduler's configuration says the model predicts, else the scheduler's own."""
    x0 = clean(scheduler, output, x, *level(scheduler, place))
    return getattr(result, "pred_original_sample", None) if x0 is None else x0
