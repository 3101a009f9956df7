"""Rows: from the records of cases to the rows of a leaderboard. Read `rows` first.

A row is one testbed, mitigation and solver over its seeds. A row of which any seed has failed has no numbers: a mean over
what happens to be there would flatter it. A seed that was never measured only leaves fewer seeds, and the row says which.
Rows come in the order baseline, stage, family, setting; families are ranked by their curves (see `ranking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..schema.numbers import Estimate
from ..schema.record import (
    CaseRecord,
    ContentScoreBlock,
    CrashRecord,
    QueryBlock,
    ReportedBlock,
    TestbedRecord,
    UtilityBlock,
    WorstBlock,
)
from ..schema.row import Attempt, Cost, Row, Space, Worst
from . import aggregate, blocks
from .aggregate import of_all
from .disagreement import told
from .incidents import reason
from .reported import summarize_reports

SILENT: ReportedBlock = {"training": {}, "editing": {}, "sampling": {}}
"""What a record reports that is older than reports."""

EVEN = 0.5
"""The AUROC of what tells nothing."""

STAGES = ("none", "training", "sampling", "post-hoc")

Key = tuple[str, str, str]
"""Testbed, mitigation, and the solver as text, empty where none is known."""


def rows(records: Sequence[CaseRecord]) -> tuple[list[Row], list[str]]:
    """The rows of these records of cases, of which there is one a case, and a note on each seed measured twice."""
    chosen, repeats = _latest_per_seed([record for record in records if record.get("testbed")])
    return _sort(_add_comparisons([_row(group, chosen) for group in _groups(chosen).values()])), repeats


def as_case(crash: CrashRecord) -> CaseRecord:
    """A crash as the case that it ended: nothing but its name and status is known."""
    names = {name: str(crash.get(name) or "") for name in ("testbed", "mitigation", "family")}
    case: CaseRecord = {**crash, **names, "event": "case"}  # type: ignore[typeddict-item]  # the names are those three
    return case


def solver_of(record: CaseRecord | TestbedRecord) -> dict[str, object]:
    """The solver, but for how many images are sampled together, which is no part of what is compared."""
    solver = record.get("solver")
    return {name: value for name, value in solver.items() if name != "batch"} if solver else {}


def _key(record: CaseRecord) -> Key:
    return record["testbed"], record["mitigation"], str(solver_of(record) or "")


def _groups(records: Sequence[CaseRecord]) -> dict[Key, list[CaseRecord]]:
    """Records by row. One that died before its solver was known joins the first row of its testbed and mitigation."""
    groups: dict[Key, list[CaseRecord]] = {}
    for record in sorted(records, key=lambda record: not record.get("solver")):
        key = _key(record)
        if not key[2]:
            key = next((complete for complete in groups if complete[:2] == key[:2]), key)
        groups.setdefault(key, []).append(record)
    return groups


def _latest_per_seed(records: Sequence[CaseRecord]) -> tuple[list[CaseRecord], list[str]]:
    """In order of time one record a row and seed, an ok one before others, the latest of those; and a note on the rest."""
    chosen: dict[tuple[Key, int | str], CaseRecord] = {}
    notes = []
    for record in sorted(records, key=lambda record: str(record.get("t", ""))):
        seed = record.get("seed")
        key = (_key(record), seed if seed is not None else record["case_id"])
        before = chosen.get(key)
        if before is not None:
            later = f"digests {before['case_id']} and {record['case_id']}; the later finished one counts"
            notes.append(f"{record['testbed']}, {record['mitigation']}, seed {seed}: measured twice, {later}")
        if before is None or record["status"] == "ok" or before["status"] != "ok":
            chosen[key] = record
    return list(chosen.values()), notes


def _row(group: Sequence[CaseRecord], everything: Sequence[CaseRecord]) -> Row:
    attempts = tuple(_attempt(record) for record in group)
    first, failures = group[0], [attempt for attempt in attempts if attempt.status != "ok"]
    row = Row(
        testbed=first["testbed"],
        mitigation=first["mitigation"],
        family=first["family"],
        stage=first.get("stage") or _stage_of(first["family"], everything),
        control=bool(first.get("control")),
        needs=tuple(first.get("needs") or ()),
        reference=first.get("reference") or "",
        parameters=first.get("parameters") or {},
        solver=solver_of(first),
        status=_status(attempts),
        reason=_faults(failures),
        attempts=attempts,
        order=min(record.get("order", 0) for record in group),
        reference_curve=_is_reference(first),
        fidelity=first.get("fidelity"),
        not_applicable={query: why for record in group for query, why in (record.get("not_applicable") or {}).items()},
    )
    return row if failures else _with_numbers(row, group)


def _with_numbers(row: Row, group: Sequence[CaseRecord]) -> Row:
    """The row with the numbers of its seeds, all of which are ok."""
    queries = [record.get("queries") or {} for record in group]
    names = [name for name in queries[0] if all(name in seed for seed in queries)]
    return replace(
        row,
        queries={name: blocks.query([seed[name] for seed in queries]) for name in names},
        power=_power(group),
        worst=_worst([record.get("worst") for record in group], queries),
        worst_service=_worst([record.get("worst_service") for record in group], queries),
        controls=of_all(blocks.controls, (record.get("controls") for record in group)),
        utility=of_all(blocks.utility, (record.get("utility") for record in group)),
        denoising_loss=of_all(blocks.denoising_loss, (record.get("denoising_loss") for record in group)),
        content=of_all(blocks.content, (record.get("content") for record in group)),
        sources=of_all(blocks.sources, (record.get("sources") for record in group)),
        space=_space(group),
        cost=_cost(group),
        pipeline=of_all(blocks.pipeline, (record.get("pipeline") for record in group)),
        reported=summarize_reports([record.get("reported") or SILENT for record in group], names[0]) if names else None,
    )


def _power(group: Sequence[CaseRecord]) -> dict[str, Estimate | None] | None:
    images = of_all(blocks.images_of, (record.get("controls") for record in group))
    return blocks.power([record.get("power") or {} for record in group], images) if images else None


def _space(group: Sequence[CaseRecord]) -> Space | None:
    images = of_all(blocks.held_out_images, (record.get("controls") for record in group))
    return of_all(lambda each: blocks.space(each, images), (record.get("space") for record in group)) if images else None


def _cost(group: Sequence[CaseRecord]) -> Cost | None:
    peaks = [(record.get("provenance") or {}).get("peak_bytes") for record in group]
    return of_all(lambda each: blocks.cost(each, peaks), (record.get("cost") for record in group))


def _worst(each: Sequence[WorstBlock | None], queries: Sequence[Mapping[str, QueryBlock]]) -> Worst | None:
    """None where a seed has none, or was asked other queries: another set of queries is another worst case."""
    present = [block for block in each if block is not None]
    sets = {frozenset(block["chosen"]) for block in present}
    return blocks.worst(present, queries) if len(present) == len(each) and len(sets) == 1 and all(queries) else None


def _attempt(record: CaseRecord) -> Attempt:
    utility, content, queries = record.get("utility"), record.get("content"), record.get("queries") or {}
    worst, service = _worst([record.get("worst")], [queries]), _worst([record.get("worst_service")], [queries])
    return Attempt(
        seed=record.get("seed"),
        status=record["status"],
        reason=reason(record),
        case_id=record["case_id"],
        environment=(record.get("provenance") or {}).get("environment_key", ""),
        memorization=_memorization(next(iter(queries.values()), None)),
        worst=worst.memorization if worst is not None else None,
        worst_service=service.memorization if service is not None else None,
        content_own=_separation(content["own"]) if content else None,
        content_any=_separation(content["any"]) if content else None,
        accuracy=_accuracy(utility) if utility else None,
        frechet=utility["frechet"]["value"] if utility else None,
    )


def _accuracy(utility: UtilityBlock) -> float | None:
    share = utility.get("accuracy")
    return share["count"] / share["of"] if share else None


def _memorization(block: QueryBlock | None) -> Estimate | None:
    """M of one seed by a query."""
    return aggregate.memorization([block["memorization"]], [block["memorization"]["images"]]) if block else None


def _separation(block: ContentScoreBlock | None) -> Estimate | None:
    """The AUROC of one seed by one content score."""
    if block is None:
        return None
    area = block["auroc"]
    return Estimate(area["value"], area["low"], area["high"], chance=EVEN, count=block["images"])


def _is_reference(record: CaseRecord) -> bool:
    """Whether a row is a point of its stage's reference curve; records that do not say take their controls for it."""
    return bool(record.get("reference_curve", record.get("control"))) and record.get("stage") != "none"


