"""The steps in which a claim is tested: reach, replication by the source's own measure, then keys and content.

Who refutes must first have seen what was published. A method whose strongest setting moves nothing on a testbed cannot be
judged there, nor one whose published dose finds nothing to act on; and where the source's own measure and solver do not show
what the source saw, its claim is not seen here, whatever keys say. Nor does a method refute its paper where only the idea
is kept, or where the source could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from solidmark import Claim
from solidmark.findings import Finding, Series, Step, Verdict, all_of, decide, over_seeds, replicated
from solidmark.mitigation.claims import MEASURES
from solidmark.mitigation.composition import Composition
from solidmark.sampling import SolverConfig
from solidmark.schema.numbers import Estimate
from solidmark.testbed import Testbed

from .measuring import HEADLINE, Measuring

LEAST = 0.1
"""What a method with reach moves in each seed: a tenth of what the baseline has, in keys or in content."""

IDLE = 0.02
"""Who acts on fewer than one query in fifty, in each seed, and moves nothing, was given no dose that could be judged."""

LITTLE = 0.05
"""A change by less is none, however small its interval: of what there was, or of an AUROC on the scale of M."""

FOLLOWS = ("A", "B")
"""Letters of methods that are what was published, but for stated parts (see `Mitigation.fidelity`)."""

BASELINE = Composition()


@dataclass(frozen=True)
class Methods:
    """The method at which a claim is tested, what it is compared with, and all its settings, weakest first."""

    row: Composition
    against: Composition
    sweep: tuple[Composition, ...]


@dataclass(frozen=True)
class Trial:
    """A claim on one testbed: what its methods have, a number a seed."""

    claim: Claim
    methods: Methods
    measuring: Measuring
    name: str
    testbed: Testbed

    @property
    def strongest(self) -> Composition:
        """The method at the strongest setting that was measured."""
        return next((one for one in reversed(self.methods.sweep) if self.measuring.covers(self.name, one)), self.methods.row)

    @property
    def published(self) -> SolverConfig:
        """The source's solver: no noise between the steps, its own steps and guidance where it states them."""
        origin, solver = self.claim.origin, self.testbed.solvers["ddim"]
        steps, guidance = origin.steps or solver.steps, solver.guidance if origin.guidance is None else origin.guidance
        return replace(solver, name="published", eta=0.0, steps=steps, guidance=guidance)

    def keys(self, method: Composition, query: str) -> list[float]:
        """M of each seed under a query, by the solver of the claim."""
        solver, measuring = self.testbed.solvers[self.claim.origin.solver], self.measuring
        return [measuring.recall(self.name, self.testbed, seed, method, query, solver) for seed in measuring.seeds]

    def most(self, method: Composition, queries: Sequence[str]) -> list[float]:
        """The largest M of each seed among queries."""
        return [max(found) for found in zip(*(self.keys(method, query) for query in queries), strict=True)]

    def drawn(self, *methods: Composition) -> SolverConfig | None:
        """The solver of the pictures of all these methods, the source's where there are any of it."""
        return self.measuring.drawn(self.name, methods, self.published)

    @property
    def by_its_solver(self) -> bool:
        """Whether the row's pictures, if there are any, are of the steps and guidance that the source states."""
        if self.claim.origin.copies == ("keys",):
            return True
        solver = self.drawn(self.methods.row, self.methods.against)
        return solver is None or (self.claim.origin.states_solver and solver == self.published)

    @property
    def objection(self) -> str:
        """Why the row refutes nothing, whatever it has: it is not what was published; empty where it is."""
        row, against = self.methods.row.fidelity, self.methods.against.fidelity
        shares = self.actions(self.methods.row)
        if not row:
            return "a control refutes nothing"
        if unfaithful := next((letter for letter in (row, against) if letter not in ("", *FOLLOWS)), ""):
            return f"a method of fidelity {unfaithful} refutes nothing"
        if shares is not None and max(shares) < IDLE:
            return f"a part of it acted on {sum(shares) / len(shares):.1%}, so it refutes nothing"
        return ""

    def pictures(self, *methods: Composition) -> list[Mapping[str, list[float]]]:
        """By distance, how well pictures tell trained from held-out images, a number a seed; those of `drawn`."""
        solver = self.drawn(*methods)
        return [{} if solver is None else self._pictures(method, solver) for method in methods]

    def _pictures(self, method: Composition, solver: SolverConfig) -> Mapping[str, list[float]]:
        ask, seeds = self.measuring.copies, self.measuring.seeds
        found = [ask(self.name, self.testbed, seed, method, solver) for seed in seeds]
        return {name: [one[name] for one in found] for name in found[0] if all(name in one for one in found)}

    def actions(self, method: Composition) -> list[float] | None:
        """The share of queries on which a method says that it acted, a number a seed; None where it does not say."""
        claim, ask, seeds = self.claim, self.measuring.action, self.measuring.seeds
        solver = self.testbed.solvers[claim.origin.solver]
        found = [ask(self.name, self.testbed, seed, method, claim.query, solver) for seed in seeds]
        told = [share for share in found if share is not None]
        return told if len(told) == len(found) else None

    def measured(self, row: Sequence[float], against: Sequence[float], claim: Claim | None = None) -> Estimate:
        """The measure of a claim over seeds."""
        pairs = zip(row, against, strict=True)
        return over_seeds([_measure(claim or self.claim, *pair) for pair in pairs])


