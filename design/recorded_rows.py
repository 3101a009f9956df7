"""Rows of notes from the records of runs: M by the first query, content, and what parts did.

python design/recorded_rows.py rna cwr salun -- results/quick results/latent-digits-quick
python design/recorded_rows.py --each --solver published prss -- results/claims

Means over seeds; with `--each` the number of every seed, in their order, and content of any caption and the pictures that
are read as the digit that was asked for (`right`) as well. `--solver` keeps rows under one solver. What parts did is counted
over all queries, of trained and of held-out images.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solidmark.records import read
from solidmark.schema.record import CaseRecord

MEASURED = {"M": ".2f", "content": ".2f", "any": ".2f", "right": ".0f"}
"""What the suite measures, and how it is shown; all else is what parts say of themselves."""
OF_EACH = ("any", "right")
"""What is told of single seeds only."""

Rows = dict[str, dict[str, list[CaseRecord]]]
"""By mitigation, by testbed: a record a seed."""


def gathered(runs: Sequence[str], families: Sequence[str], solver: str | None = None) -> Rows:
    """The sound records of these families, and of the baseline: of each row, testbed and seed the last one.

    `solver` keeps those under one of that name.
    """
    last: dict[tuple[str, str, int], CaseRecord] = {}
    found = [record for run in runs for record in read(Path(run)).records]
    for record in sorted(found, key=lambda record: str(record.get("t", ""))):
        wanted = record["event"] == "case" and record["status"] == "ok" and record["family"] in ("none", *families)
        if wanted and solver in (None, (record["solver"] or {}).get("name")):
            last[record["mitigation"], record["testbed"], record["seed"]] = record
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for (mitigation, testbed, _), record in last.items():
        rows[mitigation][testbed].append(record)
    return rows


def told(records: Sequence[CaseRecord]) -> Iterator[tuple[str, list[float]]]:
    """Name and values of each number that all seeds have."""
    seeds = [dict(_numbers(record)) for record in records]
    for name in seeds[0]:
        if all(name in seed for seed in seeds):
            yield name, [seed[name] for seed in seeds]


def _numbers(record: CaseRecord) -> Iterator[tuple[str, float]]:
    leading, queries = next(iter(record["queries"] or {})), record["queries"] or {}
    yield "M", queries[leading]["memorization"]["value"]
    content, reported = record.get("content"), record.get("reported")
    if content is not None and content["own"] is not None:
        yield "content", content["own"]["auroc"]["value"]
    if content is not None and content["any"] is not None:
        yield "any", content["any"]["auroc"]["value"]
    accuracy = (record.get("utility") or {}).get("accuracy")
    if accuracy is not None and accuracy["count"] is not None:
        yield "right", accuracy["count"]
    if reported is not None:
        doses = (reported["sampling"].get("doses") or {}).get(leading, {})
        parts = [part for stage in (reported["training"], reported["editing"], doses) for part in stage.values()]
        numbers = ((name, value) for part in parts for name, value in part.items() if type(value) in (int, float))
        yield from ((name, float(value)) for name, value in numbers if value is not None)


def table(rows: Rows, *, each: bool = False) -> Iterator[str]:
    """A line of Markdown a row: means over seeds, or the number of each."""
    testbeds = list(dict.fromkeys(testbed for one in rows.values() for testbed in one))
    yield f"| row | {' | '.join(testbeds)} |"
    yield "|---" * (1 + len(testbeds)) + "|"
    for row, found in rows.items():
        cells = [_cell(found[testbed], each) if testbed in found else "–" for testbed in testbeds]
        yield f"| `{row}` | {' | '.join(cells)} |"


def _cell(records: Sequence[CaseRecord], each: bool) -> str:
    ordered = sorted(records, key=lambda record: record["seed"])
    shown = [
        _shown(name, values if each else [np.mean(values)]) for name, values in told(ordered) if each or name not in OF_EACH
    ]
    return ", ".join(shown) + f" (seeds {', '.join(str(record['seed']) for record in ordered)})"


def _shown(name: str, values: Sequence[float]) -> str:
    return " ".join([name, *(f"{value:{MEASURED.get(name, '.3g')}}" for value in values)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="+", help="families, then -- and the folders of runs")
    parser.add_argument("--each", action="store_true", help="the number of every seed in place of means")
    parser.add_argument("--solver", help="only rows under this solver")
    split = sys.argv.index("--") if "--" in sys.argv else parser.error("expected families, then -- and the folders of runs")
    given = parser.parse_args(sys.argv[1:split])
    rows = gathered(sys.argv[split + 1 :], given.families, given.solver)
    if absent := set(given.families) - {row.partition("(")[0] for row in rows}:
        parser.error(f"found no row of {', '.join(sorted(absent))} there; expected families as their rows begin")
    print(*table(rows, each=given.each), sep="\n")
