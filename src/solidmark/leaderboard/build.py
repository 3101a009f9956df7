"""Build: from records to a leaderboard. Read `build_leaderboard` first.

`rows` makes the rows, `outcomes` the findings, `incidents` what went wrong; here they come together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from ..errors import InvalidValue
from ..records import latest
from ..schema.numbers import Estimate
from ..schema.record import CaseRecord, Record, TestbedRecord
from ..schema.row import NO_CLASS, NO_CLASSIFIER, NO_CLIP, NO_POWER, NO_UTILITY, Row, Utility
from ..schema.run import RunFile
from . import blocks
from .aggregate import of_all
from .agreement import Agreement, agreements
from .detected import Detected, detected
from .incidents import Incident, incidents, weak_baselines
from .matched import MatchedComparison, matched_comparison
from .outcomes import Outcome, outcomes
from .rows import as_case, rows, solver_of

SCHEMA = "solidmark.leaderboard/2"


@dataclass(frozen=True)
class TestbedFacts:
    """What belongs to a testbed and solver alone: power of each query, utility without any marks; null if unknown.

    `detectors` are those of memorized prompts, the best first; empty where none was asked.

    `title` is the testbed's name, with the solver's where several were used.
    """

    name: str
    title: str
    solver: Mapping[str, object]
    expected: str
    seeds: tuple[int, ...]
    power: Mapping[str, Estimate | None] | None
    unmarked: Utility | None
    reason: str = ""
    detectors: Mapping[str, Detected] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The facts as plain JSON, null with a reason where unknown."""
        reasons = dict.fromkeys(("power", "unmarked"), self.reason) if self.power is None else {}
        reasons |= {f"power.{query}": NO_POWER for query, power in (self.power or {}).items() if power is None}
        if self.unmarked is None and self.power is not None:
            reasons["unmarked"] = NO_UTILITY
        if self.unmarked is not None and self.unmarked.accuracy is None:
            reasons["unmarked.accuracy"] = NO_CLASS
        if self.unmarked is not None and self.unmarked.judge_accuracy is None:
            reasons["unmarked.judge_accuracy"] = NO_CLASSIFIER
        if self.unmarked is not None and self.unmarked.clip is None:
            reasons |= dict.fromkeys(("unmarked.clip", "unmarked.clip_real"), NO_CLIP)
        reasons |= {f"detectors.{name}": one.reason for name, one in self.detectors.items() if one.auroc is None}
        return {**asdict(self), "reasons": reasons}


@dataclass(frozen=True)
class Leaderboard:
    """All rows with what is needed to read them, and what experiments found.

    `provenance` is the first run's `run.json`, and `runs` has the name and the `run.json` of each run with cases.
    `measured` is the first and last record's time. `remarks` are those `notes` that are worth knowing and say of nothing
    that it went wrong.
    """

    rows: tuple[Row, ...]
    testbeds: tuple[TestbedFacts, ...]
    incidents: tuple[Incident, ...]
    notes: tuple[str, ...]
    remarks: tuple[str, ...]
    benchmark_version: int | None
    measured: tuple[str, str]
    provenance: RunFile
    findings: tuple[Outcome, ...]
    matched: tuple[MatchedComparison, ...]
    agreements: tuple[Agreement, ...]
    runs: tuple[tuple[str, RunFile], ...] = ()

    def of(self, facts: TestbedFacts) -> tuple[Row, ...]:
        """The rows of one testbed and solver, those that failed before they had a solver included."""
        return _of(self.rows, facts)

    def comparison(self, facts: TestbedFacts) -> MatchedComparison:
        """The curves of one testbed and solver, with what they say."""
        ground = facts.name, facts.solver
        return next(comparison for comparison in self.matched if (comparison.testbed, comparison.solver) == ground)

    @property
    def faults(self) -> tuple[str, ...]:
        """The notes on what went wrong beside cases."""
        return tuple(note for note in self.notes if note not in self.remarks)

    def baseline(self, facts: TestbedFacts) -> Row | None:
        """The row of a testbed without mitigation, where it has numbers."""
        return next((row for row in self.of(facts) if row.baseline and row.ok), None)

    def to_json(self) -> dict[str, object]:
        """The leaderboard as plain JSON, schema `solidmark.leaderboard/2`; unknown is null with a reason."""
        return {
            "schema": SCHEMA,
            "benchmark_version": self.benchmark_version,
            "measured": {"first": self.measured[0], "last": self.measured[1]},
            "rows": [row.to_json() for row in self.rows],
            "testbeds": [facts.to_json() for facts in self.testbeds],
            "matched": [comparison.to_json() for comparison in self.matched],
            "agreements": [agreement.to_json() for agreement in self.agreements],
            "findings": [outcome.to_json() for outcome in self.findings],
            "incidents": [asdict(incident) for incident in self.incidents],
            "notes": list(self.notes),
            "remarks": list(self.remarks),
            "provenance": dict(self.provenance),
            "runs": [{"run": name, **facts} for name, facts in self.runs],
        }


