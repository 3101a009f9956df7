"""Incidents: what went wrong in a run, and what became of the case afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..schema.record import Record
from ..schema.row import WEAK_BASELINE

NOT_BELIEVED = "NO ROW IS BELIEVED"
"""How a note begins that concerns a whole testbed."""


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


def incidents(records: Sequence[Record]) -> list[Incident]:
    """All crashes, and every case whose last status is not ok, in order of time."""
    last: dict[str, str] = {record["slug"]: record["status"] for record in records if record["event"] != "crash"}
    finished = {record["slug"] for record in records if record["status"] == "ok"}
    wrong = [r for r in records if r["event"] == "crash" or r["slug"] not in finished]
    ordered = sorted(wrong, key=lambda record: str(record.get("t", "")))
    return list(dict.fromkeys(_incident(record, last) for record in ordered))


def _incident(record: Record, last: Mapping[str, str]) -> Incident:
    return Incident(
        slug=record["slug"],
        testbed=record.get("testbed") or "",
        mitigation=record.get("mitigation") or "",
        status=record["status"],
        reason=reason(record),
        worker=str(record.get("worker", "")),
        attempt=record.get("attempt"),
        afterwards=_afterwards(record, last),
    )


def reason(record: Record) -> str:
    """Why a record is not ok; empty where it is."""
    if record["status"] == "ok":
        return ""
    controls = record.get("controls") if record["event"] == "case" else None
    faults = controls["faults"] if controls else []
    return record.get("reason") or "; ".join(faults) or "no reason was recorded"


def weak_baselines(records: Sequence[Record]) -> list[str]:
    """Notes on testbeds whose unmitigated model does not remember, so that none of their rows is believed."""
    each = (record.get("controls") for record in records if record["event"] == "case")
    faults = [fault for controls in each if controls for fault in controls["faults"] if fault.startswith(WEAK_BASELINE)]
    return [f"{NOT_BELIEVED}: {fault}" for fault in dict.fromkeys(faults)]


def _afterwards(record: Record, last: Mapping[str, str]) -> str:
    if record["event"] == "crash":
        status = last.get(record["slug"])
        return f"tried again: {status}" if status else "not measured"
    return "the finding has no numbers" if record["event"] == "finding" else "the row has no numbers"
