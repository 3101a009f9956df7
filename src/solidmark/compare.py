"""Compare: from records to a leaderboard. Pure and free of torch; read `leaderboard` first.

A row is one testbed, mitigation and protocol over its seeds. A row of which any seed has failed has no
numbers: a mean over what happens to be there would flatter it. A seed that was never asked only leaves
fewer seeds, and the row says which. There is no ranking: rows stand in the order baseline, stage, family,
strength.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from . import pooling
from .errors import InvalidValue
from .pooling import Bound, Controls, Cost, Distance, Number, Scored, Utility
from .records import Record, latest
from .scores import Share

__all__ = [
    "Attempt", "Bound", "Controls", "Cost", "Distance", "Incident", "Leaderboard", "Number", "Row", "Scored",
    "Share", "TestbedFacts", "Utility", "leaderboard",
]  # fmt: skip

SCHEMA = "solidmark.leaderboard/1"
STAGES = ("none", "training", "sampling", "post-hoc")

REASONS = {
    "worst": "the worst case over queries, with its correction for having chosen, is not computed",
    "group": "groups of rows that cannot be told apart are not computed",
    "excess": "the distance from the reference curve at equal utility is not computed; see the figures",
}
"""Why these fields of a row are null."""


@dataclass(frozen=True)
class Attempt:
    """One seed of a row: what became of it. `memorization` is that of the leading query, also where a control failed."""

    seed: int | None
    status: str
    reason: str
    case_id: str
    environment: str
    memorization: Number | None


@dataclass(frozen=True)
class Row:
    """A mitigation at one strength on one testbed, over its seeds. Numbers are null unless every seed is ok."""

    testbed: str
    mitigation: str
    family: str
    stage: str
    control: bool
    needs: tuple[str, ...]
    reference: str
    parameters: Mapping[str, Any]
    protocol: Mapping[str, Any]
    status: str
    reason: str
    attempts: tuple[Attempt, ...]
    place: int = 0
    queries: Mapping[str, Scored] | None = None
    controls: Controls | None = None
    utility: Utility | None = None
    cost: Cost | None = None
    seeds_missing: tuple[int, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were asked, in order."""
        return tuple(sorted(attempt.seed for attempt in self.attempts if attempt.seed is not None))

    @property
    def ok(self) -> bool:
        """Whether the row has numbers."""
        return self.queries is not None

    @property
    def lead(self) -> Scored | None:
        """The scores of the leading query."""
        return next(iter(self.queries.values()), None) if self.queries else None

    @property
    def baseline(self) -> bool:
        """Whether nothing is mitigated."""
        return self.stage == "none"

    @property
    def strength(self) -> str:
        """The parameters that tell this strength, as the label has them: `share=0.5`; empty where there are none."""
        inner = self.mitigation.removeprefix(self.family)
        if inner.startswith("(") and inner.endswith(")"):
            return inner[1:-1]
        return "" if not inner else self.mitigation

    @property
    def environments(self) -> tuple[str, ...]:
        """Environment keys of its seeds; rows of different keys are not to be compared pair by pair."""
        return tuple(dict.fromkeys(attempt.environment for attempt in self.attempts if attempt.environment))


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
    power: Mapping[str, Number] | None
    unmarked: Utility | None
    reason: str = ""


@dataclass(frozen=True)
class Incident:
    """Something that went wrong: a crash, an error, a control that failed; and what became of the case afterwards."""

    slug: str
    testbed: str
    mitigation: str
    status: str
    reason: str
    worker: str
    attempt: int | None
    afterwards: str