def test(name: str, claim: Claim, methods: Methods, measuring: Measuring) -> Finding:
    """All steps of a claim, and its verdict."""
    where, testbed = measuring.testbed(claim.origin.testbeds, (BASELINE, methods.row, methods.against))
    trial = Trial(claim, methods, measuring, where, testbed)
    reach, replication = _reach(trial), _replication(trial)
    refutes = trial.by_its_solver and not trial.objection
    replicates = replication.seen if replication.seen is not True or refutes else None
    keys, series = _keys(trial)
    content, note = _content(trial)
    applies = claim.premise is None or series.y[-1] < claim.premise
    rule = all_of([decide(keys, above=claim.above, below=claim.below), *content]) if applies else Verdict.UNDECIDED
    row, against = (*(f"`{label}`" for label in series.x), "")[:2]
    premise = "" if applies else f"; the claim speaks of what is below {claim.premise:g} before"
    told = ", ".join(f"{label} {value:.2f}" for label, value in zip(series.x, series.y, strict=True))
    if rule is Verdict.FAILS and replication.seen and trial.objection:
        replication = replace(replication, found=f"{replication.found}; {trial.objection}")
    seen = {Verdict.HOLDS: True, Verdict.FAILS: False}.get(rule)
    found = f"{MEASURES[claim.measure].format(row=row, against=against)} {_interval(keys)}{note}{premise}"
    last = Step("keys and content", claim.rule, seen, found)
    return Finding(
        suite="claims",
        name=name,
        title=claim.text,
        rule=claim.rule,
        verdict=replicated(rule, reach.seen, replicates),
        reason=f"on {where}, M: {told}{premise}",
        statistic=MEASURES[claim.measure].format(row=row, against=against),
        estimate=keys,
        seeds=measuring.seeds,
        series=(series,),
        x_title="method, query",
        y_title="M",
        source=claim.source or methods.row.reference,
        where=testbed.known_as or where,
        steps=(reach, replication, last),
        testbed=where,
    )


def _reach(trial: Trial) -> Step:
    """Whether the row's dose acts, and the strongest setting moves keys or pictures in each seed, in one direction."""
    asks = f"The strongest setting moves keys or content by at least {LEAST:.0%} in each seed, and no dose acts on nothing."
    idle = next((step for method in (trial.methods.row, trial.methods.against) if (step := _idle(trial, method))), "")
    if idle:
        return Step("reach", asks, False, idle)
    shares = _shares(trial, trial.strongest)
    told = ", ".join(f"{name} by {sum(one) / len(one):+.0%} of the baseline's" for name, one in shares.items())
    return Step("reach", asks, any(map(_moves, shares.values())), f"`{trial.strongest.label}` moves {told}")


def _idle(trial: Trial, method: Composition) -> str:
    """Why nothing can be said of a method that acted on next to no query and moved nothing; empty where it acted."""
    shares = trial.actions(method)
    if shares is None or max(shares) >= IDLE or any(map(_moves, _shares(trial, method).values())):
        return ""
    return f"`{method.label}` acted on {sum(shares) / len(shares):.1%} of the queries: its dose is nothing here"


