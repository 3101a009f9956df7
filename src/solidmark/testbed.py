"""A testbed: which images are trained on and which are held out, their mark, the recipe, and the judge.

A third party's testbed is a frozen dataclass in its own package, found by entry point
(`solidmark.testbeds`); it subclasses `Testbed` and says how to `load` its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import keys, seeds
from .data import Examples, StoredImages, distinct
from .errors import InvalidValue
from .marks import Border, Mark
from .metrics import worst_case as competing
from .metrics.given_judge import GivenJudge
from .metrics.utility import Judge
from .models import Autoencoder, Recipe
from .models.saved import model_bytes
from .provenance import ADDED
from .sampling import SolverConfig
from .split import Split

FAST = SolverConfig()
SHORT = SolverConfig(name="short", steps=12)
"""Half of the evaluations of `fast` at nearly the same M (design/short_solver.md): for many rows on few cores."""
PAPER = SolverConfig(name="paper", steps=250)
DDIM = SolverConfig(name="ddim", eta=0.0)
"""Without noise between the steps, as most services sample: what a mitigation does to x_T counts here alone."""
PUBLISHED = SolverConfig(name="published", steps=50, eta=0.0, guidance=7.5)
"""The solver of nearly all claims about Stable Diffusion (see `Origin`), by which they are replicated."""
JUDGED = 900
"""How many images train the judge and nothing else, where there are enough; the same for all seeds."""
FEWEST_SPARE = 4
"""The fewest calibration images, and as many for the other reference, of a testbed without a judge: content needs 4."""
LEAST = 3
"""The fewest images of which M can be computed."""


@dataclass(frozen=True)
class Labelled:
    """All images that a testbed has, (N, C, H, W) in [0, 1], with class labels, (N,).

    Where they are stored on disk, they are distinct already, and in a random order.
    """

    images: Tensor | StoredImages
    labels: NDArray[np.int64]
    left_out: int = 0
    """How many images were left out, each nearly equal to another."""
    captions: tuple[str, ...] | None = None
    """Captions of the images' own, (N,); None where the testbed makes them from the labels."""


