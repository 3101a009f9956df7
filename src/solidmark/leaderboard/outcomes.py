"""Outcomes: what became of each experiment, its finding or why there is none. Pure and free of torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from ..findings import Finding, Series, Verdict
from ..metrics.scores import Estimate
from ..records import Record, latest
from .incidents import reason


@dataclass(frozen=True)
class Outcome:
    """One experiment: its finding, or none and a `reason`. `place` is where it stands among the others."""

    suite: str
    title: str
    case_id: str
    slug: str
    place: int
    status: str
    reason: str
    finding: Finding | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields of the finding, null where there is none, and what tells it from others."""
        empty = dict.fromkeys(field.name for field in fields(Finding))
        known = self.finding.as_record() if self.finding else {**empty, "title": self.title, "suite": self.suite}
        why = self.finding.reason if self.finding else self.reason
        return {
            **known,
            "case_id": self.case_id,
            "slug": self.slug,
            "place": self.place,
            "status": self.status,
            "reason": why,
        }


def outcomes(records: Iterable[Record]) -> list[Outcome]:
    """The latest of each experiment among records of findings, suite by suite in order of place."""
    found = sorted((_outcome(record) for record in latest(records)), key=lambda one: (one.place, one.slug, one.case_id))
    suites = list(dict.fromkeys(one.suite for one in found))
    return sorted(found, key=lambda one: suites.index(one.suite))


def _outcome(record: Record) -> Outcome:
    """One that broke before it had a suite is of the suite that its slug begins with, `suite-name`."""
    finding = _finding(record) if record["status"] == "ok" else None
    slug = str(record["slug"])
    return Outcome(
        suite=record.get("suite") or slug.partition("-")[0],
        title=record.get("title") or slug,
        case_id=record["case_id"],
        slug=slug,
        place=int(record.get("place") or 0),
        status=record["status"],
        reason=reason(record),
        finding=finding,
    )


def _finding(record: Record) -> Finding:
    """What `Finding.as_record` wrote."""
    values = {field.name: record[field.name] for field in fields(Finding) if field.name in record}
    return Finding(
        **{
            **values,
            "verdict": Verdict(record["verdict"]),
            "estimate": Estimate(**record["estimate"]),
            "seeds": tuple(record["seeds"]),
            "series": tuple(_series(block) for block in record["series"]),
        }
    )


def _series(block: dict[str, Any]) -> Series:
    label = block["label"]
    x, y, low, high = (tuple(block[name]) for name in ("x", "y", "low", "high"))
    return Series(label, x, y, low, high)
