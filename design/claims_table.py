"""The table of `claims.md`: each judged claim with its three steps, those that can be refuted or supported first.

python -m solidmark.benchmark.claims RUN... --into build/claims && python design/claims_table.py build/claims
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from solidmark.records import read

ORDER = {"holds": "supported", "fails": "refuted", "undecided": "undecided", "not seen here": "not seen here"}
"""Verdicts in the order of the table, in the words of claims."""

SEEN = {True: "yes", False: "no", None: "–"}


def table(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line of Markdown a claim."""
    yield "| claim | verdict | reach | replication | rule | keys and content |"
    yield "|---|---|---|---|---|---|"
    verdicts = [*ORDER, "not testable here"]
    for found in sorted(findings, key=lambda one: verdicts.index(one["verdict"])):
        *before, last = ((SEEN[step["seen"]], step["found"]) for step in found["steps"])
        steps = [f"{seen}: {told}".removesuffix(": ") for seen, told in before]
        told = last[1].removeprefix(found["statistic"]).strip()
        verdict = f"{ORDER.get(found['verdict'], found['verdict'])} ({found['where']})"
        yield f"| `{found['name']}`: {found['title']} | {verdict} | {' | '.join(steps)} | {found['rule']} | {told} |"


if __name__ == "__main__":
    print(*table([record for run in sys.argv[1:] for record in read(Path(run)).records]), sep="\n")
