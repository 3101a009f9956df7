"""The table of short_solver.md: M of the same models and rows under solvers of fewer steps.

    python design/short_solver.py TESTBED SEEDS SOLVER ... -- ROW ...
    python design/short_solver.py digits-quick 0,1 fast 15 12 10 -- none rna
    python design/short_solver.py latent-digits-quick 0,1 fast 12:4 12:3 -- none   # encoded anew after 4, after 3

A solver is one of the testbed's, or so many steps of its `fast`. A line is a seed and a row; behind M stand the evaluations
of the denoiser an image. Models come from the store.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import torch

from solidmark import plugins
from solidmark.measurement import answers
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.weights import edit_or_load
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import SolverConfig
from solidmark.store import Store, default_root
from solidmark.testbed import Testbed


def solver(testbed: Testbed, name: str) -> SolverConfig:
    """One of the testbed's, or so many steps of `fast`, such as 12 or 12:3."""
    if name in testbed.solvers:
        return testbed.solvers[name]
    steps, _, reencode = name.partition(":")
    fast = testbed.solvers["fast"]
    return replace(fast, steps=int(steps), reencode=int(reencode or fast.reencode))


def cell(testbed: str, seed: int, row: str, name: str) -> str:
    """M of a row with its interval, and evaluations an image."""
    made = plugins.testbed(testbed)[1]
    composition = Composition() if row == "none" else plugins.compose(row)
    case = Case(testbed, made, composition, seed, (("outpaint", Outpaint()),), solver(made, name))
    workspace = Workspace(Store(default_root()))
    found = answers.ask_query(case, case.leading, edit_or_load(case, workspace)[0], workspace)
    score = scores.memorization(found.trained, case.truth.trained_keys.double().numpy())
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}], {case.solver.evaluations}"


def main(arguments: Sequence[str]) -> None:
    """Print the table of a testbed."""
    torch.set_num_threads(1)
    given, rows = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    testbed, seeds, *names = given
    print(f"| testbed | seed | row | {' | '.join(names)} |\n|{'---|' * (3 + len(names))}")
    for seed in map(int, seeds.split(",")):
        for row in rows:
            cells = " | ".join(cell(testbed, seed, row, name) for name in names)
            print(f"| {testbed} | {seed} | `{row}` | {cells} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
