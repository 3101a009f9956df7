"""A composition: mitigations applied together, in order, written `a+b`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .. import provenance
from .base import Mitigation
from .needs import Needs, Stage


@dataclass(frozen=True)
class Part:
    """One mitigation of a composition: its family (entry-point name), the object, and where its source comes from."""

    family: str
    mitigation: Mitigation
    source: str = ""

    @property
    def label(self) -> str:
        """`family(parameter=value, ...)`."""
        parameters = ", ".join(f"{name}={value!r}" for name, value in self.distinguishing.items())
        return f"{self.family}({parameters})" if parameters else self.family

    @property
    def distinguishing(self) -> dict[str, object]:
        """The parameters that distinguish this setting from others: the first, and those that are not at their default."""
        every = fields(self.mitigation)
        defaults = {field.name: field.default for field in every}
        values = self.mitigation.parameters()
        return {name: value for name, value in values.items() if name == every[0].name or value != defaults[name]}


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
            for name, value in part.mitigation.parameters().items()
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
        """Whether every part is a declared control, which may leave the baseline as it is."""
        return all(part.mitigation.control for part in self.parts)

    @property
    def reference_curve(self) -> bool:
        """Whether this is a point of the reference curve of its stage: such a reference alone."""
        return len(self.parts) == 1 and self.parts[0].mitigation.reference_curve

    @property
    def fidelity(self) -> str:
        """The least faithful of the parts: `A`, `B` or `C`."""
        return max((part.mitigation.fidelity for part in self.parts), default="A")

    @property
    def reference(self) -> str:
        """Titles and arXiv numbers of the parts."""
        return "; ".join(part.mitigation.reference for part in self.parts if part.mitigation.reference)

    def at(self, stage: Stage) -> Composition:
        """The parts that act at this stage."""
        return Composition(tuple(part for part in self.parts if part.mitigation.stage is stage))

    def described(self) -> list[object]:
        """The parts for a key: family, class with parameters, and source, so that edited code never uses old weights."""
        return [[part.family, provenance.describe(part.mitigation), part.source] for part in self.parts]
