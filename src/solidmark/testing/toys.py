"""Toys: splits and models of a few thousand weights, one of each kind, and the three ways to act on them.

A toy learns nothing. It shows in a second whether code runs and whether it keeps the rules.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import seeds
from ..marks import Border
from ..measurement import answers, weights
from ..measurement.blind import blind
from ..measurement.case import Case, Workspace
from ..measurement.responses import Responses
from ..mitigation import Needs, Stage
from ..mitigation.composition import Composition
from ..mitigation.handout import HandedOut
from ..mitigation.hooks import Hooks
from ..mitigation.run import TrainingSet
from ..models import Autoencoder, Denoiser, Evaluations, LatentNetwork, Model, Network, Recipe
from ..models.autoencoder import train_autoencoder
from ..queries import Attack
from ..queries.outpaint import Outpaint
from ..sampling import SolverConfig
from ..split import Split
from ..store import Store, digest
from ..testbed import Labelled, Testbed
from ..training import train

WORDS = 64
"""Filler words of a caption; labels have four times as many."""
SOLVER = SolverConfig("toy", steps=6, reencode=2)


@dataclass(frozen=True)
class Toy(Testbed):
    """16 images of noise, 32 held-out ones, and a network of a few thousand weights that trains for a few steps."""

    trained: int = 16
    held_out: int = 32
    generated: int = 16

    def load(self) -> Labelled:
        """256 images of 8 x 8 pixels."""
        images = torch.rand((256, 1, 8, 8), generator=seeds.torch_rng(0, "toy images"))
        return Labelled(images, np.arange(256, dtype=np.int64) % 2)

    def captions(self, labels: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
        """Distinct captions: a class and two words, or a number; empty ones for an unconditional model."""
        drawn = rng.permutation(WORDS * WORDS)[: len(labels)].tolist()
        by_kind = {
            "text": [f"{('zero', 'one')[label]} w{n // WORDS} w{n % WORDS}" for label, n in zip(labels, drawn)],
            "label": [f"i{n % (4 * WORDS)}" for n in drawn],
            "none": [""] * len(labels),
        }
        return by_kind[self.recipe.network.kind]


def toy(kind: str) -> Toy:
    """The toy testbed whose model is of this kind."""
    if kind == "latent":
        return _latent_toy()
    classes = {"text": ("zero", "one"), "label": tuple(f"i{number}" for number in range(4 * WORDS)), "none": ()}
    network = Network(kind=kind, widths=(8, 16), words=WORDS, text_width=8, classes=classes[kind])
    return Toy(recipe=Recipe(network=network, train_steps=8, batch=8, learning_rate=1e-3))


def _latent_toy() -> Toy:
    """A Stable Diffusion of the same classes, on 16 x 16 pixels and 4 x 4 latents."""
    network = LatentNetwork(
        size=16,
        widths=(8, 16),
        words=WORDS,
        text_width=8,
        classes=("zero", "one"),
        latent_channels=2,
        autoencoder_widths=(8, 8, 8),
    )
    recipe = Recipe(network=network, train_steps=8, batch=8, learning_rate=1e-3)
    return Toy(recipe=recipe, mark=Border(4, 8), autoencoder=Autoencoder(train_steps=30, learning_rate=5e-3))


@dataclass(frozen=True)
class ActionResult:
    """The result of an action: tensors to compare, the evaluations counted, and the samples that the network computed."""

    tensors: list[Tensor]
    counted: int
    computed: int

    def equals(self, other: ActionResult) -> bool:
        """Whether both have the same tensors, bit for bit."""
        return len(self.tensors) == len(other.tensors) and all(a.equal(b) for a, b in zip(self.tensors, other.tensors))


class ToySetup:
    """A toy split and model of one kind, and the three ways to act on them."""

    def __init__(self, kind: str, needs: Needs, device: str = "cpu") -> None:
        self.testbed, self.device = toy(kind), device
        self.blind = blind(self.testbed, 0, needs)
        self.split = self.blind.split
        self.model = _model(kind, device)
        self.space = None if self.testbed.autoencoder is None else self.model.space

    @property
    def truth(self) -> Split:
        """The split with its keys."""
        return self.testbed.split(0)

    def snapshot(self) -> list[str]:
        """Digests of all that an action may read and may not change."""
        parts = {"queried": self.split.queried, "training": self.split.training, **self.blind.handed_out}
        digests = [digest([name, part.captions, part.ids, _sha(part.images)]) for name, part in parts.items()]
        return [*digests, weights.fingerprint(self.model)]

    def case(self, composition: Composition, attack: Attack | None = None) -> Case:
        """The case of one query."""
        asked = attack or Outpaint()
        return Case("toy", self.testbed, composition, 0, ((type(asked).__name__, asked),), SOLVER)

    def action(self, stage: Stage | None) -> Callable[[Composition], ActionResult]:
        """How a mitigation of this stage acts. One without a stage changes nothing, at sampling or elsewhere."""
        actions = {Stage.TRAINING: self.train, Stage.POST_HOC: self.edit}
        return self.sample if stage is None else actions.get(stage, self.sample)

    def train(self, composition: Composition) -> ActionResult:
        """Train a model from the start: its weights."""
        data: HandedOut = {**self.blind.handed_out, "base_model": self.model}
        training_set = TrainingSet(self.split.training, self.truth.training_keys, self.split.mark)
        with count_network_samples(self.model) as computed:
            trained = train(
                self.testbed.recipe, training_set, composition, 0, device=self.device, data=data, space=self.space
            )
        return ActionResult(list(trained.state().values()), trained.evaluations.forward, sum(computed))

    def edit(self, composition: Composition) -> ActionResult:
        """Edit a copy of the model: its weights."""
        copy = self.model.copy()
        data: HandedOut = {**self.blind.handed_out, "base_model": self.model, "recipe": self.testbed.recipe}
        with count_network_samples(copy) as computed, seeds.forked(0, "editing, global generator"):
            edited = Hooks(composition, 0, "editing", data=data).edit(copy)
        return ActionResult(list(edited.state().values()), copy.evaluations.forward, sum(computed))

    def sample(self, composition: Composition) -> ActionResult:
        """Query the model by outpainting, and generate from captions: predicted keys and images."""
        case, before = self.case(composition), self.model.evaluations.copy()
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace(Store(Path(folder)), self.device)
            weights.halves_or_load(case, workspace)  # what trains them is the suite's work
            with count_network_samples(self.model) as computed:
                responses = answers.ask_query(case, case.leading, self.model, workspace, self.blind)
                plain = answers.ask_plainly(case, self.model, workspace, self.blind)
        pictures = [one.images for one in (responses, plain, plain.fresh) if one is not None and one.images is not None]
        tensors = [torch.from_numpy(responses.keys), *pictures]
        return ActionResult(tensors, self.model.evaluations.since(before).forward, sum(computed))

    def ask(self, case: Case, model: Denoiser) -> Responses:
        """The responses of a model to the case's query."""
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace(Store(Path(folder)), self.device)
            return answers.ask_query(case, case.leading, model, workspace, self.blind)


@lru_cache
def _model(kind: str, device: str) -> Model:
    testbed = toy(kind)
    split = testbed.split(0)
    training_set, space = TrainingSet(split.training, split.training_keys, split.mark), None
    if testbed.autoencoder is not None:
        images, rng = testbed.base_examples().images, seeds.torch_rng(0, "toy autoencoder")
        space = train_autoencoder(testbed.autoencoder, testbed.recipe.network, images, split.mark, rng)
        space.to(device)
    model = train(testbed.recipe, training_set, Composition(), 0, device=device, space=space)
    model.evaluations = Evaluations()
    return model


@contextmanager
def count_network_samples(model: Denoiser) -> Iterator[list[int]]:
    """While inside: the batch sizes that networks of this model's class work on, from any caller."""
    sizes: list[int] = []

    def note(module: nn.Module, _arguments: Any, output: Any) -> None:
        if type(module) is type(model.network):
            sizes.append(len(output[0]))

    handle = nn.modules.module.register_module_forward_hook(note)
    try:
        yield sizes
    finally:
        handle.remove()


def _sha(images: Tensor) -> str:
    return hashlib.sha256(images.cpu().contiguous().numpy().tobytes()).hexdigest()
