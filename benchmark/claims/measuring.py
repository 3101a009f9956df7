"""Where the numbers of a claim come from: models that are asked now, or the records of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from solidmark import plugins
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.experiments import Experiments
from solidmark.mitigation.composition import Composition
from solidmark.sampling import SolverConfig
from solidmark.schema.record import CaseRecord, ContentBlock
from solidmark.testbed import Testbed

HELD_OUT, GENERATED = 64, 16
"""Held-out images and fresh captions of a claim's testbed: enough for an AUROC. Its models are those of the table."""

HEADLINE = "ratio"
"""The distance that content is read with."""


class Measuring(Protocol):
    """What the steps of a claim ask for."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that all numbers have."""

    def testbed(self, names: Sequence[str]) -> tuple[str, Testbed]:
        """The first of these testbeds that can be asked, and its name."""

    def covers(self, name: str, method: Composition) -> bool:
        """Whether there are numbers of a method on this testbed."""

    def recall(self, name: str, testbed: Testbed, seed: int, method: Composition, query: str, solver: SolverConfig) -> float:
        """M of the images that a method is about, under a query."""

    def copies(
        self, name: str, testbed: Testbed, seed: int, method: Composition, solver: SolverConfig
    ) -> Mapping[str, float]:
        """By distance, 2 AUROC - 1 of generated pictures; empty where nobody looked at any under such a solver."""


@dataclass(frozen=True)
class Asked:
    """Models that are trained, or taken from the store, and asked."""

    experiments: Experiments

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of the experiments."""
        return self.experiments.seeds

    def testbed(self, names: Sequence[str]) -> tuple[str, Testbed]:
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

    def copies(
        self, name: str, testbed: Testbed, seed: int, method: Composition, solver: SolverConfig
    ) -> Mapping[str, float]:
        """Generated now."""
        return self.experiments.measure_copies(testbed, seed, method, solver)


@dataclass(frozen=True)
class Recorded:
    """Records of cases: whatever solver they were measured with, it stands for that of a claim.

    Pictures count where nothing was added between the steps, as in the sources. Raises NotApplicable for a number that no
    record has.
    """

    records: Sequence[CaseRecord]
    seeds: tuple[int, ...] = (0, 1, 2)

    @cached_property
    def _cases(self) -> dict[tuple[str, str, int], CaseRecord]:
        sound = [record for record in self.records if record["event"] == "case" and record["status"] == "ok"]
        return {(record["testbed"], _canonical(record["mitigation"]), record["seed"]): record for record in sound}

    def testbed(self, names: Sequence[str]) -> tuple[str, Testbed]:
        """The first that has a baseline. Raises NotApplicable where none has."""
        for name in names:
            if self.covers(name, Composition()):
                made: Any = plugins.testbed(name)[1]
                return name, made
        raise _missing(", ".join(names), "baseline")

    def covers(self, name: str, method: Composition) -> bool:
        """Whether all seeds have a record."""
        return all((name, method.label, seed) in self._cases for seed in self.seeds)

    def recall(self, name: str, testbed: Testbed, seed: int, method: Composition, query: str, solver: SolverConfig) -> float:
        """As it was recorded."""
        asked = self._case(name, method, seed).get("queries") or {}
        if query not in asked:
            raise _missing(name, f"{method.label} asked by {query}")
        return float(asked[query]["memorization"]["value"])

    def copies(
        self, name: str, testbed: Testbed, seed: int, method: Composition, solver: SolverConfig
    ) -> Mapping[str, float]:
        """As it was recorded, where the solver added no noise."""
        record = self._case(name, method, seed)
        found = record.get("content")
        return {} if found is None or record["solver"]["eta"] > 0 else _separations(found)

    def _case(self, name: str, method: Composition, seed: int) -> CaseRecord:
        case = self._cases.get((name, method.label, seed))
        if case is None:
            raise _missing(name, f"{method.label}, seed {seed}")
        return case


def _separations(found: ContentBlock) -> dict[str, float]:
    beside = {name: one["own"] for name, one in found.get("distances", {}).items()}
    scores = {"any": found["any"], HEADLINE: found["own"] or found["any"], **beside}
    return {name: 2 * score["auroc"]["value"] - 1 for name, score in scores.items() if score is not None}


def _canonical(expression: str) -> str:
    """A mitigation as its label is written today; as it is, where it is no longer installed."""
    try:
        return plugins.compose(expression).label
    except InvalidValue:  # a family or parameter that is gone or renamed, and so is in no claim
        return expression


def _missing(where: str, what: str) -> NotApplicable:
    cure = "Measure that row, or test the claim itself: pytest benchmark/test_claims.py."
    return NotApplicable(f"records of {where}", f"none of {what}", "a record of each seed", cure)