@dataclass(frozen=True)
class Leaderboard:
    """All rows with what is needed to read them. `provenance` is the run's, `measured` the first and last record's time."""

    rows: tuple[Row, ...]
    testbeds: tuple[TestbedFacts, ...]
    incidents: tuple[Incident, ...]
    notes: tuple[str, ...]
    benchmark_version: int | None
    measured: tuple[str, str]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def of(self, facts: TestbedFacts) -> tuple[Row, ...]:
        """The rows of one testbed and protocol, those that failed before they had a protocol included."""
        return tuple(row for row in self.rows if row.testbed == facts.name and row.protocol in ({}, facts.protocol))

    def baseline(self, facts: TestbedFacts) -> Row | None:
        """The row of a testbed without mitigation, where it has numbers."""
        return next((row for row in self.of(facts) if row.baseline and row.ok), None)

    def to_json(self) -> dict[str, Any]:
        """The leaderboard as plain JSON, schema `solidmark.leaderboard/1`; unknown is null with a reason."""
        return {
            "schema": SCHEMA,
            "benchmark_version": self.benchmark_version,
            "measured": {"first": self.measured[0], "last": self.measured[1]},
            "rows": [_row_json(row) for row in self.rows],
            "testbeds": [asdict(facts) for facts in self.testbeds],
            "incidents": [asdict(incident) for incident in self.incidents],
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }


def _row_json(row: Row) -> dict[str, Any]:
    empty = {name: row.reason for name in ("queries", "controls", "utility", "cost") if getattr(row, name) is None}
    values = asdict(row)
    values["per_seed"] = values.pop("attempts")
    return {**values, "seeds": list(row.seeds), **dict.fromkeys(REASONS), "reasons": {**REASONS, **empty}}


def leaderboard(
    records: Sequence[Record], notes: Iterable[str] = (), provenance: Mapping[str, Any] | None = None
) -> Leaderboard:
    """The leaderboard of these records, of which each case's latest finished one counts.

    Raises InvalidValue where records of different benchmark versions are mixed.
    """
    version = _one_version(records)
    cases = latest(record for record in records if record["event"] in ("case", "crash"))
    known, repeats = _one_a_seed([record for record in cases if record["testbed"]])
    rows = _beside_each_other([_row(group, known) for group in _groups(known).values()])
    times = sorted(str(record["t"]) for record in records if record.get("t"))
    return Leaderboard(
        rows=tuple(_ordered(rows)),
        testbeds=tuple(_testbeds(rows, latest(record for record in records if record["event"] == "testbed"))),
        incidents=tuple(_incidents(records)),
        notes=tuple(dict.fromkeys([*notes, *repeats])),
        benchmark_version=version,
        measured=(times[0], times[-1]) if times else ("", ""),
        provenance=provenance or {},
    )


def _one_version(records: Sequence[Record]) -> int | None:
    versions = sorted({record["benchmark_version"] for record in records if record.get("benchmark_version") is not None})
    if len(versions) > 1:
        found = f"records of versions {' and '.join(map(str, versions))}"
        cure = "Report the runs of each version by themselves, or measure the older ones again."
        raise InvalidValue("leaderboard, benchmark version", found, "one version", cure)
    return int(versions[0]) if versions else None


def _solver(record: Record) -> dict[str, Any]:
    """The protocol, but for how many images are sampled together, which is no part of what is compared."""
    return {name: value for name, value in (record.get("protocol") or {}).items() if name != "batch"}


def _key(record: Record) -> tuple[str, str, str]:
    return record["testbed"], record["mitigation"], str(_solver(record) or "")


