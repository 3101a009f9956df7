"""The hooks of a composition: called in order, each with its own random stream, and what they return is checked.

Hooks of data (`prepare`, `view`, `caption`, `condition`) work on CPU tensors, because their generator does. Wrappers
work where the model is.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import seeds
from ..data import Captions, Examples, always_fits, says_something
from ..errors import NotApplicable, PluginFault
from ..models import ReportedValue
from ..pipelines import Loaded
from ..pipelines.quiet import quiet
from .base import Sampler, Trainer, WrapperContext, draws_elsewhere, overridden_hooks, stream_name, unused_overrides
from .composition import Composition, Part
from .foreign import PIPELINE
from .guard import alone, plugin_code
from .handout import Data, HandedOut

if TYPE_CHECKING:
    from ..models import Model, Recipe


SEEDED = ("trainer", "edit")
"""Hooks for which the global generators are seeded and restored afterwards. The others may not touch those."""


WATCHED = 2**17
"""Numbers of each tensor of weights by which an edit is measured: all of a small network's, where an edit may be of few
weights; all of a large network's would be in memory twice."""
SAMPLING = "sampling"
"""The purpose of the hooks of a service: they act on many batches, and so give doses and no reports."""


class Hooks:
    """The overridden hooks of a composition at one stage. Random streams are keyed by seed, purpose, hook and class."""

    def __init__(self, composition: Composition, seed: int, *purpose: object, data: HandedOut | None = None) -> None:
        self._parts, self.label = composition.parts, composition.label
        self._data = data or {}
        self._at_sampling = purpose[:1] == (SAMPLING,)
        self._streams = self._all_streams(seed, purpose)
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
        for index, part in self._with("prepare"):
            ids, shape = set(examples.ids), examples.images.shape[1:]
            changed = self._call(part, "prepare", part.mitigation.prepare, examples, self._stream(index, "prepare"))
            _require(part, "prepare", isinstance(changed, Examples), type(changed).__name__, "Examples")
            found = f"{len(changed)} examples of shape {tuple(changed.images.shape[1:])}"
            fits = len(changed) > 0 and changed.images.shape[1:] == shape and set(changed.ids) <= ids
            _require(part, "prepare", fits, found, f"at least one, of shape {tuple(shape)}, with ids that were given")
            self._data_of(index).dose("examples_kept", len(changed) / len(examples))
            examples = changed
        return examples

    def acts(self, hook: str) -> bool:
        """Whether any part has a hook of that name."""
        return bool(self._with(hook))

    def view(self, images: Tensor) -> Tensor:
        """Fold `view`: unmarked images in [0, 1], shape kept."""
        for index, part in self._with("view"):
            changed = self._call(part, "view", part.mitigation.view, images, self._stream(index, "view"))
            _require_tensor(part, "view", changed, images)
            low, high = changed.min().item(), changed.max().item()
            _require(part, "view", low >= 0 and high <= 1, f"values from {low:g} to {high:g}", "images in [0, 1]")
            self._data_of(index).dose("images_changed", (changed != images).flatten(1).any(dim=1))
            images = changed
        return images

    def caption(self, captions: list[str], fits: Callable[[str], bool] = always_fits) -> list[str]:
        """Fold `caption` over the captions that have a word. The null condition stays as it is.

        So does what a part has left without a word. `fits` says of a caption whether the text encoder takes all its words.
        """
        captions = list(captions)
        for index, part in self._with("caption"):
            given = [row for row, caption in enumerate(captions) if says_something(caption)]
            if not given:
                break
            chosen = [captions[row] for row in given]
            given_to = Captions(chosen, fits)
            changed = self._call(part, "caption", part.mitigation.caption, given_to, self._stream(index, "caption"))
            holds = isinstance(changed, list) and len(changed) == len(chosen) and all(isinstance(c, str) for c in changed)
            _require(part, "caption", holds, repr(changed)[:80], f"a list of {len(chosen)} strings")
            self._dose_captions(index, chosen, changed, fits)
            for row, caption in zip(given, changed, strict=True):
                captions[row] = caption
        return captions

    def condition(self, embeddings: Tensor, present: Tensor) -> Tensor:
        """Fold `condition` over the rows that are `present`, (B,) booleans. The others are the null embedding."""
        overriding = self._with("condition")
        if not overriding or not bool(present.any()):
            return embeddings
        rows = embeddings[present.to(embeddings.device)].cpu()
        for index, part in overriding:
            changed = self._call(part, "condition", part.mitigation.condition, rows, self._stream(index, "condition"))
            _require_tensor(part, "condition", changed, rows)
            moved, length = ((each.flatten(1).double().norm(dim=1)) for each in (changed - rows, rows))
            self._data_of(index).dose("embedding_change", moved / length.clamp(min=1e-12))
            rows = changed
        mask = present.to(embeddings.device).reshape(-1, *[1] * (embeddings.ndim - 1))
        return embeddings.masked_scatter(mask, rows.to(embeddings.device))

    def _dose_captions(self, index: int, before: list[str], after: list[str], fits: Callable[[str], bool]) -> None:
        """What a part did to captions: the share that it changed, how many words it added to each, and of which share
        the encoder cuts off an end that it took before.
        """
        data, pairs = self._data_of(index), list(zip(before, after, strict=True))
        data.dose("captions_changed", torch.tensor([old != new for old, new in pairs]))
        data.dose("words_added", torch.tensor([len(new.split()) - len(old.split()) for old, new in pairs]))
        data.dose("captions_cut", torch.tensor([old != new and not fits(new) and fits(old) for old, new in pairs]))

    def guidance(self, scale: Any, step_fraction: float) -> Any:
        """Fold `guidance` over the scale at this share of the steps."""
        for index, part in self._with("guidance"):
            changed = self._call(part, "guidance", part.mitigation.guidance, scale, step_fraction)
            _require(part, "guidance", is_scale(changed), repr(changed)[:80], "a finite number, or finite numbers, (B,)")
            self._dose_guidance(index, scale, changed)
            scale = changed
        return scale

    def _dose_guidance(self, index: int, before: Any, after: Any) -> None:
        """The scale that a part leaves, as a share of the one that it got, step by step; nothing where that was 0."""
        old, new = torch.broadcast_tensors(*(torch.as_tensor(one).detach().double().cpu() for one in (before, after)))
        self._data_of(index).dose("guidance_left", (new / old)[old != 0])

    def edit(self, model: Model) -> Model:
        """Fold `edit` over a model whose parameters can be trained."""
        for index, part in self._with("edit"):
            stream, data, kept = self._stream(index, "edit"), self._data_of(index), _some_weights(model)
            before = {str(weight.device) for weight in model.parameters()}
            changed = self._call(part, "edit", part.mitigation.edit, model, data, stream)
            _require(part, "edit", isinstance(changed, type(model)), type(changed).__name__, "the edited model")
            elsewhere = {str(weight.device) for weight in changed.parameters()} - before
            _require(part, "edit", not elsewhere, f"weights on {', '.join(elsewhere)}", f"weights on {', '.join(before)}")
            finite = all(bool(weight.isfinite().all()) for weight in changed.parameters())
            _require(part, "edit", finite, "weights that are not finite", "finite weights")
            moved = _moved_share(kept, _some_weights(changed))
            if moved is not None:
                data.dose("weights_moved", moved)
            model = changed
        return model

    def pipeline(self, model: Any) -> Loaded | None:
        """What the part that brings a pipeline makes of the model's own; None where no part brings one.

        Raises NotApplicable for a model that is no pipeline, and where something else acts at sampling as well.
        """
        bringing = self._with(PIPELINE)
        if not bringing:
            return None
        acting = [part.label for part in self._parts if overridden_hooks(type(part.mitigation)) != [PIPELINE]]
        if acting or len(bringing) > 1:
            others = " and ".join(acting or [part.label for _, part in bringing])
            cure = "Give each a row of its own; parts that act at training or post-hoc may stand beside it."
            raise NotApplicable(f"mitigation {self.label}", f"{others} at sampling", "a pipeline alone", cure)
        if not hasattr(model, "pipeline"):
            cure = "Choose a latent testbed."
            raise NotApplicable(f"mitigation {self.label}", type(model).__name__, "a model with a pipeline", cure)
        [(_, part)] = bringing
        with quiet():
            stock = model.copy().frozen().pipeline()
            own = {name: copy.deepcopy(getattr(stock, name)) for name in ("vae", "text_encoder")}  # a copy shares these
            stock.register_modules(**own)
        made = self._call(part, PIPELINE, part.mitigation.pipeline, stock)
        loaded = made if isinstance(made, Loaded) else Loaded(made)
        fits = hasattr(loaded.pipe, "scheduler") and callable(loaded.pipe)
        _require(part, PIPELINE, fits, type(loaded.pipe).__name__, "a diffusers pipeline, or Loaded(pipe, call)")
        return loaded

    def trainer(self, base: Trainer) -> Trainer:
        """The chain of training wrappers. The last one of the composition is outermost."""
        chain: Trainer = self._chain("trainer", base, Trainer)
        return chain

    def sampler(self, base: Sampler) -> Sampler:
        """The chain of sampling wrappers. The last one of the composition is outermost."""
        chain: Sampler = self._chain("sampler", base, Sampler)
        return chain

    def _chain(self, hook: str, base: Any, kind: type[Any]) -> Any:
        wrappers, outermost = [base], base
        for index, part in self._with(hook):
            outermost.context = WrapperContext(part.family, self._stream(index, hook), self._data_of(index))
            wrapper = self._call(part, hook, getattr(part.mitigation, hook), outermost)
            outermost.context = None
            _require(part, hook, isinstance(wrapper, kind), type(wrapper).__name__, f"a {kind.__name__} that wraps `inner`")
            wrappers.append(wrapper)
            outermost = wrapper
        for wrapper in wrappers:
            wrapper.outer = outermost
        return outermost

    def _with(self, hook: str) -> list[tuple[int, Part]]:
        return [(index, part) for index, part in enumerate(self._parts) if hook in overridden_hooks(type(part.mitigation))]

    def _all_streams(self, seed: int, purpose: tuple[object, ...]) -> dict[tuple[int, str], torch.Generator]:
        """The stream of each hook: keyed by class and its occurrence, so that a neutral part elsewhere changes nothing.

        All are made at once, so that what is asked for is kept nowhere in a plugin's reach.
        """
        names, streams = [stream_name(type(part.mitigation)) for part in self._parts], {}
        for index, (part, name) in enumerate(zip(self._parts, names, strict=True)):
            for hook in overridden_hooks(type(part.mitigation)):
                occurrence = names[:index].count(name)
                streams[index, hook] = seeds.torch_rng(seed, *purpose, hook, name, occurrence)
        return streams

    def _stream(self, index: int, hook: str) -> torch.Generator:
        return self._streams[index, hook]

    @property
    def reported(self) -> dict[str, dict[str, ReportedValue]]:
        """What the parts reported and their doses, by family, or by label where a family occurs twice."""
        families = [part.family for part in self._parts]
        names = [part.family if families.count(part.family) == 1 else part.label for part in self._parts]
        told = {index: {**data.reported, **data.doses} for index, data in sorted(self._handed.items())}
        return {names[index]: values for index, values in told.items() if values}

    def _data_of(self, index: int) -> Data:
        part = self._parts[index]
        return self._handed.setdefault(
            index, Data(part.mitigation.needs, part.family, sampled=self._at_sampling, **self._data)
        )

    def _call(self, part: Part, hook: str, function: Callable[..., Any], *arguments: Any) -> Any:
        where, generators = f"mitigation {part.label}, {hook}", seeds.Globals()
        with plugin_code(where, "a hook that returns"):
            returned = alone(function, *arguments)
        touched = [] if hook in SEEDED else generators.restore()
        if touched:
            raise draws_elsewhere(where, touched)
        return returned


