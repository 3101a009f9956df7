"""What the quick profile computes, by the records of a run's first seed, in trainings of its unmitigated model.

    python design/quick_cost.py results/quick

Seconds are those that the records have of trainings, edits, queries and generations, each model once; all are of one run on
one machine, so that their ratio to a training hardly depends on it. What no record has (starting, loading, scoring) is left
out. `now` is without the families that the quick profile leaves out today, and without the company of a known mark where
nothing acts at sampling.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from tabulate import tabulate

from solidmark import records
from solidmark.runner.options import Options
from solidmark.runner.plan import every

KNOWN_MARK = "fresh captions, blank mark known"


def main() -> None:
    """Print the table."""
    read = records.latest(records.read(Path(sys.argv[1])).records)
    cases: list[dict[str, Any]] = [dict(one) for one in read if one["event"] == "case" and one["status"] == "ok"]
    first = min((one for one in cases if one["family"] == "none"), key=lambda one: int(one["seed"]))
    cases = [one for one in cases if beside(one) == beside(first)]
    once = first["cost"]["training"]["seconds"]
    gone = {planned.family for planned in every(Options()) if planned.left_out}
    before, now = parts(cases, alone=False), parts([one for one in cases if one["family"] not in gone], alone=True)
    lines = [(name, before[name] / once, now[name] / once) for name in before]
    lines.append(("all", sum(before.values()) / once, sum(now.values()) / once))
    print(f"{len(cases)} rows, {len(cases) - sum(one['family'] in gone for one in cases)} now; a training is {once:.1f} s\n")
    print(tabulate(lines, headers=("part", "before", "now"), tablefmt="github", floatfmt=".1f"))


def beside(case: dict[str, Any]) -> tuple[int, str]:
    """What rows share whose seconds are compared: the seed, and where they were measured."""
    return case["seed"], case["provenance"]["environment_key"]


def parts(cases: list[dict[str, Any]], *, alone: bool) -> dict[str, float]:
    """Seconds by part. `alone`: a known mark is asked without company where nothing acts at sampling."""
    found: dict[str, float] = defaultdict(float)
    for case in cases:
        cost, acts = case["cost"], "sampling" in case["stage"]
        trains = "training" in case["stage"] or case["family"] == "none"
        found["trainings"] += cost["training"]["seconds"] if trains else 0.0
        found["edits"] += cost["editing"]["seconds"]
        found["queries"] += sum(query["evaluations"]["seconds"] for query in case["queries"].values())
        found["plain generation of fresh captions"] += cost["sampling"]["seconds"]
        known, asked = case["utility"]["ways"][KNOWN_MARK]["evaluations"], case["queries"]["outpaint"]["evaluations"]
        share = 1.0 if alone and not acts else known["images"] / asked["images"]
        found["known mark"] += known["seconds"] / share
        found["exchanged classes"] += (case["sources"].get("evaluations") or {}).get("seconds", 0.0)
    return dict(found)


if __name__ == "__main__":
    main()
