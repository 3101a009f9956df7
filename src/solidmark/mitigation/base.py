"""A mitigation: a frozen dataclass whose fields are its parameters and whose overridden methods are its hooks.

An author imports `Mitigation` (and `Stage`, `Needs`, `Trainer`, `Sampler`, `Claim` where wanted) from `solidmark`, and
all else from `solidmark.api`. A hook that a class does not override is the identity. This module is free of torch, so
that reports and the console can import it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from .. import seeds
from ..errors import InvalidValue, PluginFault
from .claims import Claim
from .guard import alone, each, plugin_code
from .needs import Needs, Stage

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ..data import Captions, Examples
    from ..models import Batch, Denoiser, Model, Prediction, Recipe, SamplingBatch
    from .handout import Data
    from .run import Run

Scale: TypeAlias = "float | Tensor"
"""A guidance scale: one number, or (B,)."""

Method = TypeVar("Method", bound=Callable[..., Any])

LETTERS = ("A", "B", "C", "unverified")
"""How faithful a method may be to what was published, the most faithful first (see `Mitigation.fidelity`)."""

DECLARED_STAGE = "declared_stage"
"""The attribute of a method by which `hook` declares it."""


def hook(stage: Stage | None) -> Callable[[Method], Method]:
    """Declare a method of `Mitigation` as a hook that acts at this stage.

    None is for a hook that may act at several stages. A class that overrides no other hook then states its `stage`.
    """

    def declare(method: Method) -> Method:
        setattr(method, DECLARED_STAGE, stage)
        return method

    return declare


@dataclasses.dataclass(frozen=True)
class Mitigation:
    """Fields are parameters; a class with its default fields is the published default.

    Class attributes:

    - `stage` follows from the overridden hooks. A class that overrides `caption` or `condition` alone states it.
    - `needs` is what must be handed out to the mitigation.
    - `reference` is title and arXiv number.
    - `claims` are published statements: a `Claim` where the statement can be tested, else a sentence.
    - `control` marks a reference or negative control. It may leave the baseline as it is.
    - `reference_curve` marks the family of a stage that the others of that stage are compared with at equal utility.
      Both count for solidmark's own methods alone; elsewhere the row is measured as any other, with a note.
    - `fidelity` is `A` where the published algorithm runs here as it is, `B` where a part of it is replaced by its
      counterpart at this scale, `C` where only its idea is kept, `unverified` where neither code nor the whole paper could
      be read. The docstring says which part. A control is nobody's method, and records have no letter for it.
    - `suited` names the testbeds whose training suits the method, where others leave it nothing to show. On another one the
      quick profile leaves it out, unless the user names it.
    - `form_of` names the family of which this is another form, such as its released code, a stage more, or the same at
      training. The quick profile measures one form of a method.
    - `costly` marks a method of which a row costs more than two trainings of its testbed. The quick profile leaves it out.
    - `stream` names the random streams of the class. By default the name of the class does. A class that is renamed
      states its old name, and then draws as before.

    Raises InvalidValue when a class is made whose hooks are of several stages or of none.
    """

    stage: ClassVar[Stage | None] = None
    needs: ClassVar[Needs] = Needs.NOTHING
    reference: ClassVar[str] = ""
    claims: ClassVar[tuple[str | Claim, ...]] = ()
    control: ClassVar[bool] = False
    reference_curve: ClassVar[bool] = False
    fidelity: ClassVar[str] = "A"
    suited: ClassVar[tuple[str, ...]] = ()
    form_of: ClassVar[str] = ""
    costly: ClassVar[bool] = False
    stream: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.fidelity not in LETTERS:
            where, expected = f"mitigation class {cls.__qualname__}.fidelity", "'A', 'B', 'C' or 'unverified'"
            raise InvalidValue(where, repr(cls.fidelity), expected, "See `Mitigation`.")
        cls.stage = cls._only_stage()

    @classmethod
    def _only_stage(cls) -> Stage | None:
        """The stage of all overridden hooks and of the class's own statement; None where there are neither."""
        where, hooks, stated = f"mitigation class {cls.__qualname__}", overridden_hooks(cls), cls.stage
        stages = {stage for stage in (*(HOOKS[name] for name in hooks), stated) if stage is not None}
        if len(stages) > 1:
            found = f"hooks {', '.join(hooks)}" + (f", stage {stated}" if stated else "")
            raise InvalidValue(where, found, "hooks of one stage", "Make one class a stage and join them with '+'.")
        if hooks and not stages:
            found = f"hooks {', '.join(hooks)} without a stage"
            cure = "Write `stage = Stage.TRAINING` or `stage = Stage.SAMPLING` into the class."
            raise InvalidValue(where, found, "a stated stage", cure)
        return stages.pop() if stages else None

    @hook(Stage.TRAINING)
    def recipe(self, recipe: Recipe) -> Recipe:
        """Change numbers of the recipe or the network's configuration, before anything is built."""
        return recipe

    @hook(Stage.TRAINING)
    def prepare(self, examples: Examples, rng: Generator) -> Examples:
        """Choose or replace the unmarked examples, once a training. An image keeps its id."""
        return examples

    @hook(Stage.TRAINING)
    def view(self, images: Tensor, rng: Generator) -> Tensor:
        """Change unmarked images, (B, C, H, W) in [0, 1], at each access."""
        return images

    @hook(None)
    def caption(self, captions: Captions, rng: Generator) -> list[str]:
        """Rewrite captions. Any words are allowed; `captions.fits(caption)` says whether the encoder takes all of them."""
        return captions

    @hook(None)
    def condition(self, embeddings: Tensor, rng: Generator) -> Tensor:
        """Change caption embeddings, (B, L, D), or (B, D) for labels. The null embedding is never among them."""
        return embeddings

    @hook(Stage.SAMPLING)
    def guidance(self, scale: Scale, step_fraction: float) -> Scale:
        """Change the guidance scale at this share of the steps, 0 to below 1. 0 is unconditional, 1 plain conditional."""
        return scale

    @hook(Stage.POST_HOC)
    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """Change a trained model. It is a copy, and its parameters can be trained."""
        return model

    @hook(Stage.TRAINING)
    def trainer(self, inner: Trainer) -> Trainer:
        """Return `MyTrainer(self, inner)`. It is made once a training."""
        return inner

    @hook(Stage.SAMPLING)
    def pipeline(self, stock: Any) -> Any:
        """Return the diffusers pipeline that answers in the place of the suite's own sampler, or a `pipelines.Loaded`.

        `stock` is the model as the pipeline of its kind, with networks that nobody else has. Nothing else may act at
        sampling beside it.
        """
        return stock

    @hook(Stage.SAMPLING)
    def sampler(self, inner: Sampler) -> Sampler:
        """Return `MySampler(self, inner)`. It is made once a batch of queries."""
        return inner

    def settings(self) -> Sequence[Mitigation]:
        """The instances of the sweep, weakest first, the published default among them."""
        return (self,)

    def expect(self, holds: bool, name: str, expected: str) -> None:
        """For `__post_init__`: raise InvalidValue with the parameter's name and value unless `holds`."""
        if not holds:
            where = f"{type(self).__name__}.{name}"
            raise InvalidValue(where, repr(getattr(self, name)), expected, f"Give {name} such a value.")

    def parameters(self) -> dict[str, object]:
        """Fields with their values, defaults included. Not to be overridden: records know a mitigation by them."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


HOOKS: Mapping[str, Stage | None] = {
    name: getattr(method, DECLARED_STAGE) for name, method in vars(Mitigation).items() if hasattr(method, DECLARED_STAGE)
}
"""Every hook by name, with its stage; None where a class states the stage (see `hook`)."""


def overridden_hooks(mitigation: type[Mitigation]) -> list[str]:
    """The hooks that a class overrides: those of its methods that are not Mitigation's own."""
    return [hook for hook in HOOKS if getattr(mitigation, hook) is not getattr(Mitigation, hook)]


