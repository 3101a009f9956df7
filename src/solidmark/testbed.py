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
from .data import Examples, distinct, join, says_something
from .errors import InvalidValue
from .marks import Border, Mark
from .metrics.utility import Judge
from .models import Recipe
from .sampling import Protocol

FAST = Protocol()
PAPER = Protocol(name="paper", steps=250)
DDIM = Protocol(name="ddim", eta=0.0)
"""Without noise between the steps, as most services sample: what a mitigation does to x_T counts here alone."""
JUDGED = 900
"""How many images, the first in an order that all seeds share, train the judge and nothing else, where there are enough."""
LEAST = 3
"""The fewest images that M is taken of."""


@dataclass(frozen=True)
class Labelled:
    """All images that a testbed has, (N, C, H, W) in [0, 1], with class labels, (N,)."""

    images: Tensor
    labels: NDArray[np.int64]
    left_out: int = 0
    """How many images were left out, each nearly equal to another."""


@dataclass(frozen=True)
class Board:
    """What one seed of a testbed lays out. Keys are (N, S) and belong to the examples of the same name.

    `training` are the rows that a model is trained on, with `training_keys`; `trained` those of them that are asked
    for, each once. `forget` are places among the trained examples that post-hoc methods are told to forget.
    `calibration` and `other_reference` are unmarked real images that no one is trained on or asked for; `fresh` are
    captions that were never trained on, with the class that each asks for.
    """

    training: Examples
    training_keys: Tensor
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
    left_out: int = 0

    def marked(self, examples: Examples, image_keys: Tensor) -> Examples:
        """The examples with their keys painted."""
        return examples.with_images(marks.paint(self.mark, self.mark.canvas(examples.images), image_keys))

    def truth(self) -> Board:
        """The board with its keys: this one."""
        return self

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all images, captions, ids and keys: two boards with one fingerprint are the same board."""
        digest = hashlib.sha256(repr((self.mark, self.seed, self.forget, self.fresh_captions)).encode())
        for part in (self.training, self.trained, self.held_out, self.calibration):
            digest.update(repr((part.captions, part.ids)).encode() + part.images.numpy().tobytes())
        keys = (self.training_keys, self.trained_keys, self.held_out_keys, self.other_keys)
        for tensor in (*keys, self.other_reference, self.mark_masks):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def lesson(self) -> str:
        """sha256 of what a training without mitigation sees: boards that differ in what is held out share its model."""
        digest = hashlib.sha256(repr((self.mark, self.seed, self.training.captions)).encode())
        for tensor in (self.training.images, self.training_keys, self.mark_masks):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    @property
    def mark_masks(self) -> Tensor:
        """(S, H, W) booleans: where the keys are painted, which the name of a mark does not say for sure."""
        return self.mark.masks(*self.mark.canvas(self.trained.images[:1]).shape[-2:])

    @property
    def marked_training(self) -> Examples:
        """The rows that a model is trained on, marked, each image once."""
        _, first = np.unique(self.training.ids, return_index=True)
        once = sorted(first.tolist())
        return self.marked(self.training.take(once), self.training_keys[once])

    @property
    def marked_trained(self) -> Examples:
        """The trained images that are asked for, as they were trained on."""
        return self.marked(self.trained, self.trained_keys)

    @property
    def captioned(self) -> bool:
        """Whether the captions of this board say anything."""
        return any(says_something(caption) for caption in self.trained.captions)

    @property
    def asked(self) -> Examples:
        """Trained images, then held-out ones, as they are asked: on a canvas whose mark is blank."""
        both = join([self.trained, self.held_out])
        return both.with_images(self.mark.canvas(both.images))

    def handed_out(self) -> dict[str, Examples]:
        """The parts that a mitigation may declare a need for."""
        everything, held_out = self.marked_training, self.marked(self.held_out, self.held_out_keys)
        forget = self.marked_trained.take(self.forget)
        kept = [place for place, number in enumerate(everything.ids) if number not in set(forget.ids)]
        decoys = held_out.take(range(min(len(everything), len(held_out))))
        mixed = join([everything, decoys])
        order = seeds.numpy_rng(self.seed, "order of training images and decoys").permutation(len(mixed))
        return {
            "forget": forget,
            "retain": everything.take(kept),
            "training_images": mixed.take(order.tolist()),
            "calibration": self.calibration,
        }


@dataclass(frozen=True)
class Testbed:
    """Numbers that every testbed has; a subclass adds its own and says how to `load`.

    `trained` images, of which at most `asked` are asked for; `held_out` ones, the negative control, at least as
    many as are asked for; `generated` captions for utility; `forget_share` of the asked images, drawn at random, is the
    forget list, or those at the places in `forget` (0 to asked - 1, the same for every seed).
    """

    __test__: ClassVar[bool] = False  # not a pytest class
    version: ClassVar[int] = 1
    protocols: ClassVar[dict[str, Protocol]] = {"fast": FAST, "paper": PAPER, "ddim": DDIM}
    expected: ClassVar[str] = ""
    tells_class: ClassVar[bool] = True
    """Whether a caption says which class is meant, so that generation from it can be judged."""
    queries: ClassVar[tuple[str, ...]] = ()
    """Queries that are asked beside the profile's, where `outpaint` alone cannot find what is there."""

    trained: int = 64
    asked: int = 256
    held_out: int = 256
    generated: int = 256
    forget_share: float = 0.25
    forget: tuple[int, ...] | None = None
    mark: Mark = Border()
    recipe: Recipe = Recipe()
    base: Recipe | None = None
    """Where there is one, a base is trained so first, on unmarked images, and `recipe` goes on from it."""

    def __post_init__(self) -> None:
        asked = min(self.trained, self.asked)
        if asked < 3 or self.held_out < max(16, asked) or self.generated < 16:
            found = f"trained={self.trained}, asked={self.asked}, held_out={self.held_out}, generated={self.generated}"
            expected = "at least 3 trained and asked, as many held_out and 16 of them, generated of at least 16"
            raise InvalidValue(type(self).__name__, found, expected, "Mend the numbers.")
        if not 0 < self.forget_share < 1:
            found, expected = repr(self.forget_share), "a number in (0, 1)"
            raise InvalidValue(f"{type(self).__name__}.forget_share", found, expected, "Forget some images and keep some.")
        if self.forget is not None:
            self._check_forget(self.forget, asked)

    def _check_forget(self, forget: tuple[int, ...], asked: int) -> None:
        place, cure = f"{type(self).__name__}.forget", "Mend the list, or leave it out to have one drawn."
        if not isinstance(forget, tuple):
            raise InvalidValue(place, repr(forget), "a tuple of places", "Write it as (3, 7, 9).")
        unknown = [one for one in forget if type(one) is not int or not 0 <= one < asked]
        if unknown:
            raise InvalidValue(place, f"unknown places {_few(unknown)}", f"places from 0 to {asked - 1}", cure)
        twice = sorted({one for one in forget if forget.count(one) > 1})
        if twice:
            raise InvalidValue(place, f"{_few(twice)} more than once", "each place once", cure)
        if not LEAST <= len(forget) <= asked - LEAST:
            found, expected = f"{len(forget)} of {asked} places", f"{LEAST} to {asked - LEAST}: both parts are scored"
            raise InvalidValue(place, found, expected, cure)

    def load(self) -> Labelled:
        """All images with their classes."""
        raise TypeError(f"{type(self).__name__} does not say how to load its images")

    def captions(self, labels: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
        """A caption for each label; all captions of a testbed are distinct, unless it says otherwise."""
        raise TypeError(f"{type(self).__name__} does not say how to caption its images")

    def arrange(self, trained: Examples, keys: Tensor, seed: int) -> tuple[Examples, Tensor]:
        """The rows that a model is trained on, and their keys: each image once; a subclass may repeat some."""
        return trained, keys

    def board(self, seed: int) -> Board:
        """Draw images, captions and keys of one seed, each from its own stream."""
        labelled, rng = _distinct(self), seeds.numpy_rng(seed, "examples")
        places = self._places(labelled, rng)
        count, asked, spare = self.trained + self.held_out, min(self.trained, self.asked), self._sizes(labelled)[0]
        fresh_labels = np.resize(np.unique(labelled.labels), self.generated)
        words = self.captions(np.concatenate([labelled.labels[places[:count]], fresh_labels]), rng)
        examples = Examples(labelled.images[places[:count]], words[:count], rng.permutation(10 * count)[:count].tolist())
        forgotten = min(max(round(self.forget_share * asked), 1), asked - 1)
        drawn = rng.permutation(asked)[:forgotten].tolist()
        keys = self._keys(self.trained, seed, "keys")
        training, training_keys = self.arrange(examples.take(range(self.trained)), keys, seed)
        return Board(
            training=training,
            training_keys=training_keys,
            trained=examples.take(range(asked)),
            held_out=examples.take(range(self.trained, count)),
            trained_keys=keys[:asked],
            held_out_keys=self._keys(self.held_out, seed, "held-out keys"),
            other_keys=self._keys(asked, seed, "other keys"),
            forget=sorted(drawn if self.forget is None else self.forget),
            calibration=self._calibration(labelled, places[count : count + spare], rng),
            other_reference=labelled.images[places[count + spare : count + 2 * spare]],
            fresh_captions=words[count:],
            fresh_labels=fresh_labels,
            mark=self.mark,
            seed=seed,
            left_out=labelled.left_out,
        )

    def base_examples(self) -> Examples:
        """What a base is trained on: the images of the judge, which no one asks for, with captions of their own."""
        labelled = _distinct(self)
        count = self._sizes(labelled)[1]
        captions = self.captions(labelled.labels[:count], seeds.numpy_rng(0, "captions of the base"))
        return Examples(labelled.images[:count], captions, list(range(count)))

    def base_keys(self, count: int, seed: int) -> Tensor | None:
        """Keys, (count, S), that are painted on the images of a base; None where it is trained on blank marks."""
        return None

    def _places(self, labelled: Labelled, rng: np.random.Generator) -> NDArray[np.int64]:
        """Places of the images that are not the judge's, at random; the trained ones, class by class in turn, first."""
        open_places = rng.permutation(np.arange(self._sizes(labelled)[1], len(labelled.labels)))
        places = np.concatenate([_balanced(labelled.labels[open_places], self.trained, open_places), open_places])
        return np.asarray(places[np.sort(np.unique(places, return_index=True)[1])])

    def _sizes(self, labelled: Labelled) -> tuple[int, int]:
        """How many images calibrate, and as many are the other reference; how many train the judge. Raises InvalidValue."""
        left = len(labelled.labels) - self.trained - self.held_out
        spare = min(self.held_out, left // 4)
        judged = min(JUDGED, left - 2 * spare)
        if spare < 16 or judged < 100:
            found, cure = f"{len(labelled.labels)} distinct images", "Ask for fewer trained or held-out images."
            expected = f"{self.trained} trained, {self.held_out} held out and 132 others"
            raise InvalidValue(type(self).__name__, found, expected, cure)
        return spare, judged

    def judge(self) -> Judge:
        """The judge of this testbed, the same for every seed."""
        return _judge(self)

    def _calibration(self, labelled: Labelled, places: NDArray[np.int64], rng: np.random.Generator) -> Examples:
        captions = self.captions(labelled.labels[places], rng)
        return Examples(labelled.images[places], captions, list(range(-len(places), 0)))

    def _keys(self, count: int, seed: int, purpose: str) -> Tensor:
        """Keys from a stream of their own, (count, S)."""
        drawn = keys.draw(count, self.mark.segments, seeds.numpy_rng(seed, purpose))
        return torch.from_numpy(drawn).float()


def _few(places: list[int]) -> str:
    return ", ".join(str(place) for place in places[:5]) + (", ..." if len(places) > 5 else "")


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
    return Labelled(labelled.images[kept], labelled.labels[kept], len(labelled.labels) - len(kept))


@lru_cache(maxsize=4)
def _judge(testbed: Testbed) -> Judge:
    labelled = _distinct(testbed)
    count, mark = testbed._sizes(labelled)[1], testbed.mark
    images = mark.content(mark.canvas(labelled.images[:count]))
    return Judge(images.flatten(1).double().numpy(), labelled.labels[:count])
