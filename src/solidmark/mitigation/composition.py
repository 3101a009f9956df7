"""A composition: mitigations applied together, in order, written `a+b`. Free of torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from ..errors import InvalidValue, cleaned, shortened
from .base import LETTERS, Mitigation
from .needs import Needs, Stage

LONGEST_VALUE = 200
"""Letters that a parameter may have, or values where it is a tuple."""
PLACE: Mapping[str, object] = {"place": True}
"""Metadata of a parameter that names a file, `folder/file.py:Name`: of its folders a label tells the last one alone."""
LARGEST = 2**63
"""Whole numbers from here on are read as others by some reader of JSON."""


@dataclass(frozen=True)
class Part:
    """One mitigation of a composition: its family (entry-point name), the object, and where its source comes from.

    What names the part is read from the object once, when the part is made, and never asked of it again: `parameters`
    and `distinguishing`, those that tell this setting from others (the first, and those off their default). `own` says
    that it is one of the suite's own distribution.
    """

    family: str
    mitigation: Mitigation
    source: str = ""
    own: bool = True
    parameters: Mapping[str, object] = field(init=False, compare=False, repr=False)
    distinguishing: Mapping[str, object] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        every = fields(self.mitigation)
        values = {one.name: getattr(self.mitigation, one.name) for one in every}
        defaults = {one.name: one.default for one in every}
        told = {
            one.name: _without_folders(values[one.name]) if one.metadata == PLACE else values[one.name]
            for one in every
            if one is every[0] or values[one.name] != defaults[one.name]
        }
        object.__setattr__(self, "parameters", values)
        object.__setattr__(self, "distinguishing", told)

    @property
    def label(self) -> str:
        """`family(parameter=value, ...)`, of at most 80 letters: what is longer ends with a digest."""
        parameters = ", ".join(f"{name}={value!r}" for name, value in self.distinguishing.items())
        return shortened(f"{self.family}({parameters})" if parameters else self.family)

    def checked(self) -> Part:
        """The part itself. Raises InvalidValue for a parameter that no record can hold, or a name of no text."""
        for name, value in self.parameters.items():
            reason = unfit(value)
            if reason is not None:
                where, cure = f"{type(self.mitigation).__name__}.{name}", "Give it a plain value."
                raise InvalidValue(where, reason, EXPECTED_VALUE, cure)
        json.dumps([self.label, self.described], allow_nan=False, ensure_ascii=False).encode()
        return self

    @property
    def described(self) -> list[object]:
        """The part for a key: family, class with parameters, and source."""
        values = {name: _listed(value) for name, value in self.parameters.items()}
        return [self.family, {"class": type(self.mitigation).__qualname__, **values}, self.source]


def _without_folders(place: object) -> str:
    return "/".join(str(place).replace("\\", "/").split("/")[-2:])


EXPECTED_VALUE = (
    f"True, False, None, a whole number below 2**63, a finite float, printable text of at most {LONGEST_VALUE} letters, "
    "or a tuple of these"
)


def unfit(value: object) -> str | None:
    """Why no record can hold a parameter of this value, or None. Types are exact: a subclass may print as anything."""
    kind = type(value)
    if isinstance(value, tuple) and kind is tuple:
        if len(value) > LONGEST_VALUE:
            return f"a tuple of {len(value)} values"
        return next((reason for part in value if (reason := unfit(part)) is not None), None)
    if value is None or kind is bool:
        return None
    if isinstance(value, int) and kind is int:
        return None if abs(value) < LARGEST else "a whole number of 2**63 or more"
    if isinstance(value, float) and kind is float:
        return None if math.isfinite(value) else repr(value)
    if kind is not str:
        return f"an object of type {kind.__name__}"
    text = str(value)
    if len(text) > LONGEST_VALUE:
        return f"a text of {len(text)} letters"
    return None if text.isprintable() else f"the text {text!a}"


def _listed(value: object) -> object:
    """Tuples as lists, as JSON has them."""
    return [_listed(part) for part in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Composition:
    """Mitigations applied together, in order, written `a+b`. The empty one is the baseline."""

    parts: tuple[Part, ...] = ()

    @property
    def family(self) -> str:
        """The parts' families, joined by `+`."""
        return "+".join(part.family for part in self.parts) or "none"

    @property
    def label(self) -> str:
        """The parts' labels, joined by `+`."""
        return "+".join(part.label for part in self.parts) or "none"

    @property
    def parameters(self) -> dict[str, object]:
        """Parameters by name; those of a composition of several carry the family's name before a dot."""
        several = len(self.parts) > 1
        return {
            f"{part.family}.{name}" if several else name: value
            for part in self.parts
            for name, value in part.parameters.items()
        }

    @property
    def needs(self) -> Needs:
        """All that the parts need."""
        needs = Needs.NOTHING
        for part in self.parts:
            needs |= part.mitigation.needs
        return needs

    @property
    def stages(self) -> list[Stage]:
        """The stages in which something acts, in the order training, sampling, post-hoc."""
        present = {part.mitigation.stage for part in self.parts}
        return [stage for stage in Stage if stage in present]

    @property
    def stage(self) -> str:
        """The stages in one word: `none`, `training`, `training+sampling`, ..."""
        return "+".join(stage.value for stage in self.stages) or "none"

    @property
    def control(self) -> bool:
        """Whether every part is a control of the suite's own, which may leave the baseline as it is."""
        return all(part.own and part.mitigation.control for part in self.parts)

    @property
    def reference_curve(self) -> bool:
        """Whether this is a point of the reference curve of its stage: such a reference of the suite's own, alone."""
        return len(self.parts) == 1 and self.parts[0].own and self.parts[0].mitigation.reference_curve

    @property
    def notes(self) -> list[str]:
        """What classes of other packages state of themselves and is not counted."""
        names = ("control", "reference_curve")
        stated = [(part, name) for part in self.parts if not part.own for name in names if getattr(part.mitigation, name)]
        return [f"{part.label} states {name}, which counts for solidmark's own methods alone" for part, name in stated]

    @property
    def fidelity(self) -> str:
        """The letter of the least faithful part that is no control; empty where all are controls."""
        letters = [part.mitigation.fidelity for part in self.parts if not (part.own and part.mitigation.control)]
        return max(letters, key=LETTERS.index, default="")

    @property
    def reference(self) -> str:
        """Titles and arXiv numbers of the parts."""
        return cleaned("; ".join(part.mitigation.reference for part in self.parts if part.mitigation.reference))

    def at(self, stage: Stage) -> Composition:
        """The parts that act at this stage."""
        return Composition(tuple(part for part in self.parts if part.mitigation.stage is stage))

    def described(self) -> list[object]:
        """The parts for a key: family, class with parameters, and source, so that edited code never uses old weights."""
        return [part.described for part in self.parts]
