"""The baseline of latent testbeds, seed by seed: what it remembers, what its controls say, and what making it costs.

    python design/latent_table.py latent-digits 0-2          # a line a seed, in Markdown
    python design/latent_table.py latent-digits 0 fast paper # under several solvers
    python design/latent_table.py latent-digits-quick 0 renewal # M of a row of each kind, for both ways to encode anew
    python design/latent_table.py latent-digits 0 "renewal siss gni(scale=0.5)"  # of these rows alone

Seconds are processor seconds of one core: the autoencoder (0 where it comes with the testbed), the base, the training, and
one query of all images. Models are trained anew, in a folder that is removed at the end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from solidmark import plugins
from solidmark.measurement import answers, floor, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import scoring
from solidmark.mitigation.composition import Composition
from solidmark.queries.outpaint import Outpaint
from solidmark.store import Store

HEAD = "| testbed | seed | solver | M | certified | held out | cert. | key error | ceiling | power | s making | s query |"


def line(testbed: str, seed: int, solver: str, store: Store) -> str:
    """One seed of one testbed, as a line of the table."""
    made = plugins.testbed(testbed)[1]
    case = Case(testbed, made, Composition(), seed, (("outpaint", Outpaint()),), made.solvers[solver])
    workspace, clock = Workspace(store), time.process_time()
    weights.train_space_or_load(case, workspace)
    space, clock = time.process_time() - clock, time.process_time()
    model, _ = weights.train_or_load(case, workspace)
    training, clock = time.process_time() - clock, time.process_time()
    found = answers.ask_query(case, "outpaint", model, workspace)
    asking, truth = time.process_time() - clock, case.truth
    keys, held_out = truth.trained_keys.double().numpy(), truth.held_out_keys.double().numpy()
    scores = scoring.query(found.trained, keys, found.held_out, held_out, seed, 0.0)
    negative, block = scoring.negative(found.held_out, held_out), floor.measure_floor(case, truth, workspace)
    power = answers.measure_power(case, workspace)["outpaint"].estimate
    lost = "– | –" if block is None else f"{block['key_error']:.4f} | {block['ceiling']['value']:.3f}"
    m, other = scores["memorization"], negative["memorization"]
    return (
        f"| {testbed} | {seed} | {solver} | {m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}] "
        f"| {scores['certified']['count']} of {scores['certified']['of']} "
        f"| {other['value']:.3f} [{other['low']:.3f}, {other['high']:.3f}] "
        f"| {negative['certified']['count']} of {negative['certified']['of']} | {lost} "
        f"| {'–' if power is None else f'{power.value:.3f}'} | {space:.0f} + {training:.0f} | {asking:.0f} |"
    )


KINDS = (
    "none",
    "gni",
    "guard",
    "norm-clamp(width=0.0)",
    "amg",
    "weight-noise",
    "siss",
    "early-stopping(share=0.4)",
)
"""A row of each kind: nothing, embeddings, prediction, sample, gradients through the sample, weights at random, an edit of
16 images that are to be forgotten, a training."""


def renewal(testbed: str, seed: int, store: Store, rows: Sequence[str] = KINDS) -> None:
    """Print M and certified images where observed latents alone are encoded anew, and where all are, as published."""
    made = plugins.testbed(testbed)[1]
    for mitigation in rows:
        told = []
        for solver in (made.solvers["fast"], replace(made.solvers["fast"], renew_all=True)):
            case = Case(testbed, made, plugins.compose(mitigation), seed, (("outpaint", Outpaint()),), solver)
            workspace, truth = Workspace(store), case.truth
            model, _ = weights.edit_or_load(case, workspace)
            found = answers.ask_query(case, "outpaint", model, workspace)
            keys, held_out = truth.trained_keys.double().numpy(), truth.held_out_keys.double().numpy()
            target = case.groups["target"]
            scores = scoring.query(found.trained[target], keys[target], found.held_out, held_out, seed, 0.0)
            told.append(f"{scores['memorization']['value']:.3f} ({scores['certified']['count']} of {len(target)})")
        print(f"| {mitigation} | {' | '.join(told)} |", flush=True)


def main(testbed: str, seeds: str, *solvers: str) -> None:
    """Print the table. `seeds` are `0` or `0-2`."""
    torch.set_num_threads(1)
    first, _, last = seeds.partition("-")
    print(HEAD, "|" + " --- |" * (HEAD.count("|") - 1), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(int(first), int(last or first) + 1):
            for solver in solvers or ("fast",):
                if solver.startswith("renewal"):
                    renewal(testbed, seed, Store(Path(folder)), solver.split()[1:] or KINDS)
                else:
                    print(line(testbed, seed, solver, Store(Path(folder))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
