"""A testbed: which images are trained on and which are held out, their mark, the recipe, and the judge.

A third party's testbed is a frozen dataclass in its own package, found by entry point
(`solidmark.testbeds`); it subclasses `Testbed` and says how to `load` its images.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import keys, marks, seeds
from .data import Examples, distinct, join
from .errors import InvalidValue
from .marks import Border, Mark
from .sampling import Protocol
from .training import Recipe
from .utility import Judge

FAST = Protocol()
PAPER = Protocol(name="paper", steps=250)


@dataclass(frozen=True)
class Labelled:
    """All images that a testbed has, (N, C, H, W) in [0, 1], with class labels, (N,)."""

    images: Tensor
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Board:
    """What one seed of a testbed lays out. Keys are (N, S) and belong to the examples of the same name.

    `forget` are places among the trained examples that post-hoc methods are told to forget.
    `calibration`, `reference` and `other_reference` are unmarked real images that no one is trained on or
    asked for; `fresh` are captions that were never trained on, with the class that each asks for.
    """

    trained: Examples
    held_out: Examples
    trained_keys: Tensor
    held_out_keys: Tensor
    other_keys: Tensor
    forget: list[int]
    calibration: Examples
    other_reference: Tensor
    fresh_captions: list[str]
    fresh_labels: NDArray[np.int64]
    mark: Mark
    seed: int

    def marked(self, examples: Examples, image_keys: Tensor) -> Examples:
        """The examples with their keys painted."""
        return examples.with_images(marks.paint(self.mark, self.mark.canvas(examples.images), image_keys))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all images, captions, ids and keys: two boards with one fingerprint are the same board."""
        digest = hashlib.sha256(repr((self.mark, self.seed, self.forget, self.fresh_captions)).encode())
        for part in (self.trained, self.held_out, self.calibration):
            digest.update(repr((part.captions, part.ids)).encode() + part.images.numpy().tobytes())
        for tensor in (self.trained_keys, self.held_out_keys, self.other_keys, self.other_reference):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    @property
    def marked_trained(self) -> Examples:
        """The trained images as they were trained on."""
        return self.marked(self.trained, self.trained_keys)

    @property
    def asked(self) -> Examples:
        """Trained images, then held-out ones, as they are asked: on a canvas whose mark is blank."""
        both = join([self.trained, self.held_out])
        return both.with_images(self.mark.canvas(both.images))

    def handed_out(self) -> dict[str, Examples]:
        """The parts that a mitigation may declare a need for."""
        kept = [place for place in range(len(self.trained)) if place not in set(self.forget)]
        trained, held_out = self.marked_trained, self.marked(self.held_out, self.held_out_keys)
        decoys = held_out.take(range(min(len(trained), len(held_out))))
        return {
            "forget": trained.take(self.forget),
            "retain": trained.take(kept),
            "training_images": join([trained, decoys]),
            "calibration": self.calibration,
        }