def _some_weights(model: Model) -> list[tuple[float, Tensor]]:
    """Of each tensor of weights how many numbers stand for one, and WATCHED or a few more of them, evenly spaced."""
    weights = [weight.detach().flatten() for weight in model.parameters()]
    kept = [weight[:: max(1, len(weight) // WATCHED)].clone() for weight in weights]
    return [(len(all_of) / max(1, len(some)), some) for all_of, some in zip(weights, kept, strict=True)]


def _moved_share(before: Sequence[tuple[float, Tensor]], after: Sequence[tuple[float, Tensor]]) -> float | None:
    """The norm of the change of all weights as a share of their norm; None where the network has another shape."""
    if [len(some) for _, some in before] != [len(some) for _, some in after]:
        return None
    moved = length = 0.0
    for (each, old), (_, new) in zip(before, after, strict=True):
        moved += each * float((new.double() - old.double()).square().sum())
        length += each * float(old.double().square().sum())
    return math.sqrt(moved / length) if length else None


def check_overrides(wrapper: Any) -> None:
    """Raise PluginFault where an overridden method of the chain was never called (see `unused_overrides`)."""
    fault = unused_overrides(wrapper)
    if fault is not None:
        raise fault


def _require(part: Part, hook: str, holds: bool, found: str, expected: str) -> None:
    if not holds:
        raise PluginFault(f"mitigation {part.label}, {hook}", found, expected, "Return that from the hook.")


def _require_tensor(part: Part, hook: str, changed: Any, given: Tensor) -> None:
    fits = isinstance(changed, Tensor) and signature(changed) == signature(given)
    _require(part, hook, fits, signature(changed), f"a tensor {signature(given)}")
    _require(part, hook, bool(changed.isfinite().all()), "NaN or infinity", "finite numbers")


def is_scale(value: Any) -> bool:
    """Whether a value is a guidance scale: a finite number, or a tensor of finite numbers, one or (B,) of them."""
    if isinstance(value, Tensor):
        return value.ndim <= 1 and bool(value.isfinite().all())
    return isinstance(value, int | float) and math.isfinite(value)


def signature(tensor: Any) -> str:
    """Shape, type and device of a tensor; of another object its class."""
    if not isinstance(tensor, Tensor):
        return type(tensor).__name__
    return f"{tuple(tensor.shape)} {tensor.dtype} on {tensor.device}"
