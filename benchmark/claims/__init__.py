"""Claims of papers, put to the test on small models: `Claim`s stand beside the methods that make them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from solidmark import Claim, plugins
from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, Verdict, decide, over_seeds
from solidmark.mitigation.claims import MEASURES
from solidmark.mitigation.composition import Composition, Part


@dataclass(frozen=True)
class Stated:
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
        assert isinstance(part, Part)  # a broken family states nothing
        return Composition((replace(part, mitigation=replace(part.mitigation, **self.claim.parameters)),))

    @property
    def against(self) -> Composition:
        """What it is compared with."""
        if self.claim.against is None:
            return Composition()
        return plugins.compose(self.claim.against) if self.claim.against else self.composition

    def test(self, lab: Lab) -> Finding:
        """The measure of the claim over seeds, and its verdict."""
        claim, testbed = self.claim, lab.testbed(self.claim.testbed)  # as the table has it, so that its models serve
        asked = {f"{self.composition.label}, {claim.query}": (self.composition, claim.query)}
        if claim.measure != "memorization":
            query = claim.against_query or claim.query
            asked[f"{self.against.label}, {query}"] = (self.against, query)
        found = {label: [lab.recalled(testbed, seed, *one).value for seed in lab.seeds] for label, one in asked.items()}
        measured = over_seeds([_measure(claim, values) for values in zip(*found.values(), strict=True)])
        points = [(label, over_seeds(values)) for label, values in found.items()]
        verdict = decide(measured, above=claim.above, below=claim.below)
        spoken = claim.premise is None or points[-1][1].value < claim.premise
        row, against = (*(f"`{label}`" for label in asked), "")[:2]
        return Finding(
            suite="claims",
            name=self.name,
            title=claim.text,
            rule=claim.rule,
            verdict=verdict if spoken else Verdict.UNDECIDED,
            reason=f"on {claim.testbed}, M: "
            + ", ".join(f"{label} {one.value:.2f}" for label, one in points)
            + ("" if spoken else f"; the claim speaks of what is below {claim.premise:g} before"),
            statistic=MEASURES[claim.measure].format(row=row, against=against),
            estimate=measured,
            seeds=lab.seeds,
            series=(Series.of("M", points),),
            x_title="method, query",
            y_title="M",
            source=claim.source or self.composition.reference,
        )


def _measure(claim: Claim, values: tuple[float, ...]) -> float:
    if claim.measure == "memorization":
        return values[0]
    return values[0] / values[1] if claim.measure == "ratio" else values[0] - values[1]


def stated() -> Iterator[Stated]:
    """All testable claims of all families that load, by name."""
    for plugin in plugins.discover(plugins.GROUPS["mitigation"]):
        part = plugins.published(plugin.name)
        told = part.mitigation.claims if isinstance(part, Part) else ()
        testable = [claim for claim in told if isinstance(claim, Claim)]
        yield from (Stated(plugin.name, number, claim) for number, claim in enumerate(testable, start=1))