def _shares(trial: Trial, method: Composition) -> dict[str, list[float]]:
    """By which shares of the baseline's a method moves M, and content where there are pictures, a number a seed."""
    before, after = trial.keys(BASELINE, "outpaint"), trial.keys(method, "outpaint")
    shares = {"M": [_share(*pair) for pair in zip(after, before, strict=True)]}
    pictures, bare = trial.pictures(method, BASELINE)
    if HEADLINE in pictures and HEADLINE in bare:
        shares["content"] = [_share(*pair) for pair in zip(pictures[HEADLINE], bare[HEADLINE], strict=True)]
    return shares


def _share(after: float, before: float) -> float:
    """By which share of the baseline's a number has moved; 0 where the baseline remembers next to nothing."""
    return (after - before) / before if before > LEAST else 0.0


def _moves(shares: Sequence[float]) -> bool:
    return min(shares) >= LEAST or max(shares) <= -LEAST


def _replication(trial: Trial) -> Step:
    """Whether the published direction is seen by the source's own measure, under its solver or one that was asked."""
    claim, source = trial.claim, trial.published
    direction, told = claim.direction, ""
    solver = trial.drawn(trial.methods.row, trial.methods.against) or source
    asks = f"Under {solver.steps} steps without noise and guidance {solver.guidance:g}: {direction.rule}"
    if claim.origin.copies == ("keys",):
        asks = f"By the solver `{claim.origin.solver}`: {direction.rule}"
        measured, name = _keys(trial)[0], "keys"
    elif not claim.by_pictures:
        return Step("replication", asks, None, "")
    else:
        row, against = trial.pictures(trial.methods.row, trial.methods.against)
        applying = [name for name in claim.origin.copies if name in row and name in against]
        if not applying:
            return Step("replication", asks, None, "")
        name = f"2 AUROC - 1 of `{applying[0]}`"
        measured = trial.measured(row[applying[0]], against[applying[0]], direction)
        if not trial.by_its_solver:
            theirs = f"{source.steps}, {source.guidance:g}" if claim.origin.states_solver else "not stated"
            told = f", in {solver.steps} steps under guidance {solver.guidance:g} (source: {theirs})"
    verdict = decide(measured, above=direction.above, below=direction.below)
    seen = {Verdict.HOLDS: True, Verdict.FAILS: False}.get(verdict)
    same = {"ratio": 1.0, "difference": 0.0}.get(direction.measure)
    if seen and same is not None and same in (direction.above, direction.below) and abs(measured.value - same) < LITTLE:
        seen, told = None, f"{told}; a change of less than {LITTLE:g} is none"
    return Step("replication", asks, seen, f"{name}, {direction.measure} {_interval(measured)}{told}")


def _keys(trial: Trial) -> tuple[Estimate, Series]:
    """The measure of M over seeds, and M of each method."""
    claim, methods = trial.claim, trial.methods
    row = trial.most(methods.row, (claim.query, *claim.also))
    points = [(f"{methods.row.label}, {' or '.join((claim.query, *claim.also))}", row)]
    against = row
    if claim.measure != "memorization":
        query = claim.against_query or claim.query
        against = trial.keys(methods.against, query)
        points.append((f"{methods.against.label}, {query}", against))
    estimates = [(label, over_seeds(values)) for label, values in points]
    return trial.measured(row, against), Series.of("M", estimates)


def _content(trial: Trial) -> tuple[list[Verdict], str]:
    """The rule's verdict on the same pictures, by content; a method that may only cut captions off by any picture too."""
    claim = trial.claim
    if not claim.by_pictures:
        return [], ""
    row, against = trial.pictures(trial.methods.row, trial.methods.against)
    names = [name for name in ((HEADLINE, "any") if claim.also else (HEADLINE,)) if name in row and name in against]
    if not names:
        return [], ""
    found = {name: trial.measured(row[name], against[name]) for name in names}
    told = ", ".join(f"{'content' if name == HEADLINE else name} {_interval(one)}" for name, one in found.items())
    return [decide(one, above=claim.above, below=claim.below) for one in found.values()], f"; {told}"


def _measure(claim: Claim, row: float, against: float) -> float:
    if claim.measure == "memorization":
        return row
    return row / against if claim.measure == "ratio" else row - against


def _interval(estimate: Estimate) -> str:
    low, high = estimate.limits
    return f"{estimate.value:.2f} [{low:.2f}, {high:.2f}]"
