"""Claims of papers, tested on small models: each `Claim` is stated by the class of the method that makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from solidmark import Claim, plugins
from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, Verdict, decide, over_seeds
from solidmark.mitigation.claims import MEASURES
from solidmark.mitigation.composition import Composition, Part


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
    def against(self) -> Composition:
        """The method that it is compared with; nothing by default."""
        if self.claim.against is None:
            return Composition()
        return plugins.compose(self.claim.against) if self.claim.against else self.composition

    def test(self, experiments: Experiments) -> Finding:
        """The measure of the claim over seeds, and its verdict."""
        claim, testbed = self.claim, experiments.testbed(self.claim.testbed)  # as in the table, so that its models are used
        compared = {f"{self.composition.label}, {claim.query}": (self.composition, claim.query)}
        if claim.measure != "memorization":
            query = claim.against_query or claim.query
            compared[f"{self.against.label}, {query}"] = (self.against, query)
        values = {
            label: [experiments.measure_recall(testbed, seed, *method).value for seed in experiments.seeds]
            for label, method in compared.items()
        }
        measured = over_seeds([_measure(claim, row) for row in zip(*values.values(), strict=True)])
        points = [(label, over_seeds(by_seed)) for label, by_seed in values.items()]
        verdict = decide(measured, above=claim.above, below=claim.below)
        applies = claim.premise is None or points[-1][1].value < claim.premise
        row, against = (*(f"`{label}`" for label in compared), "")[:2]
        return Finding(
            suite="claims",
            name=self.name,
            title=claim.text,
            rule=claim.rule,
            verdict=verdict if applies else Verdict.UNDECIDED,
            reason=f"on {claim.testbed}, M: "
            + ", ".join(f"{label} {estimate.value:.2f}" for label, estimate in points)
            + ("" if applies else f"; the claim speaks of what is below {claim.premise:g} before"),
            statistic=MEASURES[claim.measure].format(row=row, against=against),
            estimate=measured,
            seeds=experiments.seeds,
            series=(Series.of("M", points),),
            x_title="method, query",
            y_title="M",
            source=claim.source or self.composition.reference,
        )


def _measure(claim: Claim, values: tuple[float, ...]) -> float:
    if claim.measure == "memorization":
        return values[0]
    return values[0] / values[1] if claim.measure == "ratio" else values[0] - values[1]


def find_claims() -> Iterator[StatedClaim]:
    """All testable claims of all families that load, by name."""
    for plugin in plugins.discover(plugins.GROUPS["mitigation"]):
        part = plugins.published(plugin.name)
        claims = part.mitigation.claims if isinstance(part, Part) else ()
        testable = [claim for claim in claims if isinstance(claim, Claim)]
        yield from (StatedClaim(plugin.name, number, claim) for number, claim in enumerate(testable, start=1))
