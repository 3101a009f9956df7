"""Outcomes: what became of each experiment, its finding or why there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from ..findings import Finding, Series, Step, Verdict, replicated
from ..records import latest
from ..schema.numbers import Estimate
from ..schema.record import FindingRecord, SeriesBlock
from .incidents import reason

CLAIMS = "claims"
"""The suite of published claims, whose verdicts need three steps."""


@dataclass(frozen=True)
class Outcome:
    """One experiment: its finding, or none and a `reason`. `order` is its place among the others."""

    suite: str
    title: str
    case_id: str
    slug: str
    order: int
    status: str
    reason: str
    finding: Finding | None = None

    def to_json(self) -> dict[str, object]:
        """The fields of the finding, null where there is none, and what identifies the experiment."""
        empty = dict.fromkeys(field.name for field in fields(Finding))
        values = self.finding.as_record() if self.finding else {**empty, "title": self.title, "suite": self.suite}
        return {
            **values,
            "case_id": self.case_id,
            "slug": self.slug,
            "order": self.order,
            "status": self.status,
            "reason": self.finding.reason if self.finding else self.reason,
        }


def outcomes(records: Iterable[FindingRecord]) -> list[Outcome]:
    """The latest of each experiment among records of findings, suite by suite in their order."""
    each = [_outcome(record) for record in latest(records) if record["event"] == "finding"]
    ordered = sorted(each, key=lambda outcome: (outcome.order, outcome.slug, outcome.case_id))
    suites = list(dict.fromkeys(outcome.suite for outcome in ordered))
    return sorted(ordered, key=lambda outcome: suites.index(outcome.suite))


def _outcome(record: FindingRecord) -> Outcome:
    """One that broke before it had a suite is of the suite that its slug begins with, `suite-name`."""
    slug = str(record["slug"])
    return Outcome(
        suite=record.get("suite") or slug.partition("-")[0],
        title=record.get("title") or slug,
        case_id=record["case_id"],
        slug=slug,
        order=int(record.get("order") or 0),
        status=record["status"],
        reason=reason(record),
        finding=_finding(record) if record["status"] == "ok" else None,
    )


def _finding(record: FindingRecord) -> Finding:
    """What `Finding.as_record` wrote."""
    return Finding(
        suite=record["suite"],
        name=record["name"],
        title=record["title"],
        rule=record["rule"],
        verdict=_verdict(record),
        reason=record["reason"],
        statistic=record["statistic"],
        estimate=Estimate(**record["estimate"]),
        seeds=tuple(record["seeds"]),
        series=tuple(_series(block) for block in record["series"]),
        x_title=record["x_title"],
        y_title=record["y_title"],
        chance=record.get("chance", 0.0),
        source=record.get("source", ""),
        details=record.get("details", {}),
        where=record.get("where", ""),
        steps=tuple(Step(**step) for step in record.get("steps", [])),
        testbed=record.get("testbed") or _read_on(record),
    )


def _read_on(record: FindingRecord) -> str:
    """The testbed of a claim, which older records name in their reason alone: `on latent-digits, M: ...`."""
    found = re.match("on (.+?), M: ", record["reason"]) if record["suite"] == CLAIMS else None
    return found[1] if found else ""


def _verdict(record: FindingRecord) -> Verdict:
    """As it was written; what an older record says of a claim by keys alone refutes nothing."""
    verdict = Verdict(record["verdict"])
    return replicated(verdict, None, None) if record["suite"] == CLAIMS and "steps" not in record else verdict


def _series(block: SeriesBlock) -> Series:
    x, y, low, high = tuple(block["x"]), tuple(block["y"]), tuple(block["low"]), tuple(block["high"])
    return Series(block["label"], x, y, low, high)
