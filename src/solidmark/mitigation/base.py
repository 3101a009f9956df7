"""A mitigation: a frozen dataclass whose fields are its parameters and whose overridden methods are its doors.

An author imports `Mitigation` (and `Stage`, `Needs`, `Trainer`, `Sampler` where wanted) and nothing else.
Every door that is not opened is the identity. This module is free of torch, so that reports and the
console can import it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from .. import seeds
from ..errors import InvalidValue, PluginFault, SolidmarkError
from .claims import Claim

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ..data import Examples
    from ..models import Batch, Denoiser, Model, Prediction, Query, Recipe
    from .handout import Data
    from .run import Run
from .needs import Needs, Stage

Scale: TypeAlias = "float | Tensor"
"""A guidance scale: one number, or (B,)."""

STAGE_OF_DOOR = {
    "recipe": Stage.TRAINING,
    "prepare": Stage.TRAINING,
    "view": Stage.TRAINING,
    "trainer": Stage.TRAINING,
    "guidance": Stage.SAMPLING,
    "sampler": Stage.SAMPLING,
    "edit": Stage.POST_HOC,
}
DOORS = (*STAGE_OF_DOOR, "caption", "condition")


@dataclasses.dataclass(frozen=True)
class Mitigation:
    """Fields are parameters; a class with its default fields is the published default.

    Class attributes: `stage` follows from the doors and is stated only where `caption` or `condition`
    alone is open; `needs` is what must be handed out; `reference` is title and arXiv number; `claims`
    are published statements, each a `Claim` where it can be tested, else a sentence; `control` marks a
    reference or negative control, which may leave the baseline as it is; `reference_curve` marks the family
    of a stage that all others of it are compared with at equal utility. `fidelity` is `A` where the
    published algorithm runs here as it is, `B` where a part of it is replaced by its counterpart at this
    scale, `C` where only its idea is kept; the docstring says what. `stream` names the random streams of a class, which
    are else named by the class: a class that is renamed states its old name, and goes on drawing as before.
    """

    stage: ClassVar[Stage | None] = None
    needs: ClassVar[Needs] = Needs.NOTHING
    reference: ClassVar[str] = ""
    claims: ClassVar[tuple[str | Claim, ...]] = ()
    control: ClassVar[bool] = False
    reference_curve: ClassVar[bool] = False
    fidelity: ClassVar[str] = "A"
    stream: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.fidelity not in ("A", "B", "C"):
            place = f"mitigation class {cls.__qualname__}.fidelity"
            raise InvalidValue(place, repr(cls.fidelity), "'A', 'B' or 'C'", "See `Mitigation`.")
        stages = {STAGE_OF_DOOR[door] for door in opened(cls) if door in STAGE_OF_DOOR}
        stated = cls.stage
        if stated is not None:
            stages.add(stated)
        if len(stages) > 1:
            doors = ", ".join(opened(cls))
            found = f"doors {doors}" + (f", stage {stated}" if stated else "")
            cure = "Make one class a stage and join them with '+'."
            raise InvalidValue(f"mitigation class {cls.__qualname__}", found, "doors of one stage", cure)
        if not stages and opened(cls):
            found = f"doors {', '.join(opened(cls))} without a stage"
            cure = "Write `stage = Stage.TRAINING` or `stage = Stage.SAMPLING` into the class."
            raise InvalidValue(f"mitigation class {cls.__qualname__}", found, "a stated stage", cure)
        cls.stage = stages.pop() if stages else None

    def recipe(self, recipe: Recipe) -> Recipe:
        """Change numbers of the recipe or the network's configuration, before anything is built. TRAINING"""
        return recipe

    def prepare(self, examples: Examples, rng: Generator) -> Examples:
        """Choose or replace examples, unmarked, once; ids stay. TRAINING"""
        return examples

    def view(self, images: Tensor, rng: Generator) -> Tensor:
        """Change unmarked images, (B, C, H, W) in [0, 1], at each access. TRAINING"""
        return images

    def caption(self, captions: list[str], rng: Generator) -> list[str]:
        """Rewrite captions; any words are allowed. TRAINING or SAMPLING"""
        return captions

    def condition(self, embeddings: Tensor, rng: Generator) -> Tensor:
        """Change text embeddings, (B, L, D), never the null one. TRAINING or SAMPLING"""
        return embeddings

    def guidance(self, scale: Scale, progress: float) -> Scale:
        """The guidance scale at this share of the steps; 0 is unconditional, 1 plain conditional. SAMPLING"""
        return scale

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """Change a trained model; it is a copy and its parameters can be trained. POST_HOC"""
        return model

    def trainer(self, inner: Trainer) -> Trainer:
        """Return `MyTrainer(self, inner)`, made once a training. TRAINING"""
        return inner

    def sampler(self, inner: Sampler) -> Sampler:
        """Return `MySampler(self, inner)`, made once a batch of queries. SAMPLING"""
        return inner

    def strengths(self) -> Sequence[Mitigation]:
        """Instances of the curve, weakest first, the published default among them."""
        return (self,)

    def expect(self, holds: bool, name: str, expected: str) -> None:
        """For `__post_init__`: raise InvalidValue with the parameter's name and value unless `holds`."""
        if not holds:
            place = f"{type(self).__name__}.{name}"
            raise InvalidValue(place, repr(getattr(self, name)), expected, f"Give {name} such a value.")

    def parameters(self) -> dict[str, Any]:
        """Fields with their values, defaults included."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def opened(mitigation: type[Mitigation]) -> list[str]:
    """The doors that a class opens: those of its methods that are not Mitigation's own."""
    return [door for door in DOORS if getattr(mitigation, door) is not getattr(Mitigation, door)]