def stream_name(mitigation: type[Mitigation]) -> str:
    """The name of a class's random streams: the `stream` that the class states itself, else the name of the class.

    A `stream` is not inherited. Neither module nor source is a part of the name, so that a file can be moved and edited.
    """
    return str(vars(mitigation).get("stream") or mitigation.__qualname__)


@dataclasses.dataclass(frozen=True)
class WrapperContext:
    """What the suite gives to the wrapper that is made next: family, random stream, and the data that it declared."""

    family: str
    rng: Generator
    data: Data


class Wrapper:
    """An object that wraps `inner` for one training or one batch. It may hold state.

    In a method m, call `self.inner.m(...)` to go on, and `self.outer.n(...)` for *another* method n, so that wrappers
    further outside take part. A method that is not overridden passes the call on. An overridden method that is never
    called in a whole run is an error (see `unused_overrides`). Raises PluginFault for a wrapper made outside its hook.
    """

    METHODS: ClassVar[tuple[str, ...]] = ()
    SEEDED: ClassVar[bool] = False
    """Whether the global generators are seeded while it acts and restored afterwards. Else it may not touch them."""

    mitigation: Mitigation
    family: str
    model: Denoiser
    data: Data
    rng: Generator
    context: WrapperContext | None = None

    def __init__(self, mitigation: Mitigation, inner: Any) -> None:
        if inner.context is None:
            cure = "Return `MyWrapper(self, inner)` from the hook, and make it nowhere else."
            raise PluginFault(type(self).__name__, "a wrapper made outside its hook", "one made inside it", cure)
        self.mitigation, self.inner, self.outer = mitigation, inner, self
        self.model = inner.model
        self.family, self.rng, self.data = inner.context.family, inner.context.rng, inner.context.data
        self.called: set[str] = set()
        for method in self.overridden():
            setattr(self, method, self._guarded(method))

    def overridden(self) -> list[str]:
        """The methods of this wrapper that do not simply pass the call on."""
        plain = next(base for base in type(self).__mro__ if base.__module__ == __name__)
        return [name for name in self.METHODS if getattr(type(self), name) is not getattr(plain, name)]

    def _guarded(self, method: str) -> Callable[..., Any]:
        """The method, which notes that it was called, and whose exceptions and draws name the mitigation."""
        call = getattr(self, method)

        @wraps(call)
        def guarded(*arguments: Any, **named: Any) -> Any:
            self.called.add(method)
            where, generators = f"mitigation {self.family}, {type(self).__name__}.{method}", seeds.Globals()
            counts = getattr(self.model, "evaluations", None)
            with plugin_code(where, "a method that returns"):
                returned = alone(call, *arguments, **named)
            if getattr(self.model, "evaluations", None) is not counts:
                found, expected = "another count of the denoiser's evaluations", "the one that counts all of them"
                raise PluginFault(where, found, expected, "Leave `model.evaluations` alone.")
            touched = [] if self.SEEDED else generators.restore()
            if touched:
                raise draws_elsewhere(where, touched)
            return each(returned, where) if isinstance(returned, Iterator) else returned

        return guarded


