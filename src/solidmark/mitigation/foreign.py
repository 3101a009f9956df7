"""A stranger's pipeline as a row: his class and his call on the weights of the testbed's model, as they are.

Such a row is written `pipeline(pipeline_class='file.py:Class', call='file.py:function')`, and `pipeline` alone is the stock
pipeline of the same weights, which it is compared with. Free of torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InvalidValue, cleaned
from ..provenance import code_digest
from .base import Mitigation, overridden_hooks
from .composition import PLACE, Composition, Part

PIPELINE = "pipeline"
"""How a row is written that a diffusers pipeline answers, and the hook that gives it."""

OWN = "own"
"""The scheduler that the model's own pipeline has."""

STOCK_BATCH = 32
"""Images that the stock pipeline is asked at once; a stranger's, which may read one prompt only, is asked one by one."""


@dataclass(frozen=True)
class StockPipeline(Mitigation):
    """The stock diffusers pipeline of the model's kind in the place of the suite's own sampler.

    `scheduler` names a scheduler of diffusers, which is made from the settings of the model's own; `own` is that one,
    DDIM. `batch` images are asked at once.
    """

    scheduler: str = OWN
    batch: int = STOCK_BATCH

    control = True

    def __post_init__(self) -> None:
        self.expect(self.batch >= 1, "batch", "a whole number of at least 1")

    def pipeline(self, stock: Any) -> Any:
        """The pipeline itself, with its scheduler."""
        from ..pipelines import adopt

        return adopt(stock, scheduler=None if self.scheduler == OWN else self.scheduler, batch=self.batch)


@dataclass(frozen=True)
class ForeignPipeline(Mitigation):
    """A pipeline's class or call from a stranger's file, as it is, in the place of the suite's own sampler.

    `pipeline_class` is `file.py:Class`, a subclass of the model's pipeline, and `call` is `file.py:function`, a function
    call(pipe, captions, **options); one of both may be left out. For `scheduler` and `batch` see `StockPipeline`.
    """

    pipeline_class: str = field(default="", metadata=PLACE)
    call: str = field(default="", metadata=PLACE)
    scheduler: str = OWN
    batch: int = 1

    def __post_init__(self) -> None:
        self.expect(self.batch >= 1, "batch", "a whole number of at least 1")
        self.expect(bool(self.pipeline_class or self.call), "pipeline_class", "file.py:Class, or a call")

    def pipeline(self, stock: Any) -> Any:
        """The stranger's class on the same parts, with his call."""
        from ..pipelines import adopt

        return adopt(
            stock,
            pipeline_class=self.pipeline_class or None,
            call=self.call or None,
            scheduler=None if self.scheduler == OWN else self.scheduler,
            batch=self.batch,
        )

    @property
    def family(self) -> str:
        """File and name of the call, which tells more than the class, else of the class: `calls.wen`."""
        file, _, name = (self.call or self.pipeline_class).rpartition(":")
        return f"{Path(file).stem}.{name}"

    @property
    def source(self) -> str:
        """What both files compute. Raises InvalidValue for one that is missing or no Python."""
        return "; ".join(_source(spec) for spec in (self.pipeline_class, self.call) if spec)


def pipeline_part(made: Mitigation) -> Part:
    """The part of a composition that is written `pipeline(...)`."""
    if isinstance(made, ForeignPipeline):
        return Part(made.family, made, made.source, own=False).checked()
    return Part(PIPELINE, made).checked()


def answering_part(composition: Composition) -> Part | None:
    """The part that puts a pipeline in the place of the suite's own sampler; None where no part does."""
    return next((part for part in composition.parts if PIPELINE in overridden_hooks(type(part.mitigation))), None)


def stock_twin(part: Part) -> Part:
    """The stock pipeline with the scheduler of a part: what its answers are compared with."""
    return Part(PIPELINE, StockPipeline(getattr(part.mitigation, "scheduler", OWN)))


def _source(spec: str) -> str:
    file, _, name = spec.rpartition(":")
    try:
        return f"file {Path(file).name} {code_digest(Path(file).read_bytes())}"
    except (OSError, SyntaxError, ValueError) as cause:
        where, cure = f"pipeline {name}", "Write the file, a colon and the name."
        raise InvalidValue(where, f"{spec!r} ({cleaned(str(cause))})", "file.py:Name", cure) from cause