@dataclass(frozen=True)
class Testbed:
    """Numbers that every testbed has; a subclass adds its own and says how to `load`.

    `trained` images, of which at most `queried` are queried; `held_out` images, the negative control, at least as many
    as are queried; `generated` captions for utility. The forget list is `forget_share` of the queried images, drawn at
    random, or those with the indices in `forget` (0 to queried - 1, the same for every seed).
    """

    __test__: ClassVar[bool] = False  # not a pytest class
    version: ClassVar[int] = 1
    solvers: ClassVar[dict[str, SolverConfig]] = {
        "fast": FAST,
        "short": SHORT,
        "paper": PAPER,
        "ddim": DDIM,
        "published": PUBLISHED,
    }
    expected: ClassVar[str] = ""
    known_as: ClassVar[str] = ""
    """What a verdict that holds here holds on, such as `digits`; empty for the name of the testbed."""
    least: ClassVar[float | None] = None
    """The least M that the unmitigated model has under `outpaint` and the fast solver, at the default fields: below that no
    row is believed. None where that is not known."""
    tells_class: ClassVar[bool] = True
    """Whether a caption names a class, so that generation from it can be judged."""
    has_judge: ClassVar[bool] = True
    """Whether images are set aside to train a judge on; without one, utility is null."""
    judge_block: ClassVar[int] = 1
    """Pixels a side whose mean the judge sees as one: more for large images, which it would take long to learn."""
    gains_from_gpu: ClassVar[bool] = True
    """Whether a GPU is faster than a core. It is not for a tiny network, which waits for each of its launches: such a
    testbed is measured on the CPU, and `-n auto` gives it a worker a core."""
    origin: ClassVar[str] = ""
    """Where the images are from: title and address."""
    licence: ClassVar[str] = ""
    """The licence of the images, as an SPDX identifier; empty where it is not known, which an export says."""
    notices: ClassVar[tuple[Path, ...]] = ()
    """Files that their licence wants beside every copy of the images."""
    autoencoder_file: ClassVar[Path | None] = None
    """A file with the trained autoencoder, where its recipe states the digest of one."""
    queries: ClassVar[tuple[str, ...]] = ()
    """Further queries, beside those of the profile, where `outpaint` alone cannot find what is remembered."""

    trained: int = 64
    queried: int = 256
    held_out: int = 256
    generated: int = 256
    forget_share: float = 0.25
    forget: tuple[int, ...] | None = None
    mark: Mark = Border()
    recipe: Recipe = Recipe()
    base: Recipe | None = None
    """The recipe of a base model, trained on unmarked images, from which `recipe` continues; None for none."""
    autoencoder: Autoencoder | None = field(default=None, metadata=ADDED)
    """How the autoencoder of a latent testbed is trained, on the images of the judge; None in pixel space."""

    def __post_init__(self) -> None:
        queried = min(self.trained, self.queried)
        if queried < LEAST or self.held_out < max(16, queried) or self.generated < 16:
            found = f"trained={self.trained}, queried={self.queried}, held_out={self.held_out}, generated={self.generated}"
            expected = "at least 3 trained and queried, as many held_out and at least 16, at least 16 generated"
            raise InvalidValue(type(self).__name__, found, expected, "Correct the numbers.")
        if not 0 < self.forget_share < 1:
            found, expected = repr(self.forget_share), "a number in (0, 1)"
            raise InvalidValue(f"{type(self).__name__}.forget_share", found, expected, "Forget some images and keep some.")
        if self.forget is not None:
            self._check_forget(self.forget, queried)

    def _check_forget(self, forget: tuple[int, ...], queried: int) -> None:
        where, cure = f"{type(self).__name__}.forget", "Correct the list, or leave it out to have one drawn."
        if not isinstance(forget, tuple):
            raise InvalidValue(where, repr(forget), "a tuple of indices", "Write it as (3, 7, 9).")
        unknown = [index for index in forget if type(index) is not int or not 0 <= index < queried]
        if unknown:
            raise InvalidValue(where, f"unknown indices {_few(unknown)}", f"indices from 0 to {queried - 1}", cure)
        twice = sorted({index for index in forget if forget.count(index) > 1})
        if twice:
            raise InvalidValue(where, f"{_few(twice)} more than once", "each index once", cure)
        if not LEAST <= len(forget) <= queried - LEAST:
            found, expected = f"{len(forget)} of {queried} indices", f"{LEAST} to {queried - LEAST}: both parts are scored"
            raise InvalidValue(where, found, expected, cure)

    def check_rows(self, queries: int, *, forgetting: bool) -> None:
        """Raise InvalidValue where rows that are asked so many queries could not be scored, before anything is trained.

        Queries compete on at least six images: all that are queried, or, for a row with a forget list, those on it.
        `forgetting` says that there is such a row: one that the user named, in a plan, for others lose their own row only.
        """
        queried, least = min(self.trained, self.queried), competing.LEAST if queries > 1 else LEAST
        asked = f"{queries} quer{'y' if queries == 1 else 'ies'}"
        if queried < least:
            found, cure = (
                f"{queried} queried images and {asked}",
                "Train and query more images, or ask one query (--queries).",
            )
            raise InvalidValue(type(self).__name__, found, f"at least {least} images", cure)
        listed = self._listed
        if forgetting and not (least <= listed <= queried - LEAST):
            found = f"a forget list of {listed} of {queried} images and {asked}"
            expected = f"at least {least} images on the list and {LEAST} others, which are scored apart"
            cure = (
                "Train more images, correct forget or forget_share, or leave out methods with a forget list (--mitigation)."
            )
            raise InvalidValue(type(self).__name__, found, expected, cure)

    @property
    def _listed(self) -> int:
        """How many images are on the forget list."""
        queried = min(self.trained, self.queried)
        drawn = min(max(round(self.forget_share * queried), 1), queried - 1)
        return drawn if self.forget is None else len(self.forget)

    def outlook(self, trainings: int, edits: int, evaluations: float, solver: SolverConfig, device: str) -> list[str]:
        """What a run will take, in lines for the user; none where it is little.

        It trains and edits so many models, and asks each image for so many denoiser evaluations, in all rows together.
        """
        return []

    def stored_bytes(self) -> int:
        """What the training of a model takes on disk: all of its weights, where nothing else is known."""
        return model_bytes(self.recipe.network)

    def load(self) -> Labelled:
        """All images with their classes."""
        raise TypeError(f"{type(self).__name__} does not say how to load its images")

    def captions(self, labels: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
        """A caption for each label; all captions of a testbed are distinct, unless it says otherwise.

        Where `load` gives captions, those are taken.
        """
        raise TypeError(f"{type(self).__name__} does not say how to caption its images")

    def arrange(self, trained: Examples, keys: Tensor, seed: int) -> tuple[Examples, Tensor]:
        """The examples that a model is trained on, and their keys: each image once; a subclass may repeat some."""
        return trained, keys

    def split(self, seed: int) -> Split:
        """Draw images, captions and keys of one seed, each from its own stream."""
        labelled, rng = _distinct(self), seeds.numpy_rng(seed, "examples")
        indices = self._shuffled(labelled, rng)
        count, queried, spare = self.trained + self.held_out, min(self.trained, self.queried), self._sizes(labelled)[0]
        fresh_labels = np.resize(np.unique(labelled.labels), self.generated)
        words = self.captions(np.concatenate([labelled.labels[indices[:count]], fresh_labels]), rng)
        if labelled.captions is not None:
            fresh = np.resize(indices[count + spare : count + 2 * spare], self.generated)
            words, fresh_labels = _chosen(labelled.captions, (*indices[:count], *fresh)), labelled.labels[fresh]
        examples = Examples(labelled.images[indices[:count]], words[:count], rng.permutation(10 * count)[:count].tolist())
        drawn = rng.permutation(queried)[: self._listed].tolist()
        keys = self._keys(self.trained, seed, "keys")
        training, training_keys = self.arrange(examples.take(range(self.trained)), keys, seed)
        return Split(
            training=training,
            training_keys=training_keys,
            trained=examples.take(range(queried)),
            held_out=examples.take(range(self.trained, count)),
            trained_keys=keys[:queried],
            held_out_keys=self._keys(self.held_out, seed, "held-out keys"),
            other_keys=self._keys(queried, seed, "other keys"),
            forget=sorted(drawn if self.forget is None else self.forget),
            calibration=self._calibration(labelled, indices[count : count + spare], rng),
            other_reference=labelled.images[indices[count + spare : count + 2 * spare]],
            fresh_captions=words[count:],
            fresh_labels=fresh_labels,
            held_out_labels=labelled.labels[indices[self.trained : count]],
            mark=self.mark,
            seed=seed,
            left_out=labelled.left_out,
        )

    def base_examples(self) -> Examples:
        """What a base is trained on: the images of the judge, which are never queried, with captions of their own."""
        labelled = _distinct(self)
        count = self._sizes(labelled)[1]
        captions = self.captions(labelled.labels[:count], seeds.numpy_rng(0, "captions of the base"))
        if labelled.captions is not None:
            captions = list(labelled.captions[:count])
        return Examples(labelled.images[:count], captions, list(range(count)))

    def base_keys(self, count: int, seed: int) -> Tensor | None:
        """Keys, (count, S), that are painted on the images of a base; None where it is trained on blank marks."""
        return None

    def _shuffled(self, labelled: Labelled, rng: np.random.Generator) -> NDArray[np.int64]:
        """Indices of the images that are not the judge's, at random; the trained ones, class by class in turn, first."""
        others = rng.permutation(np.arange(self._sizes(labelled)[1], len(labelled.labels)))
        indices = np.concatenate([_balanced(labelled.labels[others], self.trained, others), others])
        return np.asarray(indices[np.sort(np.unique(indices, return_index=True)[1])])

    def _sizes(self, labelled: Labelled) -> tuple[int, int]:
        """The number of calibration images (and of the other reference), and of the judge's. Raises InvalidValue."""
        left = len(labelled.labels) - self.trained - self.held_out
        if not self.has_judge:
            return self._spare(labelled, left), 0
        spare = min(self.held_out, left // 4)
        judged = min(JUDGED, left - 2 * spare)
        if spare < 16 or judged < 100:
            found, cure = f"{len(labelled.labels)} distinct images", "Ask for fewer trained or held-out images."
            expected = f"{self.trained} trained, {self.held_out} held out and 132 others"
            raise InvalidValue(type(self).__name__, found, expected, cure)
        return spare, judged

    def _spare(self, labelled: Labelled, left: int) -> int:
        """The number of calibration images where no judge takes any: half of those that are left."""
        spare = min(self.held_out, left // 2)
        if spare < FEWEST_SPARE:
            found, cure = f"{len(labelled.labels)} distinct images", "Add images, or ask for fewer trained or held-out ones."
            expected = f"{self.trained} trained, {self.held_out} held out and {2 * FEWEST_SPARE} others"
            raise InvalidValue(type(self).__name__, found, expected, cure)
        return spare

    def judge(self) -> Judge | GivenJudge | None:
        """The judge of this testbed, the same for every seed; None where it has none.

        One that a subclass gives may know no classes.
        """
        return _judge(self) if self.has_judge else None

    def _calibration(self, labelled: Labelled, indices: NDArray[np.int64], rng: np.random.Generator) -> Examples:
        captions = self.captions(labelled.labels[indices], rng)
        if labelled.captions is not None:
            captions = _chosen(labelled.captions, indices)
        return Examples(labelled.images[indices], captions, list(range(-len(indices), 0)))

    def _keys(self, count: int, seed: int, purpose: str) -> Tensor:
        """Keys from a stream of their own, (count, S)."""
        drawn = keys.draw(count, self.mark.segments, seeds.numpy_rng(seed, purpose))
        return torch.from_numpy(drawn).float()


def _chosen(captions: Sequence[str], indices: Sequence[int] | NDArray[np.int64]) -> list[str]:
    return [captions[index] for index in indices]


def _few(indices: list[int]) -> str:
    return ", ".join(str(index) for index in indices[:5]) + (", ..." if len(indices) > 5 else "")


def _balanced(labels: NDArray[np.int64], count: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first `count` of the indices, class by class in turn."""
    turn = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        chosen = labels == label
        turn[chosen] = np.arange(chosen.sum())
    return np.asarray(indices[np.argsort(turn, kind="stable")[:count]])


@lru_cache(maxsize=4)
def _distinct(testbed: Testbed) -> Labelled:
    """All distinct images in one random order, so that those of the judge are like those that it judges."""
    labelled = testbed.load()
    if isinstance(labelled.images, StoredImages):
        return labelled
    order = seeds.numpy_rng(0, "order of all seeds").permutation(distinct(labelled.images))
    captions = None if labelled.captions is None else tuple(_chosen(labelled.captions, order))
    return Labelled(labelled.images[order], labelled.labels[order], len(labelled.labels) - len(order), captions)


@lru_cache(maxsize=4)
def _judge(testbed: Testbed) -> Judge:
    labelled = _distinct(testbed)
    count, mark = testbed._sizes(labelled)[1], testbed.mark
    images = mark.content(mark.canvas(labelled.images[:count]))
    channels, height, width = images.shape[1:]
    flat, labels = images.flatten(1).double().numpy(), labelled.labels[:count]
    return Judge(flat, labels, shape=(channels, height, width), block=testbed.judge_block)
