"""Compare: from records to a leaderboard. Pure and free of torch; read `leaderboard` first.

Rows are made in `rows`, findings in `outcomes`, what went wrong in `incidents`; here they come together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import InvalidValue
from ..records import Record, latest
from . import blocks
from .aggregate import Number
from .blocks import Utility
from .incidents import Incident, incidents
from .matched import Fairness, fairness
from .outcomes import Outcome, outcomes
from .rows import NO_CLASS, NO_POWER, Row, rows, solver

SCHEMA = "solidmark.leaderboard/1"


@dataclass(frozen=True)
class TestbedFacts:
    """What belongs to a testbed and protocol alone: power of each query, utility without any marks; null if unknown.

    `title` is the testbed's name, with the protocol's where it was asked in several.
    """

    name: str
    title: str
    protocol: Mapping[str, Any]
    expected: str
    seeds: tuple[int, ...]
    power: Mapping[str, Number | None] | None
    unmarked: Utility | None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The facts as plain JSON, null with a reason where unknown."""
        told = dict.fromkeys(("power", "unmarked"), self.reason) if self.power is None else {}
        told |= {f"power.{query}": NO_POWER for query, m in (self.power or {}).items() if m is None}
        if self.unmarked is not None and self.unmarked.accuracy is None:
            told["unmarked.accuracy"] = NO_CLASS
        return {**asdict(self), "reasons": told}


@dataclass(frozen=True)
class Leaderboard:
    """All rows with what is needed to read them, and what experiments found beside them.

    `provenance` is the run's, `measured` the first and last record's time.
    """

    rows: tuple[Row, ...]
    testbeds: tuple[TestbedFacts, ...]
    incidents: tuple[Incident, ...]
    notes: tuple[str, ...]
    benchmark_version: int | None
    measured: tuple[str, str]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Outcome, ...] = ()
    fairness: tuple[Fairness, ...] = ()

    def of(self, facts: TestbedFacts) -> tuple[Row, ...]:
        """The rows of one testbed and protocol, those that failed before they had a protocol included."""
        return _of(self.rows, facts)

    def fair(self, facts: TestbedFacts) -> Fairness:
        """The curves of one testbed and protocol, with what they say."""
        return next(one for one in self.fairness if (one.testbed, one.protocol) == (facts.name, facts.protocol))

    def baseline(self, facts: TestbedFacts) -> Row | None:
        """The row of a testbed without mitigation, where it has numbers."""
        return next((row for row in self.of(facts) if row.baseline and row.ok), None)

    def to_json(self) -> dict[str, Any]:
        """The leaderboard as plain JSON, schema `solidmark.leaderboard/1`; unknown is null with a reason."""
        return {
            "schema": SCHEMA,
            "benchmark_version": self.benchmark_version,
            "measured": {"first": self.measured[0], "last": self.measured[1]},
            "rows": [row.to_json() for row in self.rows],
            "testbeds": [facts.to_json() for facts in self.testbeds],
            "fairness": [one.to_json() for one in self.fairness],
            "findings": [outcome.to_json() for outcome in self.findings],
            "incidents": [asdict(incident) for incident in self.incidents],
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }


def leaderboard(
    records: Sequence[Record], notes: Iterable[str] = (), provenance: Mapping[str, Any] | None = None
) -> Leaderboard:
    """The leaderboard of these records, of which each case's latest finished one counts.

    Raises InvalidValue where records of different benchmark versions are mixed.
    """
    version = _one_version(records)
    found, repeats = rows(latest(record for record in records if record["event"] in ("case", "crash")))
    times = sorted(str(record["t"]) for record in records if record.get("t"))
    testbeds = _testbeds(found, latest(record for record in records if record["event"] == "testbed"))
    return Leaderboard(
        rows=tuple(found),
        testbeds=tuple(testbeds),
        incidents=tuple(incidents(records)),
        notes=tuple(dict.fromkeys([*notes, *repeats])),
        benchmark_version=version,
        measured=(times[0], times[-1]) if times else ("", ""),
        provenance=provenance or {},
        findings=tuple(outcomes(record for record in records if record["event"] == "finding")),
        fairness=tuple(fairness(facts.name, facts.protocol, _of(found, facts)) for facts in testbeds),
    )


def _of(rows: Iterable[Row], facts: TestbedFacts) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.testbed == facts.name and row.protocol in ({}, facts.protocol))


def _one_version(records: Sequence[Record]) -> int | None:
    versions = sorted({record["benchmark_version"] for record in records if record.get("benchmark_version") is not None})
    if len(versions) > 1:
        found = f"records of versions {' and '.join(map(str, versions))}"
        cure = "Report the runs of each version by themselves, or measure the older ones again."
        raise InvalidValue("leaderboard, benchmark version", found, "one version", cure)
    return int(versions[0]) if versions else None


def _testbeds(rows: Sequence[Row], records: Sequence[Record]) -> list[TestbedFacts]:
    """One for each testbed and protocol, in order of appearance."""
    found = [(row.testbed, row.protocol) for row in rows] + [(record["testbed"], solver(record)) for record in records]
    known = {name for name, protocol in found if protocol}
    grounds = [ground for place, ground in enumerate(found) if ground not in found[:place]]
    grounds = [(name, protocol) for name, protocol in grounds if protocol or name not in known]
    names = [name for name, _ in grounds]
    facts = []
    for name, protocol in grounds:
        title = f"{name}, {protocol.get('name', 'protocol')}" if names.count(name) > 1 else name
        own = [r for r in records if r["testbed"] == name and solver(r) == protocol and r["status"] == "ok"]
        images = [row.lead.memorization.images for row in rows if row.testbed == name and row.lead is not None]
        facts.append(_testbed(TestbedFacts(name, title, protocol, "", (), None, None), own, min(images, default=2)))
    return facts


def _testbed(empty: TestbedFacts, records: Sequence[Record], images: int) -> TestbedFacts:
    """The facts from the testbed's own records; `images` are those of a seed, for the intervals of its power."""
    if not records:
        return replace(empty, reason="its own case (power, cost of marking) has no record")
    return replace(
        empty,
        expected=records[0].get("expected") or "",
        seeds=tuple(sorted(record["seed"] for record in records)),
        power=blocks.power([record["power"] for record in records], [images] * len(records)),
        unmarked=blocks.utility([record["unmarked"]["utility"] for record in records]),
    )
