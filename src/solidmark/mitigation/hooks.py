"""The doors of a composition, opened in order, each with its own stream, and guarded against what they return.

Doors of data (`prepare`, `view`, `caption`, `condition`) work on CPU tensors, because their generator does;
links work where the model is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import seeds
from ..data import Examples, says_something
from ..errors import PluginFault, SolidmarkError
from ..models import Told
from .base import Handover, Sampler, Trainer, draws_elsewhere, opened, stream_name, unasked
from .composition import Composition, Part
from .handout import Data

if TYPE_CHECKING:
    from ..models import Model, Recipe


SEEDED = ("trainer", "edit")
"""Doors that open while the global generators are seeded for them and put back afterwards; others may not touch those."""


class Doors:
    """The opened doors of a composition at one stage, with streams that are keyed by seed, part, door and class."""

    def __init__(self, composition: Composition, seed: int, *purpose: object, data: dict[str, Any] | None = None) -> None:
        self._parts = composition.parts
        self._data = data or {}
        self._seed, self._purpose = seed, purpose
        self._streams: dict[tuple[int, str], torch.Generator] = {}
        self._handed: dict[int, Data] = {}

    def recipe(self, recipe: Recipe) -> Recipe:
        """Fold `recipe` over the parts."""
        for _, part in self._with("recipe"):
            changed = self._call(part, "recipe", part.mitigation.recipe, recipe)
            _require(part, "recipe", isinstance(changed, type(recipe)), type(changed).__name__, "a Recipe")
            recipe = changed
        return recipe

    def prepare(self, examples: Examples) -> Examples:
        """Fold `prepare`: unmarked examples in and out, ids among those that came in."""
        for place, part in self._with("prepare"):
            known, shape = set(examples.ids), examples.images.shape[1:]
            changed = self._call(part, "prepare", part.mitigation.prepare, examples, self._stream(place, "prepare"))
            _require(part, "prepare", isinstance(changed, Examples), type(changed).__name__, "Examples")
            found = f"{len(changed)} examples of shape {tuple(changed.images.shape[1:])}"
            fits = len(changed) > 0 and changed.images.shape[1:] == shape and set(changed.ids) <= known
            _require(part, "prepare", fits, found, f"at least one, of shape {tuple(shape)}, with ids that were given")
            examples = changed
        return examples

    def view(self, images: Tensor) -> Tensor:
        """Fold `view`: unmarked images in [0, 1], shape kept."""
        for place, part in self._with("view"):
            changed = self._call(part, "view", part.mitigation.view, images, self._stream(place, "view"))
            _require_tensor(part, "view", changed, images)
            low, high = changed.min().item(), changed.max().item()
            _require(part, "view", low >= 0 and high <= 1, f"values from {low:g} to {high:g}", "images in [0, 1]")
            images = changed
        return images

    def caption(self, captions: list[str]) -> list[str]:
        """Fold `caption` over the captions that have a word: the null condition stays what it is."""
        given = [place for place, caption in enumerate(captions) if says_something(caption)]
        chosen = [captions[place] for place in given]
        for place, part in self._with("caption"):
            if not chosen:
                break
            changed = self._call(part, "caption", part.mitigation.caption, list(chosen), self._stream(place, "caption"))
            fits = isinstance(changed, list) and len(changed) == len(chosen) and all(isinstance(c, str) for c in changed)
            _require(part, "caption", fits, repr(changed)[:80], f"a list of {len(chosen)} strings")
            chosen = changed
        captions = list(captions)
        for place, caption in zip(given, chosen, strict=True):
            captions[place] = caption
        return captions

    def condition(self, embeddings: Tensor, present: Tensor) -> Tensor:
        """Fold `condition` over the rows that are `present`, (B,) booleans: never the null embedding."""
        opened_parts = self._with("condition")
        if not opened_parts or not bool(present.any()):
            return embeddings
        rows = embeddings[present.to(embeddings.device)].cpu()
        for place, part in opened_parts:
            changed = self._call(part, "condition", part.mitigation.condition, rows, self._stream(place, "condition"))
            _require_tensor(part, "condition", changed, rows)
            rows = changed
        mask = present.to(embeddings.device).reshape(-1, *[1] * (embeddings.ndim - 1))
        return embeddings.masked_scatter(mask, rows.to(embeddings.device))

    def guidance(self, scale: Any, progress: float) -> Any:
        """Fold `guidance` over the scale at this share of the steps."""
        for _, part in self._with("guidance"):
            changed = self._call(part, "guidance", part.mitigation.guidance, scale, progress)
            number = isinstance(changed, int | float) and math.isfinite(changed)
            _require(part, "guidance", number or isinstance(changed, Tensor), repr(changed)[:80], "a finite number")
            scale = changed
        return scale

    def edit(self, model: Model) -> Model:
        """Fold `edit` over a model whose parameters can be trained."""
        for place, part in self._with("edit"):
            stream, data = self._stream(place, "edit"), self._data_of(place)
            before = {str(weight.device) for weight in model.parameters()}
            changed = self._call(part, "edit", part.mitigation.edit, model, data, stream)
            _require(part, "edit", isinstance(changed, type(model)), type(changed).__name__, "the edited model")
            elsewhere = {str(weight.device) for weight in changed.parameters()} - before
            _require(part, "edit", not elsewhere, f"weights on {', '.join(elsewhere)}", f"weights on {', '.join(before)}")
            finite = all(bool(weight.isfinite().all()) for weight in changed.parameters())
            _require(part, "edit", finite, "weights that are not finite", "finite weights")
            model = changed
        return model

    def trainer(self, base: Trainer) -> Trainer:
        """The chain of training links, outermost last in the composition."""
        chain: Trainer = self._chain("trainer", base, Trainer)
        return chain

    def sampler(self, base: Sampler) -> Sampler:
        """The chain of sampling links."""
        chain: Sampler = self._chain("sampler", base, Sampler)
        return chain

    def _chain(self, door: str, base: Any, kind: type[Any]) -> Any:
        links, outermost = [base], base
        for place, part in self._with(door):
            outermost.handover = Handover(part.family, self._stream(place, door), self._data_of(place))
            link = self._call(part, door, getattr(part.mitigation, door), outermost)
            outermost.handover = None
            _require(part, door, isinstance(link, kind), type(link).__name__, f"a {kind.__name__} that wraps `inner`")
            links.append(link)
            outermost = link
        for link in links:
            link.outer = outermost
        return outermost

    def _with(self, door: str) -> list[tuple[int, Part]]:
        return [(place, part) for place, part in enumerate(self._parts) if door in opened(type(part.mitigation))]

    def _stream(self, place: int, door: str) -> torch.Generator:
        """The stream of one door: keyed by class and its occurrence, so that a neutral part elsewhere changes nothing."""
        if (place, door) not in self._streams:
            names = [stream_name(type(part.mitigation)) for part in self._parts[: place + 1]]
            purpose = (*self._purpose, door, names[-1], names[:-1].count(names[-1]))
            self._streams[place, door] = seeds.torch_rng(self._seed, *purpose)
        return self._streams[place, door]

    @property
    def told(self) -> dict[str, dict[str, Told]]:
        """What parts told of themselves, by family; by label where a family is there twice."""
        families = [part.family for part in self._parts]
        names = [part.family if families.count(part.family) == 1 else part.label for part in self._parts]
        return {names[place]: data.told for place, data in sorted(self._handed.items()) if data.told}

    def _data_of(self, place: int) -> Data:
        part = self._parts[place]
        return self._handed.setdefault(place, Data(part.mitigation.needs, part.family, **self._data))

    def _call(self, part: Part, door: str, function: Callable[..., Any], *arguments: Any) -> Any:
        place, generators = f"mitigation {part.label}, {door}", seeds.Globals()
        try:
            returned = function(*arguments)
        except SolidmarkError:
            raise
        except Exception as cause:
            found, expected = f"{type(cause).__name__}: {cause}", "a door that returns"
            raise PluginFault(place, found, expected, "See the cause above.") from cause
        touched = [] if door in SEEDED else generators.restore()
        if touched:
            raise draws_elsewhere(place, touched)
        return returned


def check_asked(link: Any) -> None:
    """Raise the fault of a chain in which an overridden method was never asked."""
    fault = unasked(link)
    if fault is not None:
        raise fault


def _require(part: Part, door: str, holds: bool, found: str, expected: str) -> None:
    if not holds:
        raise PluginFault(f"mitigation {part.label}, {door}", found, expected, "Return that from the door.")


def _require_tensor(part: Part, door: str, changed: Any, given: Tensor) -> None:
    found = _told(changed) if isinstance(changed, Tensor) else type(changed).__name__
    _require(part, door, isinstance(changed, Tensor) and _told(changed) == _told(given), found, f"a tensor {_told(given)}")
    _require(part, door, bool(changed.isfinite().all()), "NaN or infinity", "finite numbers")


def _told(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype} on {tensor.device}"
