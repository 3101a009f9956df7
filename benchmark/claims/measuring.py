"""Where the numbers of a claim come from: models that are asked now, or the records of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Protocol, TypeAlias

from solidmark import plugins
from solidmark.errors import InvalidValue, NotApplicable, UnknownName
from solidmark.experiments import Experiments
from solidmark.measurement import action
from solidmark.mitigation.claims import Origin
from solidmark.mitigation.composition import Composition
from solidmark.sampling import SolverConfig
from solidmark.schema.record import CaseRecord, ContentBlock
from solidmark.testbed import Testbed

HELD_OUT, GENERATED = 64, 16
"""Held-out images and fresh captions of a claim's testbed: enough for an AUROC. Its models are those of the table."""

Row: TypeAlias = tuple[str, str, int]
"""Testbed, mitigation and seed."""

HEADLINE = "ratio"
"""The distance that content is read with."""


class Measuring(Protocol):
    """What the steps of a claim ask for."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that all numbers have."""

    def testbed(self, names: Sequence[str], methods: Sequence[Composition]) -> tuple[str, Testbed]:
        """The first of these testbeds on which these methods can be asked, and its name."""

    def covers(self, name: str, method: Composition) -> bool:
        """Whether there are numbers of a method on this testbed."""

    def recall(self, name: str, testbed: Testbed, seed: int, method: Composition, query: str, solver: SolverConfig) -> float:
        """M of the images that a method is about, under a query."""

    def drawn(self, name: str, methods: Sequence[Composition], solver: SolverConfig) -> SolverConfig | None:
        """The solver under which pictures of these methods were drawn, the asked one where possible; None without any."""

    def copies(
        self, name: str, testbed: Testbed, seed: int, method: Composition, solver: SolverConfig
    ) -> Mapping[str, float]:
        """By distance, 2 AUROC - 1 of generated pictures under a solver of `drawn`."""

    def action(
        self, name: str, testbed: Testbed, seed: int, method: Composition, query: str, solver: SolverConfig
    ) -> float | None:
        """The share of queries on which a method says that it acted; None where it does not say."""


