"""Judge claims by the records of runs, without asking a model:

    python -m solidmark.benchmark.claims results --into build/claims
    solidmark report results build/claims --into build/results

Keys are read from records under the source's own steps and guidance (`--solver published`), else under the claim's own
solver, else under another one that has all its rows. A claim whose rows the records lack is left out, and counted at the
end.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from solidmark.errors import NotApplicable
from solidmark.findings import Finding, Verdict
from solidmark.records import BENCHMARK_VERSION, Writer, read
from solidmark.schema.record import CaseRecord

from . import StatedClaim, find_claims
from .measuring import Recorded


def judge(runs: Sequence[Path], into: Path) -> tuple[list[Finding], list[str]]:
    """Write a finding a claim into a run folder of their own: all of them, and why others are left out.

    A finding is as old as the latest record of the runs, so that the same records give the same lines whenever they are
    judged.
    """
    every = [one for run in runs for one in read(run).records]
    records: list[CaseRecord] = [one for one in every if one["event"] == "case"]
    latest = max((str(one.get("t", "")) for one in every), default="")
    recorded, findings, missing = Recorded.by_solver(records), list[Finding](), list[str]()
    shutil.rmtree(into / "records", ignore_errors=True)
    writer = Writer(into)
    for order, stated in enumerate(find_claims()):
        try:
            finding = judge_one(stated, recorded)
        except NotApplicable as reason:
            missing.append(f"{stated.name}: {reason}")
            continue
        digest = hashlib.sha256(repr((stated.name, [path.name for path in runs])).encode()).hexdigest()[:16]
        identity = {"event": "finding", "case_id": f"finding-{digest}", "slug": f"claims-{stated.name}", "order": order}
        empty = {"t": latest, "mitigation": "", "family": "", "benchmark_version": BENCHMARK_VERSION}
        writer.write({**finding.as_record(), **identity, **empty, "status": "ok"})
        findings.append(finding)
    return findings, missing


def judge_one(stated: StatedClaim, recorded: Sequence[Recorded]) -> Finding:
    """By the keys of the solver that is nearest to the source's and has the rows. Raises NotApplicable where none has."""
    reasons = [NotApplicable("records", "none of a sound case", "the cases of a run", "Name the folder of a run.")]
    for one in sorted(recorded, key=lambda one: one.distance(stated.claim.origin)):
        try:
            return stated.judge(one)
        except NotApplicable as reason:
            reasons.append(reason)
    raise reasons[min(1, len(reasons) - 1)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, judge, and say what was left out."""
    parser = argparse.ArgumentParser(prog="solidmark.benchmark.claims", description="Judge claims by the records of runs.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--into", required=True, type=Path, help="folder of the findings")
    given = parser.parse_args(arguments)
    findings, missing = judge(given.runs, given.into)
    print(*counts(findings), sep="\n")
    print(f"{len(findings)} claims are judged, {len(missing)} are left out, whose rows these records lack:")
    print(*missing, sep="\n")


def counts(findings: Sequence[Finding]) -> list[str]:
    """A line a testbed: how many claims have each verdict there."""
    every = Counter((finding.where, finding.verdict) for finding in findings)
    words = {Verdict.HOLDS: "supported", Verdict.FAILS: "refuted"}
    return [
        f"{where}: " + ", ".join(f"{every[where, one]} {words.get(one, one.value)}" for one in Verdict if every[where, one])
        for where in dict.fromkeys(finding.where for finding in findings)
    ]


if __name__ == "__main__":
    main()
