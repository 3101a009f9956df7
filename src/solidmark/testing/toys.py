"""Toys: boards and models of a few thousand weights, one of each kind, and the three ways to act on them.

Nothing is learnt on a toy. It shows in a second whether code runs, and what it may not do.
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
from ..measurement import responses, weights
from ..measurement.blind import blind
from ..measurement.case import Case, Desk
from ..measurement.responses import Asked
from ..mitigation import Needs, Stage
from ..mitigation.composition import Composition
from ..mitigation.hooks import Doors
from ..models import Denoiser, Evaluations, Model, Network, Recipe
from ..queries import Attack
from ..queries.outpaint import Outpaint
from ..sampling import Protocol
from ..store import Store, digest
from ..testbed import Board, Labelled, Testbed
from ..training import train

WORDS = 64
PROTOCOL = Protocol("toy", steps=6)


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
        """Distinct ones: a class and two words, a number, or nothing."""
        drawn = rng.permutation(WORDS * WORDS)[: len(labels)].tolist()
        told = {
            "text": [f"{('zero', 'one')[label]} w{n // WORDS} w{n % WORDS}" for label, n in zip(labels, drawn)],
            "label": [f"i{n % (4 * WORDS)}" for n in drawn],
            "none": [""] * len(labels),
        }
        return told[self.recipe.network.kind]


def toy(kind: str) -> Toy:
    """The toy testbed whose model is of this kind."""
    classes = {"text": ("zero", "one"), "label": tuple(f"i{number}" for number in range(4 * WORDS)), "none": ()}
    network = Network(kind=kind, widths=(8, 16), words=WORDS, text_width=8, classes=classes[kind])
    return Toy(recipe=Recipe(network=network, train_steps=8, batch=8, learning_rate=1e-3))


@dataclass(frozen=True)
class Deed:
    """What an action left: tensors to compare, evaluations counted, and those that the network really made."""

    tensors: list[Tensor]
    counted: int
    made: int


class Bench:
    """A toy board and model of one kind, and the three ways to act on them."""

    def __init__(self, kind: str, needs: Needs, device: str = "cpu") -> None:
        self.testbed, self.device = toy(kind), device
        self.board: Board = blind(self.testbed, 0, needs)
        self.model = _model(kind, device)

    def snapshot(self) -> list[str]:
        """Digests of all that an action may read and not change."""
        parts = {"asked": self.board.asked, "training": self.board.training, **self.board.handed_out()}
        digests = [digest([name, one.captions, one.ids, _sha(one.images)]) for name, one in parts.items()]
        return [*digests, weights.fingerprint(self.model)]

    def case(self, composition: Composition, attack: Attack | None = None) -> Case:
        """The case of one query."""
        return Case("toy", self.testbed, composition, 0, (("outpaint", attack or Outpaint()),), PROTOCOL)

    def acting(self, stage: Stage | None) -> Callable[[Composition], Deed]:
        """How a mitigation of this stage acts; one without a stage changes nothing wherever it stands."""
        acts = {Stage.TRAINING: self.train, Stage.POST_HOC: self.edit}
        return self.sample if stage is None else acts.get(stage, self.sample)

    def train(self, composition: Composition) -> Deed:
        """A training from the start: its weights."""
        data: dict[str, Any] = {**self.board.handed_out(), "base_model": self.model}
        keys = self.board.truth().training_keys
        with made_by(self.model) as made:
            trained = train(
                self.testbed.recipe,
                self.board.training,
                keys,
                self.board.mark,
                composition,
                0,
                device=self.device,
                data=data,
            )
        return Deed(list(trained.state().values()), trained.evaluations.forward, sum(made))

    def edit(self, composition: Composition) -> Deed:
        """An edit of a copy: its weights."""
        copy, data = self.model.copy(), {**self.board.handed_out(), "base_model": self.model}
        with made_by(copy) as made, seeds.forked(0, "editing, global generator"):
            edited = Doors(composition, 0, "editing", data=data).edit(copy)
        return Deed(list(edited.state().values()), copy.evaluations.forward, sum(made))

    def sample(self, composition: Composition) -> Deed:
        """Answers to outpainting, and plain generation."""
        case, before = self.case(composition), self.model.evaluations.copy()
        with tempfile.TemporaryDirectory() as folder, made_by(self.model) as made:
            desk = Desk(Store(Path(folder)), self.device)
            asked = self.ask(case, self.model)
            generated = responses.generated(case, self.model, self.board, desk)
        told = [torch.from_numpy(asked.keys), *([] if asked.images is None else [asked.images]), generated.images]
        return Deed(told, self.model.evaluations.since(before).forward, sum(made))

    def ask(self, case: Case, model: Denoiser) -> Asked:
        """The answers of a model to the case's query."""
        with tempfile.TemporaryDirectory() as folder:
            return responses.question(case, *case.queries[0], model, self.board, Desk(Store(Path(folder)), self.device))


@lru_cache
def _model(kind: str, device: str) -> Model:
    testbed = toy(kind)
    board = testbed.board(0)
    model = train(testbed.recipe, board.training, board.training_keys, board.mark, Composition(), 0, device=device)
    model.evaluations = Evaluations()
    return model


@contextmanager
def made_by(model: Denoiser) -> Iterator[list[int]]:
    """Collects the batch sizes that networks of this model's class work on, whoever calls them."""
    made: list[int] = []

    def note(module: nn.Module, _arguments: Any, output: Any) -> None:
        if type(module) is type(model.network):
            made.append(len(output[0]))

    handle = nn.modules.module.register_module_forward_hook(note)
    try:
        yield made
    finally:
        handle.remove()


def _sha(images: Tensor) -> str:
    return hashlib.sha256(images.cpu().contiguous().numpy().tobytes()).hexdigest()
