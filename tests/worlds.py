"""The smallest worlds that tests are set in: a testbed of a few digits, and models whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from solidmark.fixtures.digits import NAMES, WORDS, Digits

from solidmark import plugins, seeds
from solidmark.data import Examples
from solidmark.mitigation import Mitigation
from solidmark.mitigation.composition import Composition, Part
from solidmark.models import Denoiser, Model, Network, Recipe, build
from solidmark.models.memorizer import Memorizer
from solidmark.sampling import Service, SolverConfig, noises
from solidmark.split import Split
from solidmark.testbed import Labelled, Testbed

NETWORK = Network(widths=(8,), classes=("zero", "one"), words=20, text_width=8, schedule_steps=50)
"""A network of a few thousand weights. No test trains it: its outputs need no quality."""


def digits(**numbers: object) -> Testbed:
    """The digits testbed with other numbers."""
    testbed = plugins.instance("solidmark.testbeds", "testbed", "digits")
    return replace(testbed, **numbers)


def tiny() -> Testbed:
    """Digits with 16 trained images, a tiny network, and three steps of training."""
    testbed = digits(trained=16, held_out=64, generated=16)
    network = replace(testbed.recipe.network, widths=(8,), text_width=8)
    return replace(testbed, recipe=Recipe(network=network, train_steps=3, batch=8))


@dataclass(frozen=True)
class Colours(Digits):
    """Digits of three channels, each image in a colour of its own, with a tiny network and three steps of training."""

    trained: int = 24
    held_out: int = 64
    generated: int = 16
    recipe: Recipe = Recipe(
        network=Network(channels=3, widths=(8,), text_width=8, classes=NAMES, words=WORDS), train_steps=3, batch=8
    )

    def load(self) -> Labelled:
        gray = super().load()
        colours = 0.5 + 0.5 * torch.rand(len(gray.images), 3, 1, 1, generator=torch.Generator().manual_seed(5))
        return Labelled(gray.images * colours, gray.labels)


def split(trained: int = 16, held_out: int = 32, seed: int = 0) -> Split:
    return digits(trained=trained, held_out=held_out).split(seed)


def model(seed: int = 0) -> Model:
    return build(NETWORK, seeds.torch_rng(seed, "test")).frozen()


def composed(*mitigations: Mitigation) -> Composition:
    return Composition(tuple(Part(type(part).__name__, part) for part in mitigations))


def examples(count: int = 6, side: int = 12) -> Examples:
    images = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(1))
    return Examples(images, [f"one w{index}" for index in range(count)], list(range(count)))


def generate(
    denoiser: Denoiser, *mitigations: Mitigation, captions: list[str], solver: SolverConfig | None = None
) -> torch.Tensor:
    """Plain generation from captions through these mitigations."""
    solver = solver or SolverConfig(steps=4)
    observed = torch.zeros(len(captions), *denoiser.shape)
    noise = noises(range(len(captions)), denoiser.shape, solver.draws, 0, "test")
    mask = torch.ones(len(captions), 1, *denoiser.shape[1:], dtype=torch.bool)
    return Service(denoiser, composed(*mitigations), 0).sample(captions, observed, mask, noise, solver)


def memorizer(laid: Split) -> Memorizer:
    return Memorizer(laid.marked_trained)


@dataclass(frozen=True)
class NoHooks(Mitigation):
    """Overrides no hook."""
