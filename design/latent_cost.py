"""What making a latent testbed costs, as a multiple of a training of `digits` on the same core in the same minutes.

    python design/latent_cost.py      # a line a part, then one a testbed, in Markdown; two minutes of a core

The last column of a testbed's line is by the medians of its parts, which hardly see other work on the machine.
Processor seconds of one thread. A part is made with few updates and with more: the difference is what updates take, the
rest what each making takes besides, such as building the network and encoding images. All parts are timed in turn, round
by round, so that other work on the machine falls on all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor

from solidmark import marks, plugins, seeds
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.run import TrainingSet
from solidmark.models import Autoencoder, Recipe
from solidmark.models.autoencoder import train_autoencoder
from solidmark.models.parts import build_parts
from solidmark.testbed import Testbed
from solidmark.training import train

FEW, MORE, ROUNDS = 10, 60, 3
UNIT, TESTBEDS = "digits", ("latent-digits", "latent-digits-finetune", "latent-emoji")


@dataclass(frozen=True)
class Part:
    """Something that is trained: `prepare` works once, `make` does a number of updates, of which it really has `updates`."""

    prepare: Callable[[], object]
    make: Callable[[int], object]
    updates: int

    def seconds(self) -> float:
        """Processor seconds of the whole."""
        once = _timed(self.prepare)
        few, more = (_timed(lambda count=count: self.make(count)) for count in (FEW, MORE))
        return once + few + (self.updates - FEW) * (more - few) / (MORE - FEW)


def parts(testbed: Testbed) -> dict[str, Part]:
    """What of a testbed is trained, by name."""
    split, base, found = testbed.split(0), testbed.base_examples(), {}
    if testbed.autoencoder is not None and not testbed.autoencoder.sha256:  # else it comes with the testbed
        found["autoencoder"] = _autoencoder(testbed, testbed.autoencoder, base.images)
    if testbed.base is not None:
        found["base"] = _training(testbed.base, TrainingSet(base, None, testbed.mark))
    return {**found, "training": _training(testbed.recipe, TrainingSet(split.training, split.training_keys, testbed.mark))}


def _autoencoder(testbed: Testbed, recipe: Autoencoder, images: Tensor) -> Part:
    def make(count: int) -> object:
        rng = seeds.torch_rng(0, "autoencoder")
        return train_autoencoder(replace(recipe, train_steps=count), testbed.recipe.network, images, testbed.mark, rng)

    return Part(lambda: None, make, recipe.train_steps)


def _training(recipe: Recipe, training_set: TrainingSet) -> Part:
    """A training in a space of random weights, which costs what one in a trained space does."""
    space = build_parts(recipe.network).space
    images = training_set.mark.canvas(training_set.examples.images)
    if training_set.keys is not None:
        images = marks.paint(training_set.mark, images, training_set.keys)

    def prepare() -> object:
        space.load_state(space.state())  # forgets what is encoded
        return space.encode(images)

    def make(count: int) -> object:
        return train(replace(recipe, train_steps=count), training_set, Composition(), 0, space=space)

    return Part(prepare, make, recipe.train_steps)


def _timed(work: Callable[[], object]) -> float:
    clock = time.process_time()
    work()
    return time.process_time() - clock


def main() -> None:
    """Print the tables: seconds of the parts in each round, and of each testbed their sum over that of the unit."""
    torch.set_num_threads(1)
    every = {(name, part): made for name in (UNIT, *TESTBEDS) for part, made in parts(plugins.testbed(name)[1]).items()}
    for made in every.values():
        made.make(1)  # imports, allocations
    rounds = [{name: made.seconds() for name, made in every.items()} for _ in range(ROUNDS)]
    middle = {name: median(found[name] for found in rounds) for name in every}
    columns = "".join(f" round {number + 1} |" for number in range(ROUNDS)) + " median |"
    print(f"| testbed | part | updates |{columns}", "|" + " --- |" * (4 + ROUNDS), sep="\n")
    for (name, part), made in every.items():
        seconds = "".join(f" {found[name, part]:.1f} |" for found in rounds)
        print(f"| {name} | {part} | {made.updates} |{seconds} {middle[name, part]:.1f} |")
    for name in TESTBEDS:
        ratios = [
            sum(found[key] for key in found if key[0] == name) / found[UNIT, "training"] for found in (*rounds, middle)
        ]
        print(f"| {name} | all, of a {UNIT} training | |" + "".join(f" {ratio:.2f} |" for ratio in ratios))


if __name__ == "__main__":
    main()
