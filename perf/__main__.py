"""One table of what the suite costs, each line beside its goal.

    python -m perf                       # about ten minutes on one idle core
    python -m perf --only query row      # some lines
    python -m perf --profile             # the quick profile as well, cold and warm, on two workers: a quarter of an hour
    python -m perf --run runs/latest     # how well the workers of a run that is there were used

Ratios are within one run, medians of five, because machines differ and are shared; the number of denoiser evaluations stands
beside what it explains. Exit code 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from tabulate import tabulate

from .line import Line
from .queries import denoiser, query
from .rows import row
from .runs import makespan, profile, report

LINES: dict[str, Callable[[], list[Line]]] = {"query": query, "denoiser": denoiser, "row": row, "report": report}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m perf", description="What the suite costs, beside its goals.")
    parser.add_argument("--only", nargs="+", choices=LINES, default=list(LINES), help="these lines alone")
    parser.add_argument("--profile", action="store_true", help="also run the quick profile, cold and warm")
    parser.add_argument("--run", type=Path, help="a run's folder: how well its workers were used, and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.run is not None:
        lines = makespan(options.run)
    else:
        lines = [line for name in options.only for line in LINES[name]()]
        lines += profile() if options.profile else []
    rows = [(line.what, line.shown, line.goal_shown, line.remark) for line in lines]
    print(tabulate(rows, headers=("what", "measured", "goal", "remark"), tablefmt="github", disable_numparse=True))
    return int(any(not line.is_met for line in lines))


if __name__ == "__main__":
    sys.exit(main())