def stream_name(mitigation: type[Mitigation]) -> str:
    """What names a class's random streams: what it states itself, no class it inherits from, else its name.

    Neither its module nor its source is a part of it, so that a file can be moved and commented on.
    """
    return str(vars(mitigation).get("stream") or mitigation.__qualname__)


@dataclasses.dataclass(frozen=True)
class Handover:
    """What the suite gives to the link that is made next: its own stream and the data that it declared."""

    family: str
    rng: Generator
    data: Data


class Link:
    """Short-lived, may hold state, wraps `inner`.

    Call `self.inner.m(...)` to go on with method m and `self.outer.n(...)` for the *other* methods, so
    that what is wrapped outside takes part. A method not overridden passes on; an overridden one that is
    never asked in a whole run is an error (see `unasked`).
    """

    METHODS: ClassVar[tuple[str, ...]] = ()
    SEEDED: ClassVar[bool] = False
    """Whether the global generators are seeded while it acts, and put back afterwards; else it may not touch them."""

    mitigation: Mitigation
    family: str
    model: Denoiser
    data: Data
    rng: Generator
    handover: Handover | None = None

    def __init__(self, mitigation: Mitigation, inner: Any) -> None:
        if inner.handover is None:
            cure = "Return `MyLink(self, inner)` from the door, and make it nowhere else."
            raise PluginFault(type(self).__name__, "a link made outside its door", "one made inside it", cure)
        self.mitigation, self.inner, self.outer = mitigation, inner, self
        self.model = inner.model
        self.family, self.rng, self.data = inner.handover.family, inner.handover.rng, inner.handover.data
        self.asked: set[str] = set()
        for method in self.overridden():
            setattr(self, method, self._watched(method))

    def overridden(self) -> list[str]:
        """The methods of this link that do not simply pass on."""
        plain = next(base for base in type(self).__mro__ if base.__module__ == __name__)
        return [name for name in self.METHODS if getattr(type(self), name) is not getattr(plain, name)]

    def _watched(self, method: str) -> Callable[..., Any]:
        ask = getattr(self, method)

        @wraps(ask)
        def watched(*arguments: Any, **named: Any) -> Any:
            self.asked.add(method)
            place, generators = f"mitigation {self.family}, {type(self).__name__}.{method}", seeds.Globals()
            try:
                returned = ask(*arguments, **named)
            except SolidmarkError:
                raise
            except Exception as cause:
                expected = "a method that returns"
                raise PluginFault(place, f"{type(cause).__name__}: {cause}", expected, "See the cause above.") from cause
            touched = [] if self.SEEDED else generators.restore()
            if touched:
                raise draws_elsewhere(place, touched)
            return returned

        return watched


