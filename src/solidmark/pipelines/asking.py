"""Ask any pipeline for the marks of images, and any function that fills in pixels. Read `ask` first."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .. import seeds
from ..errors import InvalidValue, NotApplicable
from ..marks import BLANK, Mark
from ..progress import Progress, silent
from .age import unused_overrides
from .calls import Call, Shown, asked, name_of, options, read_shown, strangers_code
from .counting import Counts, counted
from .holding import EVERY, Held, as_mask, held
from .loading import Loaded
from .quiet import uncast

Fill = Callable[[Tensor, Tensor, "list[str] | None", "list[int]"], Any]
"""A model outside diffusers: fill(images, masks, captions, seeds) gives images, (B, C, H, W) in [0, 1].

`images` are (B, C, H, W) in [0, 1] with BLANK under `masks`, (B, 1, H, W) booleans; one caption and one seed an image.
"""

MANY_STEPS = 50
"""Below so many steps the two multistep solvers of SLOW_STARTERS amplify what is put back."""

SLOW_STARTERS = ("PNDMScheduler", "LMSDiscreteScheduler")

SAME = 0.02
"""The largest mean difference of the filled-in pixels of one image, asked alone and in a batch."""

PICTURE = 0.05
"""The largest mean difference between a pipeline's picture of given pixels and what its autoencoder decodes of them."""


