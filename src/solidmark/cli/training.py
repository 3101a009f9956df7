"""`solidmark train`: the unmitigated models of a testbed into the store, each shared by as many GPUs as were launched."""

from __future__ import annotations

import argparse
from functools import partial


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Train the unmitigated model of a testbed and of each seed into the store, where `pytest benchmark/` finds it. "
        "Start it with `accelerate launch --num_processes N -m solidmark train my.toml`; each process works on some of "
        "the `accumulate` parts of a batch."
    )
    parser.add_argument("testbed", metavar="TESTBED", help="its name, or its settings FILE.toml")
    parser.add_argument("--seeds", default="0", metavar="LIST", help="seeds, as 0,1,2 or 0-7 (default: 0)")
    parser.set_defaults(command=_train)


def _train(options: argparse.Namespace) -> int:
    from .. import plugins
    from ..errors import InvalidValue
    from ..measurement import weights
    from ..measurement.case import Case, Workspace
    from ..mitigation.composition import Composition
    from ..mitigation.crew import Crew
    from ..runner.devices import torch_device
    from ..runner.options import parse_seeds
    from ..store import Store, default_root

    name, testbed = plugins.testbed(options.testbed)
    testbed.check_rows(1, forgetting=False)
    crew = Crew(cpu=torch_device() == "cpu")
    workspace = Workspace(Store(default_root()), str(crew.device), crew=crew if crew.size > 1 else None)
    if testbed.recipe.accumulate % crew.size:
        found = f"{crew.size} processes and batches of {testbed.recipe.accumulate} parts"
        cure = f"Set `accumulate` in its settings to a multiple of {crew.size}."
        raise InvalidValue(f"solidmark train {name}", found, "as many parts for each process", cure)
    for seed in parse_seeds(options.seeds):
        case = Case(name, testbed, Composition(), seed, ())
        there = weights.is_trained(case, workspace)
        if crew.leads:
            crew.lead(partial(weights.train_or_load, case, workspace))
            print(f"solidmark: the model of {name}, seed {seed}, {'is in the store' if there else 'was trained'}")
        else:
            crew.follow(partial(weights.help_to_train, case, workspace))
    return 0