@dataclass(frozen=True)
class Testbed:
    """Numbers that every testbed has; a subclass adds its own and says how to `load`.

    `trained` and `held_out` images (held-out ones are the negative control: at least as many);
    `generated` captions for utility; `forget_share` of the trained images is the forget list.
    """

    __test__: ClassVar[bool] = False  # not a pytest class
    version: ClassVar[int] = 1
    protocols: ClassVar[dict[str, Protocol]] = {"fast": FAST, "paper": PAPER}
    expected: ClassVar[str] = ""

    trained: int = 64
    held_out: int = 256
    generated: int = 256
    forget_share: float = 0.25
    mark: Mark = Border()
    recipe: Recipe = Recipe()

    def __post_init__(self) -> None:
        if self.trained < 3 or self.held_out < max(16, self.trained) or self.generated < 16:
            found = f"trained={self.trained}, held_out={self.held_out}, generated={self.generated}"
            expected = "trained of at least 3, held_out at least as many and 16, generated of at least 16"
            raise InvalidValue(type(self).__name__, found, expected, "Mend the numbers.")

    def load(self) -> Labelled:
        """All images with their classes."""
        raise TypeError(f"{type(self).__name__} does not say how to load its images")

    def captions(self, labels: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
        """A caption for each label; all captions of a testbed are distinct, unless it says otherwise."""
        raise TypeError(f"{type(self).__name__} does not say how to caption its images")

    def board(self, seed: int) -> Board:
        """Draw images, captions and keys of one seed, each from its own stream."""
        labelled = _distinct(self)
        needed = self.judged + self.trained + 3 * self.held_out  # held out, calibration, the other reference
        if len(labelled.labels) < needed:
            found, cure = f"{len(labelled.labels)} distinct images", "Ask for fewer trained or held-out images."
            raise InvalidValue(type(self).__name__, found, f"at least {needed}", cure)
        rng = seeds.numpy_rng(seed, "examples")
        open_places = rng.permutation(np.arange(self.judged, len(labelled.labels)))
        places = np.concatenate([_balanced(labelled.labels[open_places], self.trained, open_places), open_places])
        places = places[np.sort(np.unique(places, return_index=True)[1])]  # first the balanced ones, then the others
        count = self.trained + self.held_out
        fresh_labels = np.resize(np.unique(labelled.labels), self.generated)
        labels = labelled.labels[places[:count]]
        words = self.captions(np.concatenate([labels, fresh_labels]), rng)
        examples = Examples(labelled.images[places[:count]], words[:count], rng.permutation(10 * count)[:count].tolist())
        rest = places[count:]
        return Board(
            trained=examples.take(range(self.trained)),
            held_out=examples.take(range(self.trained, count)),
            trained_keys=self._keys(self.trained, seed, "keys"),
            held_out_keys=self._keys(self.held_out, seed, "held-out keys"),
            other_keys=self._keys(self.trained, seed, "other keys"),
            forget=sorted(rng.permutation(self.trained)[: round(self.forget_share * self.trained)].tolist()),
            calibration=self._calibration(labelled, rest[: self.held_out], rng),
            other_reference=labelled.images[rest[self.held_out : 2 * self.held_out]],
            fresh_captions=words[count:],
            fresh_labels=fresh_labels,
            mark=self.mark,
            seed=seed,
        )

    @property
    def judged(self) -> int:
        """How many images, the first in the order of all seeds, train the judge and nothing else."""
        return 900

    def judge(self) -> Judge:
        """The judge of this testbed, the same for every seed."""
        return _judge(self)

    def _calibration(self, labelled: Labelled, places: NDArray[np.int64], rng: np.random.Generator) -> Examples:
        captions = self.captions(labelled.labels[places], rng)
        return Examples(labelled.images[places], captions, list(range(-len(places), 0)))

    def _keys(self, count: int, seed: int, purpose: str) -> Tensor:
        drawn = keys.draw(count, self.mark.segments, seeds.numpy_rng(seed, purpose))
        return torch.from_numpy(drawn).float()


def _balanced(labels: NDArray[np.int64], count: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first `count` places, class by class in turn."""
    turn = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        chosen = labels == label
        turn[chosen] = np.arange(chosen.sum())
    return np.asarray(places[np.argsort(turn, kind="stable")[:count]])


@lru_cache(maxsize=4)
def _distinct(testbed: Testbed) -> Labelled:
    """All distinct images in one random order, so that those of the judge are like those that it judges."""
    labelled = testbed.load()
    kept = seeds.numpy_rng(0, "order of all seeds").permutation(distinct(labelled.images))
    return Labelled(labelled.images[kept], labelled.labels[kept])


@lru_cache(maxsize=4)
def _judge(testbed: Testbed) -> Judge:
    labelled, count = _distinct(testbed), testbed.judged
    return Judge(labelled.images[:count].flatten(1).double().numpy(), labelled.labels[:count])
