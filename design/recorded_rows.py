"""Rows of `faithful.md` from the records of runs: M by the first query, content, and what the parts did, means over seeds.

python design/recorded_rows.py rna cwr salun -- results/quick results/latent-digits-quick
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solidmark.records import read
from solidmark.schema.record import CaseRecord

MEASURED = ("M", "content")
"""What the suite measures; all else is what parts say of themselves."""

Rows = dict[str, dict[str, list[CaseRecord]]]
"""By mitigation, by testbed: a record a seed."""


def gathered(runs: Sequence[str], families: Sequence[str]) -> Rows:
    """The sound records of these families, and of the baseline: of each row, testbed and seed the last one."""
    last: dict[tuple[str, str, int], CaseRecord] = {}
    found = [record for run in runs for record in read(Path(run)).records]
    for record in sorted(found, key=lambda record: str(record.get("t", ""))):
        if record["event"] == "case" and record["status"] == "ok" and record["family"] in ("none", *families):
            last[record["mitigation"], record["testbed"], record["seed"]] = record
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for (mitigation, testbed, _), record in last.items():
        rows[mitigation][testbed].append(record)
    return rows


def told(records: Sequence[CaseRecord]) -> Iterator[tuple[str, float]]:
    """Name and mean of each number that all seeds have."""
    seeds = [dict(_numbers(record)) for record in records]
    for name in seeds[0]:
        if all(name in seed for seed in seeds):
            yield name, float(np.mean([seed[name] for seed in seeds]))


def _numbers(record: CaseRecord) -> Iterator[tuple[str, float]]:
    leading, queries = next(iter(record["queries"] or {})), record["queries"] or {}
    yield MEASURED[0], queries[leading]["memorization"]["value"]
    content, reported = record.get("content"), record.get("reported")
    if content is not None and content["own"] is not None:
        yield MEASURED[1], content["own"]["auroc"]["value"]
    if reported is not None:
        doses = (reported["sampling"].get("doses") or {}).get(leading, {})
        parts = [part for stage in (reported["training"], reported["editing"], doses) for part in stage.values()]
        numbers = ((name, value) for part in parts for name, value in part.items() if type(value) in (int, float))
        yield from ((name, float(value)) for name, value in numbers if value is not None)


def table(rows: Rows) -> Iterator[str]:
    """A line of Markdown a row."""
    testbeds = list(dict.fromkeys(testbed for one in rows.values() for testbed in one))
    yield f"| row | {' | '.join(testbeds)} |"
    yield "|---" * (1 + len(testbeds)) + "|"
    for row, found in rows.items():
        cells = [_cell(found[testbed]) if testbed in found else "–" for testbed in testbeds]
        yield f"| `{row}` | {' | '.join(cells)} |"


def _cell(records: Sequence[CaseRecord]) -> str:
    seeds = ", ".join(str(record["seed"]) for record in sorted(records, key=lambda record: record["seed"]))
    shown = (f"{name} {value:.2f}" if name in MEASURED else f"{name} {value:.3g}" for name, value in told(records))
    return ", ".join(shown) + f" (seeds {seeds})"


if __name__ == "__main__":
    asked, _, given = " ".join(sys.argv[1:]).partition(" -- ")
    print(*table(gathered(given.split(), asked.split())), sep="\n")
