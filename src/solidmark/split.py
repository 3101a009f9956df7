"""A split: which images are trained on, which are held out, and the secret keys of both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from . import marks, seeds
from .data import Examples, join, says_something
from .marks import Mark


@dataclass(frozen=True)
class Split:
    """The images and keys of one seed of a testbed. Keys are (N, S) and belong to the examples of the same name.

    `training` are the examples that a model is trained on, with `training_keys`; `trained` are those of them that are
    queried, each once; `held_out` are never trained on. `forget` are indices of the trained examples that post-hoc
    methods must forget. `calibration` and `other_reference` are unmarked real images that are neither trained on nor
    queried; `fresh` captions were never trained on and name a class each. `held_out_labels` are the classes of the held-out
    images.
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
    held_out_labels: NDArray[np.int64]
    mark: Mark
    seed: int
    left_out: int = 0

    def marked(self, examples: Examples, image_keys: Tensor) -> Examples:
        """The examples with their keys painted."""
        return examples.with_images(marks.paint(self.mark, self.mark.canvas(examples.images), image_keys))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all images, captions, ids and keys: two splits with one fingerprint are the same."""
        digest = hashlib.sha256(repr((self.mark, self.seed, self.forget, self.fresh_captions)).encode())
        for part in (self.training, self.trained, self.held_out, self.calibration):
            digest.update(repr((part.captions, part.ids)).encode() + part.images.numpy().tobytes())
        keys = (self.training_keys, self.trained_keys, self.held_out_keys, self.other_keys)
        for tensor in (*keys, self.other_reference, self.mark_masks):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def training_digest(self) -> str:
        """sha256 of what a training without mitigation sees: splits that differ in held-out images share its model."""
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
        """The examples that a model is trained on, marked, each image once."""
        _, first = np.unique(self.training.ids, return_index=True)
        once = sorted(first.tolist())
        return self.marked(self.training.take(once), self.training_keys[once])

    @property
    def marked_trained(self) -> Examples:
        """The queried trained images, as they were trained on."""
        return self.marked(self.trained, self.trained_keys)

    @property
    def captioned(self) -> bool:
        """Whether the captions of this split say anything."""
        return any(says_something(caption) for caption in self.trained.captions)

    @property
    def queried(self) -> Examples:
        """Trained images, then held-out ones, as they are queried: on a canvas whose mark is blank."""
        both = join([self.trained, self.held_out])
        return both.with_images(self.mark.canvas(both.images))

    def handed_out(self) -> dict[str, Examples]:
        """The parts that a mitigation may declare a need for."""
        everything, held_out = self.marked_training, self.marked(self.held_out, self.held_out_keys)
        forget = self.marked_trained.take(self.forget)
        kept = [index for index, number in enumerate(everything.ids) if number not in set(forget.ids)]
        decoys = held_out.take(range(min(len(everything), len(held_out))))
        mixed = join([everything, decoys])
        order = seeds.numpy_rng(self.seed, "order of training images and decoys").permutation(len(mixed))
        return {
            "forget": forget,
            "retain": everything.take(kept),
            "training_images": mixed.take(order.tolist()),
            "calibration": self.calibration,
        }
