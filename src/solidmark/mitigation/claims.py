"""Claims: published statements in a form that can be tested, written in the class of the method. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..errors import InvalidValue

MEASURES = {
    "ratio": "M of {row} as a share of that of {against}",
    "difference": "M of {row} less that of {against}",
    "memorization": "M of {row}",
}


@dataclass(frozen=True)
class Origin:
    """Where a claim was seen by its source, so that it can be replicated before it is judged.

    `testbeds` come nearest to the source's model, the nearest first: a claim is read on the first of them that was
    measured. `copies` are the installed distances of pictures that stand for the source's own measure, the first that
    applies; `keys` where the source reads keys as we do, none where it is no measure of generated pictures. `steps` and
    `guidance` are those of its solver, which adds no noise between the steps (eta 0). None is not known: the testbed's are
    taken, by which a claim can be replicated and not refuted. `solver` is that of the last step, by keys, a name of the
    testbed's.
    """

    testbeds: tuple[str, ...] = ("digits",)
    copies: tuple[str, ...] = ("ratio",)
    steps: int | None = None
    guidance: float | None = None
    solver: str = "fast"

    def __post_init__(self) -> None:
        if not self.testbeds:
            raise InvalidValue("Origin.testbeds", "none", "at least one testbed", "Name where the claim can be read.")

    @property
    def states_solver(self) -> bool:
        """Whether steps and guidance of the source are known."""
        return self.steps is not None and self.guidance is not None


@dataclass(frozen=True)
class Claim:
    """What a paper states about a method, and which values of M support it.

    `text` is the statement as published. `measure` is `ratio` (M of this method divided by M of `against`), `difference`
    (M of this method minus M of `against`) or `memorization` (M of this method). The claim is supported where the whole
    interval of the measure over seeds is above `above` and below `below`. It is refuted where the whole interval is on
    the other side.

    `parameters` are those at which the method is tested, else its published default. `against` is the expression of a
    mitigation, empty for this same method, None for the baseline without mitigation. Both are measured by `query`,
    `against` by `against_query` where that is given; `also` are further queries of this method, of which the one that finds
    most counts. `origin` says where the source saw it. With a `premise` the claim applies only where M of
    `against` is below it (something was taken away which can come back), and is else undecided. `source` is title and
    arXiv number where it is not the method's own `reference`.

    Raises InvalidValue for an unknown measure, or without any bound.
    """

    text: str
    measure: str = "ratio"
    above: float | None = None
    below: float | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    against: str | None = None
    query: str = "outpaint"
    against_query: str = ""
    origin: Origin = field(default_factory=Origin)
    also: tuple[str, ...] = ()
    premise: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise InvalidValue("Claim.measure", repr(self.measure), f"one of {', '.join(MEASURES)}", "Choose one.")
        bounds = [bound for bound in (self.above, self.below) if bound is not None]
        if not bounds or not all(math.isfinite(bound) for bound in bounds):
            found = f"above={self.above}, below={self.below}"
            raise InvalidValue("Claim", found, "a finite bound", "State the bound from which on the claim is supported.")

    @property
    def by_pictures(self) -> bool:
        """Whether generated pictures can show it, and not only an attack on the weights."""
        return not self.against_query and bool(self.origin.copies)

    @property
    def direction(self) -> Claim:
        """The weaker claim that must be seen before this one is judged: that memory falls, or rises, or stays as it is."""
        if self.measure == "difference":
            return replace(self, above=None if self.above is None else 0.0, below=None if self.below is None else 0.0)
        falls = self.below is not None and (self.above is None or self.measure == "memorization")
        return replace(self, measure="ratio", above=None, below=1.0) if falls else self

    @property
    def rule(self) -> str:
        """When it is supported, in words."""
        bounds = [f"above {self.above:g}"] if self.above is not None else []
        bounds += [f"below {self.below:g}"] if self.below is not None else []
        rule = f"The {self.measure if self.measure != 'memorization' else 'M'} lies {' and '.join(bounds)}."
        return rule if self.premise is None else f"{rule} It speaks where M is below {self.premise:g} before."
