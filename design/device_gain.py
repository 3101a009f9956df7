"""Whether a testbed gains from a GPU: milliseconds a training step on one core and on a GPU.

python design/device_gain.py digits latent-digits latent-emoji
"""

import sys
import time
from dataclasses import replace

import torch

from solidmark import plugins, training
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.weights import train_space_or_load
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.run import TrainingSet
from solidmark.store import Store, default_root

STEPS = (10, 60)
"""The difference in time between two trainings of so many steps has no beginning and no end in it."""


def milliseconds(name: str, device: str) -> float:
    """A step of the unmitigated training."""
    testbed = plugins.testbed(name)[1]
    split = testbed.split(0)
    case = Case(name, testbed, Composition(), 0, (), testbed.solvers["fast"])
    space = train_space_or_load(case, Workspace(Store(default_root()), device))
    took = []
    for steps in STEPS:
        recipe = replace(testbed.recipe, train_steps=steps)
        began = time.perf_counter()
        training.train(
            recipe,
            TrainingSet(split.training, split.training_keys, split.mark),
            Composition(),
            0,
            device=device,
            space=space,
        )
        torch.cuda.synchronize() if device == "cuda" else None
        took.append(time.perf_counter() - began)
    return 1000 * (took[1] - took[0]) / (STEPS[1] - STEPS[0])


def main() -> None:
    """A line for each testbed."""
    torch.set_num_threads(1)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for name in sys.argv[1:]:
        milliseconds(name, "cpu")  # imports, and the autoencoder
        print(name, {device: round(milliseconds(name, device), 1) for device in devices}, flush=True)


if __name__ == "__main__":
    main()