@dataclass(frozen=True)
class Asked:
    """Models that are trained, or taken from the store, and asked."""

    experiments: Experiments

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of the experiments."""
        return self.experiments.seeds

    def testbed(self, names: Sequence[str], methods: Sequence[Composition]) -> tuple[str, Testbed]:
        """The nearest one, with fewer held-out images and fresh captions."""
        made = self.experiments.testbed(names[0])
        held_out = max(HELD_OUT, min(made.trained, made.queried))
        return names[0], replace(made, held_out=held_out, generated=GENERATED)

    def covers(self, name: str, method: Composition) -> bool:
        """Always: it is measured now."""
        return True

    def recall(self, name: str, testbed: Testbed, seed: int, method: Composition, query: str, solver: SolverConfig) -> float:
        """Asked now."""
        return float(self.experiments.measure_recall(testbed, seed, method, query, solver).value)

    def drawn(self, name: str, methods: Sequence[Composition], solver: SolverConfig) -> SolverConfig | None:
        """The asked one: pictures are generated now."""
        return solver

    def copies(
        self, name: str, testbed: Testbed, seed: int, method: Composition, solver: SolverConfig
    ) -> Mapping[str, float]:
        """Generated now."""
        return self.experiments.measure_copies(testbed, seed, method, solver)

    def action(
        self, name: str, testbed: Testbed, seed: int, method: Composition, query: str, solver: SolverConfig
    ) -> float | None:
        """Asked now."""
        return self.experiments.measure_action(testbed, seed, method, query, solver)


@dataclass(frozen=True)
class Recorded:
    """Records of cases. Keys are those of one `solver`, by its name, where it is given; else of whichever came last.

    Pictures count where nothing was added between the steps, as in the sources, whatever solver keys are of. Raises
    NotApplicable for a number that no record has.
    """

    records: Sequence[CaseRecord]
    seeds: tuple[int, ...] = (0, 1, 2)
    solver: str = ""

    @cached_property
    def _sound(self) -> dict[Row, list[CaseRecord]]:
        found: dict[Row, list[CaseRecord]] = {}
        for record in self.records:
            if record["event"] == "case" and record["status"] == "ok":
                row = (record["testbed"], _canonical(record["mitigation"]), record["seed"])
                found.setdefault(row, []).append(record)
        return found

    @classmethod
    def by_solver(cls, records: Sequence[CaseRecord]) -> tuple[Recorded, ...]:
        """The keys of each solver among the records, in order; pictures are the same in all."""
        cases = (record for record in records if record["event"] == "case" and record["status"] == "ok")
        return tuple(cls(records, solver=name) for name in dict.fromkeys(case["solver"]["name"] for case in cases))

    def distance(self, origin: Origin) -> int:
        """How far its solver is from a source's: 0 with the source's steps and guidance, 1 by its name, else 2."""
        own = [record["solver"] for record in self.records if record["solver"]["name"] == self.solver]
        asked = (0.0, origin.steps, origin.guidance)
        if origin.solver == "ddim" and all((one["eta"], one["steps"], one["guidance"]) == asked for one in own):
            return 0
        return 1 if self.solver == origin.solver else 2

    def testbed(self, names: Sequence[str], methods: Sequence[Composition]) -> tuple[str, Testbed]:
        """The first that has all these methods, or its quick form. Raises NotApplicable where none has."""
        forms = [form for name in names for form in _forms(name)]
        for name, testbed in forms:
            if all(self.covers(name, method) for method in methods):
                return name, testbed
        known = next((name for name, _ in forms if self.covers(name, Composition())), None)
        if known is None:
            raise _missing(", ".join(names), "baseline")
        raise _missing(known, " and ".join(method.label for method in methods if not self.covers(known, method)))

    def covers(self, name: str, method: Composition) -> bool:
        """Whether all seeds have a record."""
        return all(self._by_solver(name, method, seed) for seed in self.seeds)

    def recall(self, name: str, testbed: Testbed, seed: int, method: Composition, query: str, solver: SolverConfig) -> float:
        """As it was recorded."""
        asked = self._case(name, method, seed).get("queries") or {}
        if query not in asked:
            raise _missing(name, f"{method.label} asked by {query}")
        return float(asked[query]["memorization"]["value"])

    def drawn(self, name: str, methods: Sequence[Composition], solver: SolverConfig) -> SolverConfig | None:
        """Of the solvers without noise under which all seeds of all methods have pictures, the asked one or the last."""
        rows = [self._pictured(name, method, seed) for method in methods for seed in self.seeds]
        shared = [settings for settings in rows[0] if all(settings in row for row in rows)]
        asked = (solver.steps, solver.guidance)
        steps, guidance = asked if asked in shared else shared[-1] if shared else (0, 0.0)
        return replace(solver, steps=steps, guidance=guidance) if shared else None

    def copies(
        self, name: str, testbed: Testbed, seed: int, method: Composition, solver: SolverConfig
    ) -> Mapping[str, float]:
        """As they were recorded, where the solver added no noise and had these steps and this guidance."""
        return _separations(self._pictured(name, method, seed)[solver.steps, solver.guidance])

    def action(
        self, name: str, testbed: Testbed, seed: int, method: Composition, query: str, solver: SolverConfig
    ) -> float | None:
        """As it was recorded."""
        reported = self._case(name, method, seed).get("reported")
        if reported is None:
            return None
        doses = (reported["sampling"].get("doses") or {}).get(query, {})
        return action.of_row((reported["training"], reported["editing"], doses), method.parts)

    def _case(self, name: str, method: Composition, seed: int) -> CaseRecord:
        records = self._by_solver(name, method, seed)
        if not records:
            raise _missing(name, f"{method.label}, seed {seed}")
        return records[-1]

    def _pictured(self, name: str, method: Composition, seed: int) -> dict[tuple[int, float], ContentBlock]:
        """What pictures without noise between the steps tell, by steps and guidance."""
        found = [(record["solver"], record.get("content")) for record in self._sound.get((name, method.label, seed), [])]
        return {(one["steps"], one["guidance"]): content for one, content in found if one["eta"] == 0 and content}

    def _by_solver(self, name: str, method: Composition, seed: int) -> list[CaseRecord]:
        records = self._sound.get((name, method.label, seed), [])
        return [record for record in records if self.solver in ("", record["solver"]["name"])]


def _forms(name: str) -> Iterator[tuple[str, Testbed]]:
    """A testbed, and its quick form where that has the same trained models and asks about the same images."""
    made: Any = plugins.testbed(name)[1]
    yield name, made
    with suppress(UnknownName):
        quick: Any = plugins.testbed(f"{name}-quick")[1]
        if replace(quick, held_out=made.held_out, generated=made.generated).__dict__ == made.__dict__:
            yield f"{name}-quick", quick


def _separations(found: ContentBlock) -> dict[str, float]:
    beside = {name: one["own"] for name, one in found.get("distances", {}).items()}
    scores = {"any": found["any"], HEADLINE: found["own"] or found["any"], **beside}
    return {name: 2 * score["auroc"]["value"] - 1 for name, score in scores.items() if score is not None}


@cache
def _canonical(expression: str) -> str:
    """A mitigation as its label is written today; as it is, where it is no longer installed."""
    try:
        return plugins.compose(expression).label
    except InvalidValue:  # a family or parameter that is gone or renamed, and so is in no claim
        return expression


def _missing(where: str, what: str) -> NotApplicable:
    cure = "Measure that row, or test the claim itself: pytest benchmark/test_claims.py."
    return NotApplicable(f"records of {where}", f"none of {what}", "a record of each seed", cure)