@dataclass
class Answers:
    """What a model answered to N images.

    `images` are (N, C, H, W) in [0, 1]: filled in under the mask, as given elsewhere, gray under the mask where the model
    `refused`, (N,) booleans. `given_error` is the mean error of the model's own picture on given pixels; None where it
    is not known. `steps` counts calls of the scheduler's `step`, `renewals` encodings of the given pixels during a run,
    both over all runs. `warnings` are for the record.
    """

    images: Tensor
    refused: Tensor
    warnings: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    steps: int = 0
    renewals: int = 0
    given_error: float | None = None
    seconds: float = 0.0

    def warn(self, text: str) -> None:
        """Keep a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)


def ask(
    pipe: Any,
    images: Tensor,
    mask: Tensor | Mark,
    captions: Sequence[str] | None = None,
    *,
    call: Call | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    batch: int = 1,
    every: int = EVERY,
    seed: int = 0,
    ids: Sequence[int] | None = None,
    progress: Progress = silent,
) -> Answers:
    """The images with the pixels under `mask` filled in by a diffusers pipeline, or by a function (see `Fill`).

    `pipe` may also be what `load` gives. `images` are (N, C, H, W) in [0, 1], `mask` a mark, or booleans (H, W) or
    (N, 1, H, W). `call` replaces
    `pipe(captions, ...)` where a mitigation has arguments or two calls; `steps` and `guidance` replace the pipeline's own.
    An answer depends on seed and `ids` alone, whatever the batch; with `batch` above 1, which many mitigations do not
    survive, one image is asked both ways, and NotApplicable is raised where the two differ. For `every` see `held`.
    Raises InvalidValue for input of a wrong shape, PluginFault for what the model's own code does.
    """
    if isinstance(pipe, Loaded):
        pipe, call = pipe.pipe, pipe.call if call is None else call
    numbers = _check(images, captions, ids, batch)
    whole = as_mask(mask, images)
    blank = torch.where(whole, BLANK, images)
    question = _Question(blank, whole, captions, numbers, seed)
    answers = Answers(blank.clone(), torch.zeros(len(images), dtype=torch.bool))
    began = time.perf_counter()
    if not isinstance(pipe, type) and (hasattr(pipe, "scheduler") or hasattr(pipe, "components")):
        _Pipeline(pipe, call, steps, guidance, every, answers).ask(question, batch, progress)
    elif callable(pipe) and not isinstance(pipe, type):
        _ask_function(pipe, question, batch, answers, progress)
    else:
        expected, cure = "a diffusers pipeline, or a function", "Give fill(images, masks, captions, seeds) -> images."
        raise InvalidValue("pipelines.ask", type(pipe).__name__, expected, cure)
    answers.seconds = time.perf_counter() - began
    return answers


@dataclass(frozen=True)
class _Question:
    """N blank images, their masks, captions and ids."""

    images: Tensor
    mask: Tensor
    captions: Sequence[str] | None
    ids: list[int]
    seed: int

    def part(self, rows: list[int]) -> _Question:
        captions = None if self.captions is None else [self.captions[row] for row in rows]
        return _Question(self.images[rows], self.mask[rows], captions, [self.ids[row] for row in rows], self.seed)

    def batches(self, size: int) -> list[list[int]]:
        """Rows in batches, trained and held-out images mixed in an order that depends on the seed alone."""
        order = torch.randperm(len(self.images), generator=seeds.torch_rng(self.seed, "query order"))
        return [part.tolist() for part in order.split(size)]

    def put(self, rows: list[int], shown: Shown, answers: Answers) -> None:
        """The answers of these rows: what was shown, under the mask alone, and gray where it was withheld."""
        seen = self.mask[rows] & ~shown.refused.view(-1, 1, 1, 1)
        answers.images[rows] = torch.where(seen, shown.images, self.images[rows])
        answers.refused[rows] = shown.refused


@dataclass
class _Pipeline:
    """A pipeline with the call and the numbers that it is asked by; what it answers is collected in `answers`."""

    pipe: Any
    call: Call | None
    steps: int | None
    guidance: float | None
    every: int
    answers: Answers
    picture_checked: bool = False

    def ask(self, question: _Question, batch: int, progress: Progress) -> None:
        errors: list[Tensor] = []
        for method in unused_overrides(type(self.pipe)):
            kind = type(self.pipe).__name__
            self.answers.warn(f"{kind} overrides {method}, which its __call__ never calls: what it changes has no effect")
        with counted(self.pipe) as counts, _silent_bars(self.pipe), uncast():
            for number, rows in enumerate(question.batches(batch)):
                part = question.part(rows)
                shown = self._show(part)
                if number == 0 and len(rows) > 1:
                    self._check_alone(part, shown)
                question.put(rows, shown, self.answers)
                errors += _given_errors(part, shown)
                progress("asking the pipeline", int(len(rows) + number * batch), len(question.images))
        self.answers.counts = counts
        self.answers.given_error = float(torch.cat(errors).mean()) if errors else None

    def _show(self, part: _Question) -> Shown:
        """One call for a batch, held; what is drawn from the global generators depends on seed and images alone."""
        name = type(self.pipe).__name__ if self.call is None else name_of(self.call)
        with (
            seeds.forked(part.seed, "pipeline", *part.ids),
            held(self.pipe, part.images, part.mask, every=self.every, seed=part.seed, ids=part.ids) as run,
        ):
            given = options(part.images, run.generators(), self.steps, self.guidance)
            result = asked(self.pipe, self.call, part.captions, given)
            shown = read_shown(result, part.images, name)
        self.answers.steps += run.steps
        self.answers.renewals += run.renewals
        self._note(run)
        self.picture_checked = self.picture_checked or _check_picture(run, part, shown, name)
        return shown

    def _note(self, run: Held) -> None:
        kind = next((one.__name__ for one in type(self.pipe.scheduler).__mro__ if one.__name__ in SLOW_STARTERS), None)
        taken = len(self.pipe.scheduler.timesteps)
        if kind and taken < MANY_STEPS:
            self.answers.warn(f"{kind} with {taken} steps reads less memory than there is: take {MANY_STEPS} or more")
        if self.every and run.space.autoencoder is not None and not run.renewals and not bool(run.filled.all()):
            reason = "fewer steps than `every`, or an unknown prediction_type"
            self.answers.warn(f"given pixels were never encoded anew ({reason}): that reads less memory than there is")

    def _check_alone(self, part: _Question, together: Shown) -> None:
        """Ask the first image of a batch alone. Raises NotApplicable where it is answered otherwise."""
        alone, mask = self._show(part.part([0])), part.mask[0].expand_as(part.images[0])
        gap = float((alone.images[0] - together.images[0]).abs()[mask].mean())
        if gap > SAME or bool(alone.refused[0] != together.refused[0]):
            found = f"an image answered otherwise in a batch of {len(part.ids)} than alone, by {gap:.3f}"
            raise NotApplicable(type(self.pipe).__name__, found, f"the same within {SAME}", "Ask with batch=1.")


def _ask_function(fill: Fill, question: _Question, batch: int, answers: Answers, progress: Progress) -> None:
    """The answers of a function. Raises PluginFault for what it raises or returns."""
    errors: list[Tensor] = []
    for number, rows in enumerate(question.batches(batch)):
        part = question.part(rows)
        captions = None if part.captions is None else list(part.captions)
        drawn = [seeds.torch_seed(part.seed, "pipeline", "x_T", one) for one in part.ids]
        with seeds.forked(part.seed, "pipeline", *part.ids), strangers_code(f"inside {name_of(fill)}"):
            result = fill(part.images.clone(), part.mask.clone(), captions, drawn)
        shown = read_shown(result, part.images, name_of(fill))
        question.put(rows, shown, answers)
        errors += _given_errors(part, shown)
        progress("asking the model", int(len(rows) + number * batch), len(question.images))
    answers.given_error = float(torch.cat(errors).mean()) if errors else None


def _check(images: Tensor, captions: Sequence[str] | None, ids: Sequence[int] | None, batch: int) -> list[int]:
    """The ids. Raises InvalidValue for what cannot be asked."""
    if images.ndim != 4 or not len(images) or not bool(((images >= 0) & (images <= 1)).all()):
        found = f"images of {tuple(images.shape)}"
        expected = "one or more, (N, C, H, W), in [0, 1]"
        raise InvalidValue("pipelines.ask", found, expected, "Scale them; 0 is black, 1 is white.")
    numbers = list(range(len(images))) if ids is None else list(ids)
    if captions is not None and (isinstance(captions, str) or len(captions) != len(images)):
        found = repr(captions) if isinstance(captions, str) else f"{len(captions)} captions"
        raise InvalidValue("pipelines.ask", found, f"{len(images)} captions", "Give one caption an image.")
    if len(set(numbers)) != len(images) or batch < 1:
        found = f"{len(numbers)} ids, batch={batch}"
        raise InvalidValue("pipelines.ask", found, f"{len(images)} different ids, batch of at least 1", "Correct them.")
    return numbers


def _given_errors(part: _Question, shown: Shown) -> list[Tensor]:
    """|picture - truth| of each pixel that was given, of images that were shown."""
    given = (~part.mask & ~shown.refused.view(-1, 1, 1, 1)).expand_as(part.images)
    found = (shown.images - part.images).abs()[given]
    return [found] if len(found) else []


def _check_picture(run: Held, part: _Question, shown: Shown, name: str) -> bool:
    """Whether there was a picture to check: its given pixels must be what the autoencoder decodes of the last sample.

    Raises NotApplicable where they are not. Then the pipeline scales its latents in a way of its own, and what was put
    back were not the given pixels.
    """
    given = (~part.mask & ~shown.refused.view(-1, 1, 1, 1)).expand_as(part.images)
    if not bool(given.any()):
        return False
    gap = float((run.decoded() - shown.images).abs()[given].mean())
    if gap > PICTURE:
        found = f"a picture whose given pixels differ by {gap:.3f} from what its autoencoder decodes"
        cure = "Its latents are scaled in a way of its own, or its picture is changed afterwards: it cannot be asked."
        raise NotApplicable(name, found, f"at most {PICTURE}", cure)
    return True


@contextmanager
def _silent_bars(pipe: Any) -> Iterator[None]:
    """Inside, the pipeline shows no progress bar of its own, and no bar starts a thread that outlives it."""
    before, bars = vars(pipe).get("_progress_bar_config"), importlib.import_module("tqdm").tqdm
    pipe._progress_bar_config = {**(before or {}), "disable": True}
    interval, bars.monitor_interval = bars.monitor_interval, 0
    try:
        yield
    finally:
        bars.monitor_interval = interval
        if before is None:
            del pipe._progress_bar_config
        else:
            pipe._progress_bar_config = before
