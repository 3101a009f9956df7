"""Where the time goes, as shares within one run: `python design/speed.py`.

Prints one core's CPU seconds of a baseline training with the share inside the network's forward and backward, and
of outpainting 128 images with guidance with the share inside the denoiser. One thread; imports are not counted.
"""

import time
from collections.abc import Callable
from typing import Any

import torch

from solidmark import plugins, training
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.run import TrainingSet
from solidmark.models import Model, build
from solidmark.queries import Audit
from solidmark.sampling import Service, SolverConfig
from solidmark.split import Split
from solidmark.testbed import Testbed


class Clock:
    """Adds up the CPU seconds that pass inside the functions it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def inside(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.process_time() - began

        return timed


def time_training(testbed: Testbed, split: Split) -> Model:
    """Train the baseline and print how long it took."""
    clock, grad, began = Clock(), torch.autograd.grad, time.process_time()
    Model.predict, Model.embed = clock.inside(Model.predict), clock.inside(Model.embed)  # type: ignore[method-assign]  # a clock
    torch.autograd.grad = clock.inside(grad)
    model = training.train(
        testbed.recipe, TrainingSet(split.trained, split.trained_keys, split.mark), Composition(), split.seed
    )
    total = time.process_time() - began
    torch.autograd.grad = grad
    print(f"training: {total:.1f} s of one core, {100 * clock.seconds / total:.1f} % in forward and backward")
    return model


def time_outpainting(model: Model, split: Split, count: int = 128) -> None:
    """Ask one query and print how long it took."""
    clock, queried = Clock(), split.queried.take(range(count))
    model.network.forward = clock.inside(model.network.forward)  # type: ignore[method-assign]  # timed
    service = Service(model, Composition(), split.seed)
    began = time.process_time()
    Audit(queried, split.mark, SolverConfig(), service, split.seed, "speed").outpaint()
    total = time.process_time() - began
    print(f"outpainting {count} images: {total:.2f} s of one core, {100 * clock.seconds / total:.1f} % in the denoiser")


def time_network(model: Model, steps: int = 50, batch: int = 32) -> None:
    """The network's forward and backward on tensors that lie ready: what a step costs at least on this machine."""
    config = model.config
    network = build(config, torch.Generator()).network
    x = torch.randn(batch, config.channels * config.patch**2, *(2 * [config.size // config.patch]))
    text, t = torch.randn(batch, config.context, config.text_width), torch.randint(config.schedule_steps, (batch,))
    weights = list(network.parameters())
    began = time.process_time()
    for _ in range(steps):
        torch.autograd.grad(network(x, t, text, return_dict=False)[0].square().mean(), weights)
    each = (time.process_time() - began) / steps
    print(f"bare network: {1000 * each:.1f} ms a step forward and backward, {600 * each:.1f} s for 600 steps")


def main() -> None:
    """All three, on the default testbed at seed 0."""
    torch.set_num_threads(1)
    testbed = plugins.instance(plugins.GROUPS["testbed"], "testbed", "digits")
    split = testbed.split(0)
    build(testbed.recipe.network, torch.Generator())  # imports diffusers
    model = time_training(testbed, split)
    time_outpainting(model, split)
    time_network(model)


if __name__ == "__main__":
    main()