def build_leaderboard(
    records: Sequence[Record],
    notes: Iterable[str] = (),
    provenance: RunFile | None = None,
    remarks: Iterable[str] = (),
    runs: Iterable[tuple[str, RunFile]] = (),
) -> Leaderboard:
    """The leaderboard of these records, of which each case's latest finished one counts.

    `notes` are of what went wrong, `remarks` of what is worth knowing besides; `provenance` is that of the first run, `runs`
    the name and provenance of each.

    Raises InvalidValue where records of different benchmark versions are mixed.
    """
    version = _single_version(records)
    lines, repeats = rows(_cases(records))
    remarks = tuple(dict.fromkeys([*remarks, *repeats]))
    times = sorted(str(record["t"]) for record in records if record.get("t"))
    testbeds = _testbeds(lines, latest(record for record in records if record["event"] == "testbed"))
    matched = [matched_comparison(facts.name, facts.solver, _of(lines, facts)) for facts in testbeds]
    return Leaderboard(
        rows=tuple(lines),
        testbeds=tuple(testbeds),
        incidents=tuple(incidents(records)),
        notes=tuple(dict.fromkeys([*weak_baselines(records), *notes, *remarks])),
        remarks=remarks,
        benchmark_version=version,
        measured=(times[0], times[-1]) if times else ("", ""),
        provenance=provenance or RunFile(),
        findings=tuple(outcomes(record for record in records if record["event"] == "finding")),
        matched=tuple(matched),
        agreements=tuple(agreements([facts.title for facts in testbeds], matched)),
        runs=tuple(runs),
    )


def _cases(records: Iterable[Record]) -> list[CaseRecord]:
    """The latest record of each case that was measured, a crash as the case that it ended."""
    ended = (record for record in records if record["event"] == "case" or record["event"] == "crash")
    return latest(as_case(record) if record["event"] == "crash" else record for record in ended)


def _of(rows: Iterable[Row], facts: TestbedFacts) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.testbed == facts.name and row.solver in ({}, facts.solver))


def _single_version(records: Sequence[Record]) -> int | None:
    stated = [record.get("benchmark_version") for record in records if record["event"] != "crash"]
    versions = sorted({version for version in stated if version is not None})
    if len(versions) > 1:
        found = f"records of versions {' and '.join(map(str, versions))}"
        cure = "Report the runs of each version by themselves, or measure the older ones again."
        raise InvalidValue("leaderboard, benchmark version", found, "one version", cure)
    return int(versions[0]) if versions else None


def _testbeds(rows: Sequence[Row], records: Sequence[TestbedRecord]) -> list[TestbedFacts]:
    """One for each testbed and solver, in order of appearance."""
    grounds = _grounds(rows, records)
    names = [name for name, _ in grounds]
    facts = []
    for name, solver in grounds:
        title = f"{name}, {solver.get('name', 'solver')}" if names.count(name) > 1 else name
        own = [r for r in records if r["testbed"] == name and solver_of(r) == solver and r["status"] == "ok"]
        facts.append(_testbed(TestbedFacts(name, title, solver, "", (), None, None), own, _images(rows, name)))
    return facts


def _grounds(rows: Iterable[Row], records: Iterable[TestbedRecord]) -> list[tuple[str, Mapping[str, object]]]:
    """Testbeds with their solvers, each once; without a solver only where no record of that testbed has one."""
    stated: list[tuple[str, Mapping[str, object]]] = [(row.testbed, row.solver) for row in rows]
    stated += [(record["testbed"], solver_of(record)) for record in records]
    solved = {name for name, solver in stated if solver}
    unique = [ground for index, ground in enumerate(stated) if ground not in stated[:index]]
    return [(name, solver) for name, solver in unique if solver or name not in solved]


def _images(rows: Iterable[Row], testbed: str) -> int:
    """Trained images of a seed: the fewest of any row."""
    counts = [row.lead.memorization.count for row in rows if row.testbed == testbed and row.lead is not None]
    return min((count for count in counts if count is not None), default=2)


def _testbed(empty: TestbedFacts, records: Sequence[TestbedRecord], images: int) -> TestbedFacts:
    """The facts from the testbed's own records; `images` are those of a seed, for the intervals of its power."""
    if not records:
        return replace(empty, reason="its own case (power, cost of marking) has no record")
    return replace(
        empty,
        expected=records[0].get("expected") or "",
        seeds=tuple(sorted(record["seed"] for record in records)),
        power=blocks.power([record["power"] for record in records], [images] * len(records)),
        unmarked=of_all(blocks.utility, (record["unmarked"].get("utility") for record in records)),
        detectors=detected(records),
    )
