"""Claims of papers, tested on small models: each `Claim` is stated by the class of the method that makes it.

`steps` has the three steps in which a claim is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from solidmark import Claim, plugins
from solidmark.experiments import Experiments
from solidmark.findings import Finding
from solidmark.mitigation.composition import Composition, Part

from . import steps
from .measuring import Asked, Measuring


@dataclass(frozen=True)
class StatedClaim:
    """A claim, the family that makes it, and its number among the family's."""

    family: str
    number: int
    claim: Claim

    @property
    def name(self) -> str:
        """For ids: `rna-1`."""
        return f"{self.family}-{self.number}".replace(":", "-")

    @cached_property
    def composition(self) -> Composition:
        """The method at which the claim is tested."""
        part = plugins.published(self.family)
        assert isinstance(part, Part)  # a broken family states no claim
        return Composition((replace(part, mitigation=replace(part.mitigation, **self.claim.parameters)),))

    @property
    def sweep(self) -> tuple[Composition, ...]:
        """The method at all its settings, weakest first."""
        parts = plugins.family(self.family)
        return tuple(Composition((part,)) for part in parts) if isinstance(parts, list) else ()

    @property
    def against(self) -> Composition:
        """The method that it is compared with; nothing by default."""
        if self.claim.against is None:
            return Composition()
        return plugins.compose(self.claim.against) if self.claim.against else self.composition

    def test(self, experiments: Experiments) -> Finding:
        """What the three steps find over seeds, and the verdict."""
        return self.judge(Asked(experiments))

    def judge(self, measuring: Measuring) -> Finding:
        """The same from whatever was measured. Raises NotApplicable where a number is missing."""
        return steps.test(self.name, self.claim, steps.Methods(self.composition, self.against, self.sweep), measuring)


def find_claims() -> Iterator[StatedClaim]:
    """All testable claims of all families that load, by name."""
    for plugin in plugins.discover(plugins.GROUPS["mitigation"]):
        part = plugins.published(plugin.name)
        claims = part.mitigation.claims if isinstance(part, Part) else ()
        testable = [claim for claim in claims if isinstance(claim, Claim)]
        yield from (StatedClaim(plugin.name, number, claim) for number, claim in enumerate(testable, start=1))