def _groups(records: Sequence[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Records by row. One that died before its protocol was known joins the first row of its testbed and mitigation."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in sorted(records, key=lambda record: not record.get("protocol")):
        key = _key(record)
        if not key[2]:
            key = next((other for other in groups if other[:2] == key[:2]), key)
        groups.setdefault(key, []).append(record)
    return groups


def _one_a_seed(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """In order of time one record a row and seed, an ok one before others, the latest of those; and a note on each other."""
    chosen: dict[tuple[Any, ...], Record] = {}
    notes = []
    for record in sorted(records, key=lambda record: str(record.get("t", ""))):
        place = (*_key(record), record["seed"] if record.get("seed") is not None else record["case_id"])
        before = chosen.get(place)
        if before is not None:
            later = f"digests {before['case_id']} and {record['case_id']}; the later finished one counts"
            notes.append(f"{record['testbed']}, {record['mitigation']}, seed {record.get('seed')}: measured twice, {later}")
        if before is None or record["status"] == "ok" or before["status"] != "ok":
            chosen[place] = record
    return list(chosen.values()), notes


def _row(group: Sequence[Record], everything: Sequence[Record]) -> Row:
    attempts = tuple(_attempt(record) for record in group)
    first, bad = group[0], [attempt for attempt in attempts if attempt.status != "ok"]
    return Row(
        testbed=first["testbed"],
        mitigation=first["mitigation"],
        family=first["family"],
        stage=first.get("stage") or _stage_of(first["family"], everything),
        control=bool(first.get("control")),
        needs=tuple(first.get("needs") or ()),
        reference=first.get("reference") or "",
        parameters=first.get("parameters") or {},
        protocol=_solver(first),
        status=_status(attempts),
        reason="; ".join(dict.fromkeys(_told(attempt) for attempt in bad)),
        attempts=attempts,
        place=min(record.get("place", 0) for record in group),
        **({} if bad else _numbers(group)),
    )


def _numbers(group: Sequence[Record]) -> dict[str, Any]:
    names = [name for name in group[0]["queries"] if all(name in record["queries"] for record in group)]
    peaks = [(record.get("provenance") or {}).get("peak_bytes") for record in group]
    return {
        "queries": {name: pooling.scored([record["queries"][name] for record in group]) for name in names},
        "controls": pooling.controls([record["controls"] for record in group]),
        "utility": pooling.utility([record["utility"] for record in group]),
        "cost": pooling.cost([record["cost"] for record in group], peaks),
    }


def _attempt(record: Record) -> Attempt:
    lead = next(iter((record.get("queries") or {}).values()), None)
    found = pooling.number([lead["memorization"]], [lead["memorization"]["images"]]) if lead else None
    return Attempt(
        seed=record.get("seed"),
        status=record["status"],
        reason=_reason(record),
        case_id=record["case_id"],
        environment=(record.get("provenance") or {}).get("environment_key", ""),
        memorization=found,
    )


def _reason(record: Record) -> str:
    faults = (record.get("controls") or {}).get("faults") or []
    return record.get("reason") or "; ".join(faults) or ("" if record["status"] == "ok" else "no reason was recorded")


def _told(attempt: Attempt) -> str:
    return attempt.reason if attempt.seed is None else f"seed {attempt.seed}: {attempt.reason}"


def _status(attempts: Sequence[Attempt]) -> str:
    """The one status of all seeds, else `incomplete`."""
    found = {attempt.status for attempt in attempts}
    return found.pop() if len(found) == 1 else "incomplete"


def _stage_of(family: str, records: Sequence[Record]) -> str:
    """The stage of a family whose own record does not say: that of its other records."""
    return next((str(r["stage"]) for r in records if r["family"] == family and r.get("stage")), "unknown")


def _beside_each_other(rows: Sequence[Row]) -> list[Row]:
    """Each row with what only its neighbours tell: seeds that it lacks, and its cost against the baseline's."""
    asked: dict[tuple[str, str], set[int]] = {}
    training: dict[tuple[str, str], float] = {}
    for row in rows:
        asked.setdefault(_ground(row), set()).update(row.seeds)
        if row.baseline and row.cost is not None:
            training.setdefault(_ground(row), row.cost.training.evaluations)
    return [
        replace(
            row,
            seeds_missing=tuple(sorted(asked[_ground(row)] - set(row.seeds))) if row.seeds else (),
            cost=_relative(row.cost, training.get(_ground(row))),
        )
        for row in rows
    ]


def _ground(row: Row) -> tuple[str, str]:
    """Rows that compare have the same testbed and protocol."""
    return row.testbed, str(row.protocol)


def _relative(cost: Cost | None, baseline: float | None) -> Cost | None:
    if cost is None or not baseline:
        return cost
    return replace(cost, relative=(cost.training.evaluations + cost.editing.evaluations) / baseline)


def _ordered(rows: Sequence[Row]) -> list[Row]:
    """By testbed and protocol in order of appearance, then baseline, stage, family, and strength as it was planned."""
    grounds = list(dict.fromkeys(_ground(row) for row in sorted(rows, key=lambda row: not row.protocol)))
    families: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        alike = (ground == _ground(row) or (not row.protocol and ground[0] == row.testbed) for ground in grounds)
        place = list(alike).index(True)
        families.setdefault((place, _stage_rank(row.stage), row.family), []).append(row)
    return [row for key in sorted(families) for row in sorted(families[key], key=lambda row: row.place)]


def _stage_rank(stage: str) -> tuple[int, ...]:
    return tuple(STAGES.index(part) if part in STAGES else len(STAGES) for part in stage.split("+"))


def _testbeds(rows: Sequence[Row], records: Sequence[Record]) -> list[TestbedFacts]:
    """One for each testbed and protocol, in order of appearance."""
    found = [(row.testbed, row.protocol) for row in rows] + [(record["testbed"], _solver(record)) for record in records]
    known = {name for name, protocol in found if protocol}
    grounds = [ground for place, ground in enumerate(found) if ground not in found[:place]]
    grounds = [(name, protocol) for name, protocol in grounds if protocol or name not in known]
    names = [name for name, _ in grounds]
    facts = []
    for name, protocol in grounds:
        title = f"{name}, {protocol.get('name', 'protocol')}" if names.count(name) > 1 else name
        own = [r for r in records if r["testbed"] == name and _solver(r) == protocol and r["status"] == "ok"]
        images = [row.lead.memorization.images for row in rows if row.testbed == name and row.lead is not None]
        facts.append(_testbed(TestbedFacts(name, title, protocol, "", (), None, None), own, min(images, default=2)))
    return facts


def _testbed(empty: TestbedFacts, records: Sequence[Record], images: int) -> TestbedFacts:
    """The facts from the testbed's own records; `images` are those of a seed, for the intervals of its power."""
    if not records:
        return replace(empty, reason="its own case (power, cost of marking) has no record")
    queries = [query for query in records[0]["power"] if all(query in record["power"] for record in records)]
    return replace(
        empty,
        expected=records[0].get("expected") or "",
        seeds=tuple(sorted(record["seed"] for record in records)),
        power={q: pooling.number([record["power"][q] for record in records], [images] * len(records)) for q in queries},
        unmarked=pooling.utility([record["unmarked"]["utility"] for record in records]),
    )


def _incidents(records: Sequence[Record]) -> list[Incident]:
    """All crashes, and every case whose last word is not ok, in order of time."""
    last = {record["slug"]: record["status"] for record in records if record["event"] != "crash"}
    finished = {record["slug"] for record in records if record["status"] == "ok"}
    wrong = [r for r in records if r["event"] == "crash" or (r["status"] != "ok" and r["slug"] not in finished)]
    found = [
        Incident(
            slug=record["slug"],
            testbed=record["testbed"],
            mitigation=record["mitigation"],
            status=record["status"],
            reason=_reason(record),
            worker=str(record.get("worker", "")),
            attempt=record.get("attempt"),
            afterwards=_afterwards(record, last),
        )
        for record in sorted(wrong, key=lambda record: str(record.get("t", "")))
    ]
    return list(dict.fromkeys(found))


def _afterwards(record: Record, last: Mapping[str, str]) -> str:
    if record["event"] != "crash":
        return "the row has no numbers"
    outcome = last.get(record["slug"])
    return f"tried again: {outcome}" if outcome else "not measured"