def _faults(failures: Sequence[Attempt]) -> str:
    """Each reason once, with its seeds: `seeds 0, 1: no room; seed 2: no captions`; a full stop at the end alone."""
    seeds: dict[str, list[int]] = {}
    for attempt in failures:
        seeds.setdefault(attempt.reason, []).extend([] if attempt.seed is None else [attempt.seed])
    told = [_fault(reason, sorted({*at})) for reason, at in seeds.items()]
    return "; ".join([*(fault.rstrip(".") for fault in told[:-1]), *told[-1:]])


def _fault(reason: str, seeds: Sequence[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}: {reason}" if seeds else reason


def _status(attempts: Sequence[Attempt]) -> str:
    """The one status of all seeds, else `incomplete`."""
    statuses = {attempt.status for attempt in attempts}
    return statuses.pop() if len(statuses) == 1 else "incomplete"


def _stage_of(family: str, records: Iterable[CaseRecord]) -> str:
    """The stage of a family whose own record does not say: that of its other records."""
    return next((str(r["stage"]) for r in records if r["family"] == family and r.get("stage")), "unknown")


def _add_comparisons(rows: Sequence[Row]) -> list[Row]:
    """Each row with what its neighbours say: seeds that it lacks, its relative cost, how its yardsticks differ."""
    seeds: dict[tuple[str, str], set[int]] = {}
    baselines: dict[tuple[str, str], Row] = {}
    for row in rows:
        seeds.setdefault(_ground(row), set()).update(row.seeds)
        if row.baseline and row.ok:
            baselines.setdefault(_ground(row), row)
    return [
        replace(
            row,
            seeds_missing=tuple(sorted(seeds[_ground(row)] - set(row.seeds))) if row.seeds else (),
            cost=_relative(row.cost, baselines.get(_ground(row))),
            disagreement=told(row, baselines.get(_ground(row))),
        )
        for row in rows
    ]


def _ground(row: Row) -> tuple[str, str]:
    """Rows that compare have the same testbed and solver."""
    return row.testbed, str(row.solver)


def _relative(cost: Cost | None, baseline: Row | None) -> Cost | None:
    if cost is None or baseline is None or baseline.cost is None:
        return cost
    training, sampling = baseline.cost.training.evaluations, baseline.cost.sampling.per_image
    return replace(
        cost,
        relative=(cost.training.evaluations + cost.editing.evaluations) / training if training else None,
        sampling_relative=cost.sampling.per_image / sampling if sampling and cost.sampling.per_image is not None else None,
    )


def _sort(rows: Sequence[Row]) -> list[Row]:
    """By testbed and solver in order of appearance, then baseline, stage, family, and setting as it was planned."""
    grounds = list(dict.fromkeys(_ground(row) for row in sorted(rows, key=lambda row: not row.solver)))
    families: dict[tuple[int, tuple[int, ...], str], list[Row]] = {}
    for row in rows:
        alike = (ground == _ground(row) or (not row.solver and ground[0] == row.testbed) for ground in grounds)
        index = list(alike).index(True)
        families.setdefault((index, _stage_rank(row.stage), row.family), []).append(row)
    return [row for key in sorted(families) for row in sorted(families[key], key=lambda row: row.order)]


def _stage_rank(stage: str) -> tuple[int, ...]:
    return tuple(STAGES.index(part) if part in STAGES else len(STAGES) for part in stage.split("+"))