def draws_elsewhere(place: str, touched: Sequence[str]) -> PluginFault:
    """The fault of code that draws from, or seeds, a generator that is not its own."""
    found = f"the global generator of {' and '.join(touched)} drawn from or seeded"
    return PluginFault(place, found, "chance from the generator handed out alone", "Draw with `generator=rng` (`self.rng`).")


class Trainer(Link):
    """A link of one training. The innermost is the suite's own loop (`training.BaseTrainer`)."""

    SEEDED = True
    METHODS = ("prepare", "batches", "times", "predict", "losses", "update", "fit", "finish")

    inner: Trainer
    outer: Trainer
    run: Run

    def __init__(self, mitigation: Mitigation, inner: Trainer) -> None:
        super().__init__(mitigation, inner)
        self.run = inner.run

    def prepare(self) -> None:
        """After the model is built, before the optimizer: adapters, freezing, tables."""
        self.inner.prepare()

    def batches(self) -> Iterator[Tensor]:
        """Endless indices into `run.indices`; training ends early where they end."""
        return self.inner.batches()

    def times(self, batch: Batch) -> Tensor:
        """One timestep a sample, (B,)."""
        return self.inner.times(batch)

    def predict(self, x: Tensor, t: Tensor, batch: Batch) -> Prediction:
        """The denoiser on noised samples x, (B, C, H, W)."""
        return self.inner.predict(x, t, batch)

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """(B,) losses; an exact 0 drops the sample from the mean."""
        return self.inner.losses(batch, t)

    def update(self, indices: Tensor) -> None:
        """One optimizer step on these images."""
        self.inner.update(indices)

    def fit(self) -> None:
        """The whole loop."""
        self.inner.fit()

    def finish(self) -> None:
        """After the averaged weights are in place: merge, prune."""
        self.inner.finish()


class Sampler(Link):
    """A link of one batch of queries. The innermost is classifier-free guidance (`sampling.BaseSampler`)."""

    METHODS = ("prepare", "scale", "predict", "after")

    inner: Sampler
    outer: Sampler

    def prepare(self, query: Query) -> Query:
        """Before the first step: replace embeddings, noise, refused."""
        return self.inner.prepare(query)

    def scale(self, unconditional: Tensor, conditional: Tensor, t: int, query: Query) -> Scale:
        """The guidance scale now, one number or (B,), from both noise predictions."""
        return self.inner.scale(unconditional, conditional, t, query)

    def predict(self, x: Tensor, t: int, query: Query) -> Tensor:
        """The guided noise prediction at this step, (B, C, H, W)."""
        return self.inner.predict(x, t, query)

    def after(self, x: Tensor, x0: Tensor, t: int, query: Query) -> Tensor:
        """Change the sample after the step from t; x0 is the clean image that the step predicted."""
        return self.inner.after(x, x0, t, query)


def unasked(outermost: Any) -> PluginFault | None:
    """The fault of a chain in which an overridden method was never asked, naming it and who stands before it."""
    above: list[Link] = []
    link = outermost
    while link.inner is not None:
        silent = [method for method in link.overridden() if method not in link.asked]
        if silent:
            others = [f"{other.family} ({', '.join(other.overridden())})" for other in above] or ["no other mitigation"]
            return PluginFault(
                f"mitigation {link.family}, {type(link).__name__}.{silent[0]}",
                f"it was never asked; outside it stand {', '.join(others)}",
                "every overridden method to be asked at least once in a run",
                "The outer one must call `self.inner` for its own method and `self.outer` for the others.",
            )
        above.append(link)
        link = link.inner
    return None
