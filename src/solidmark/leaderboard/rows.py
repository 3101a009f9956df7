"""Rows: from the records of cases to the rows of a leaderboard. Pure and free of torch; read `rows` first.

A row is one testbed, mitigation and protocol over its seeds. A row of which any seed has failed has no
numbers: a mean over what happens to be there would flatter it. A seed that was never asked only leaves
fewer seeds, and the row says which. Rows stand in the order baseline, stage, family, strength; families are
ranked by their curves (see `ranking`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..records import Record
from . import aggregate, blocks
from .aggregate import Block, Number
from .blocks import Controls, Cost, DenoisingLoss, Scored, Utility, Worst
from .incidents import reason
from .reported import Telling, telling

STAGES = ("none", "training", "sampling", "post-hoc")

NUMBERS = ("queries", "power", "worst", "worst_service", "controls", "utility", "denoising_loss", "cost", "telling")

NO_WORST = "its seeds were asked different queries, or their records are older than the worst case"
NO_CLASS = "the captions of this testbed tell no class, so none is asked for"
NO_LOSS = (
    "its weights are the baseline's, its network predicts another thing, the mark leaves no centre, or its records are "
    "older than this number"
)
NO_REFUSAL = "the service refused nothing, or its refusals were not recorded for every seed"
NO_CLAIM = "no part of it claims to be differentially private"
NO_POWER = "the perfect memorizer is a closed formula, which this query cannot be put to"


@dataclass(frozen=True)
class Attempt:
    """One seed of a row: what became of it. `memorization` is that of the leading query, also where a control failed.

    `worst`, `worst_service` (over the queries that go through the service alone), `accuracy` and `frechet` are what
    curves are made of; null where the record has no such number.
    """

    seed: int | None
    status: str
    reason: str
    case_id: str
    environment: str
    memorization: Number | None
    worst: Number | None = None
    worst_service: Number | None = None
    accuracy: float | None = None
    frechet: float | None = None


@dataclass(frozen=True)
class Row:
    """A mitigation at one strength on one testbed, over its seeds. Numbers are null unless every seed is ok.

    `reference_curve` tells that its family is the reference of its stage, `fidelity` how faithful it is to what was
    published; null in records older than that.
    """

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
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    power: Mapping[str, Number | None] | None = None
    worst: Worst | None = None
    worst_service: Worst | None = None
    controls: Controls | None = None
    utility: Utility | None = None
    denoising_loss: DenoisingLoss | None = None
    cost: Cost | None = None
    telling: Telling | None = None
    seeds_missing: tuple[int, ...] = ()
    reference_curve: bool = False
    fidelity: str | None = None

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
    def reasons(self) -> dict[str, str]:
        """Why what is null is null, by the name of the field; parts of a field after a dot."""
        told = {name: self.reason for name in NUMBERS if getattr(self, name) is None}
        told |= {name: NO_WORST for name in ("worst", "worst_service") if self.ok and getattr(self, name) is None}
        if self.ok and self.denoising_loss is None:
            told["denoising_loss"] = NO_LOSS
        if self.utility is not None and self.utility.accuracy is None:
            told["utility.accuracy"] = NO_CLASS
        if self.telling is not None:
            missing = {"telling.refused": NO_REFUSAL, "telling.claimed": NO_CLAIM}
            told |= {name: why for name, why in missing.items() if getattr(self.telling, name.partition(".")[2]) is None}
        return told | {f"power.{query}": NO_POWER for query, m in (self.power or {}).items() if m is None}

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

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON; unknown is null with a reason."""
        values = asdict(self)
        values["per_seed"] = values.pop("attempts")
        return {**values, "seeds": list(self.seeds), "reasons": self.reasons}

    @property
    def environments(self) -> tuple[str, ...]:
        """Environment keys of its seeds; rows of different keys are not to be compared pair by pair."""
        return tuple(dict.fromkeys(attempt.environment for attempt in self.attempts if attempt.environment))


def rows(records: Sequence[Record]) -> tuple[list[Row], list[str]]:
    """The rows of these records of cases, of which there is one a case, and a note on each seed measured twice."""
    known, repeats = _one_a_seed([record for record in records if record.get("testbed")])
    return _ordered(_beside_each_other([_row(group, known) for group in _groups(known).values()])), repeats