def draws_elsewhere(where: str, touched: Sequence[str]) -> PluginFault:
    """The fault of code that draws from, or seeds, a generator that is not its own."""
    found = f"the global generator of {' and '.join(touched)} drawn from or seeded"
    cure = "Draw with `generator=rng` (`self.rng`)."
    return PluginFault(where, found, "draws from the generator that was handed out alone", cure)


class Trainer(Wrapper):
    """A wrapper of one training. The innermost one is the suite's own loop (`training.BaseTrainer`)."""

    SEEDED = True
    METHODS = ("prepare", "batches", "times", "predict", "losses", "update", "fit", "finish")

    inner: Trainer
    outer: Trainer
    run: Run

    def __init__(self, mitigation: Mitigation, inner: Trainer) -> None:
        super().__init__(mitigation, inner)
        self.run = inner.run

    def prepare(self) -> None:
        """Runs after the model is built and before the optimizer is: adapters, freezing, tables."""
        self.inner.prepare()

    def batches(self) -> Iterator[Tensor]:
        """Batches of indices into `run.indices`, without end. Training ends early where they end."""
        return self.inner.batches()

    def times(self, batch: Batch) -> Tensor:
        """One timestep a sample, (B,)."""
        return self.inner.times(batch)

    def predict(self, x: Tensor, t: Tensor, batch: Batch) -> Prediction:
        """The denoiser's prediction of noised samples x, (B, C, H, W)."""
        return self.inner.predict(x, t, batch)

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """(B,) losses. A loss of exactly 0 drops the sample from the mean."""
        return self.inner.losses(batch, t)

    def update(self, indices: Tensor) -> None:
        """One optimizer step on these images."""
        self.inner.update(indices)

    def fit(self) -> None:
        """The whole loop."""
        self.inner.fit()

    def finish(self) -> None:
        """Runs after the averaged weights are in place: merging, pruning."""
        self.inner.finish()


class Sampler(Wrapper):
    """A wrapper of one batch of queries. The innermost one is classifier-free guidance (`sampling.BaseSampler`)."""

    METHODS = ("prepare", "scale", "predict", "after")

    inner: Sampler
    outer: Sampler

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """Runs before the first step: the batch, with other embeddings, noise or refusals."""
        return self.inner.prepare(batch)

    def scale(self, unconditional: Tensor, conditional: Tensor, t: int, batch: SamplingBatch) -> Scale:
        """The guidance scale of the step from t, one number or (B,), from both noise predictions, (B, C, H, W)."""
        return self.inner.scale(unconditional, conditional, t, batch)

    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The guided noise prediction at this step, (B, C, H, W)."""
        return self.inner.predict(x, t, batch)

    def after(self, x: Tensor, x0: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The sample x after the step from t, changed. x0 is the clean image that the step predicted."""
        return self.inner.after(x, x0, t, batch)


def unused_overrides(outermost: Any) -> PluginFault | None:
    """The fault of a chain with an overridden method that was never called: its name, and what is wrapped outside it."""
    outside: list[str] = []
    wrapper = outermost
    while wrapper.inner is not None:
        unused = [method for method in wrapper.overridden() if method not in wrapper.called]
        if unused:
            return PluginFault(
                f"mitigation {wrapper.family}, {type(wrapper).__name__}.{unused[0]}",
                f"it was never called; outside it: {', '.join(outside) or 'no other mitigation'}",
                "every overridden method to be called at least once in a run",
                "A wrapper must call `self.inner` for its own method and `self.outer` for the others.",
            )
        outside.append(f"{wrapper.family} ({', '.join(wrapper.overridden())})")
        wrapper = wrapper.inner
    return None