def solver(record: Record) -> dict[str, Any]:
    """The protocol, but for how many images are sampled together, which is no part of what is compared."""
    return {name: value for name, value in (record.get("protocol") or {}).items() if name != "batch"}


def _key(record: Record) -> tuple[str, str, str]:
    return record["testbed"], record["mitigation"], str(solver(record) or "")


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
        protocol=solver(first),
        status=_status(attempts),
        reason="; ".join(dict.fromkeys(_told(attempt) for attempt in bad)),
        attempts=attempts,
        place=min(record.get("place", 0) for record in group),
        reference_curve=_is_reference(first),
        fidelity=first.get("fidelity"),
        not_applicable={query: why for record in group for query, why in (record.get("not_applicable") or {}).items()},
        **({} if bad else _numbers(group)),
    )


def _numbers(group: Sequence[Record]) -> dict[str, Any]:
    names = [name for name in group[0]["queries"] if all(name in record["queries"] for record in group)]
    peaks = [(record.get("provenance") or {}).get("peak_bytes") for record in group]
    images = [record["controls"]["other_keys"]["memorization"]["images"] for record in group]
    return {
        "queries": {name: blocks.scored([record["queries"][name] for record in group]) for name in names},
        "power": blocks.power([record.get("power") or {} for record in group], images),
        "worst": _worst([record.get("worst") for record in group]),
        "worst_service": _worst([record.get("worst_service") for record in group]),
        "controls": blocks.controls([record["controls"] for record in group]),
        "utility": blocks.utility([record["utility"] for record in group]),
        "denoising_loss": blocks.denoising_loss([record.get("denoising_loss") or {} for record in group]),
        "cost": blocks.cost([record["cost"] for record in group], peaks),
        "telling": telling([record.get("told") or {} for record in group], names[0]) if names else None,
    }


def _worst(each: Sequence[Block | None]) -> Worst | None:
    """None where a seed has none, or was asked other queries: another set of queries is another worst case."""
    known = [block for block in each if block is not None]
    asked = {frozenset(block["chosen"]) for block in known}
    return blocks.worst(known) if len(known) == len(each) and len(asked) == 1 else None


def _attempt(record: Record) -> Attempt:
    lead = next(iter((record.get("queries") or {}).values()), None)
    known = record.get("utility") or {}
    return Attempt(
        seed=record.get("seed"),
        status=record["status"],
        reason=reason(record),
        case_id=record["case_id"],
        environment=(record.get("provenance") or {}).get("environment_key", ""),
        memorization=_memorization(lead),
        worst=_memorization(record.get("worst")),
        worst_service=_memorization(record.get("worst_service")),
        accuracy=known["accuracy"]["count"] / known["accuracy"]["of"] if known.get("accuracy") else None,
        frechet=known["frechet"]["value"] if known.get("frechet") else None,
    )


def _memorization(block: Block | None) -> Number | None:
    """M of one seed, of a query or of the worst case."""
    return aggregate.number([block["memorization"]], [block["memorization"]["images"]]) if block else None


def _is_reference(record: Record) -> bool:
    """Whether a row is a point of its stage's reference curve; records that do not say take their controls for it."""
    return bool(record.get("reference_curve", record.get("control"))) and record.get("stage") != "none"


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
    baselines: dict[tuple[str, str], Cost] = {}
    for row in rows:
        asked.setdefault(_ground(row), set()).update(row.seeds)
        if row.baseline and row.cost is not None:
            baselines.setdefault(_ground(row), row.cost)
    return [
        replace(
            row,
            seeds_missing=tuple(sorted(asked[_ground(row)] - set(row.seeds))) if row.seeds else (),
            cost=_relative(row.cost, baselines.get(_ground(row))),
        )
        for row in rows
    ]


def _ground(row: Row) -> tuple[str, str]:
    """Rows that compare have the same testbed and protocol."""
    return row.testbed, str(row.protocol)


def _relative(cost: Cost | None, baseline: Cost | None) -> Cost | None:
    if cost is None or baseline is None:
        return cost
    training, sampling = baseline.training.evaluations, baseline.sampling.per_image
    return replace(
        cost,
        relative=(cost.training.evaluations + cost.editing.evaluations) / training if training else None,
        sampling_relative=cost.sampling.per_image / sampling if sampling and cost.sampling.per_image is not None else None,
    )


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
