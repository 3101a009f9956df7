"""Queries: what the auditor asks a model in order to learn keys. One file each, found by entry point.

A query sees an `Audit`: the images with blank marks, their captions, and a service to generate with. It
never sees a key, so that the exact p-values of `scores` hold for any query, however adaptive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor

from .. import marks, seeds
from ..data import Examples
from ..errors import InvalidValue, PluginFault, SolidmarkError
from ..marks import Mark
from ..progress import Progress, silent
from ..sampling import Protocol, Service, noises

DECOY = 2
"""Side of the random interior block that is freed beside the mark, in pixels."""


class Access(Enum):
    """`api` goes through the mitigation's sampler, `weights` bypasses it."""

    API = "api"
    WEIGHTS = "weights"


@dataclass
class Audit:
    """All that a query may use: N canvases whose mark is blank, captions, mark, protocol, and the service.

    `decoy_errors` collects |answer - truth| over the freed interior block, (N,) for each outpainting.
    """

    examples: Examples
    mark: Mark
    protocol: Protocol
    service: Service
    seed: int
    name: str
    progress: Progress = silent
    decoy_errors: list[Tensor] = field(default_factory=list)

    @property
    def free(self) -> Tensor:
        """(N, 1, H, W) booleans: each image's mark and its decoy block, which no one tells apart."""
        height, width = self.examples.images.shape[-2:]
        marked = self.mark.masks(height, width).any(dim=0)
        return torch.stack([(marked | self._decoy(number, marked))[None] for number in self.examples.ids])

    def _decoy(self, number: int, marked: Tensor) -> Tensor:
        """A block of unmarked pixels at a place drawn for this image."""
        fits = (~marked).unfold(0, DECOY, 1).unfold(1, DECOY, 1).flatten(2).all(dim=2).nonzero()
        block = torch.zeros_like(marked)
        if len(fits):
            rng = seeds.torch_rng(self.seed, "decoy", number)
            top, left = fits[int(torch.randint(len(fits), (), generator=rng))].tolist()
            block[top : top + DECOY, left : left + DECOY] = True
        return block

    def outpaint(self, captions: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Answers in [0, 1], (N, C, H, W), to "fill in the mark of these images"; other `draw`s, other noise."""
        free, images = self.free, self.examples.images
        answers = self._sample(captions or self.examples.captions, free, draw)
        marked = self.mark.masks(*images.shape[-2:]).any(dim=0)
        decoy = (free & ~marked).expand_as(images)
        errors = torch.where(decoy, (answers - images).abs(), 0.0).flatten(1).sum(dim=1)
        self.decoy_errors.append(errors / decoy.flatten(1).sum(dim=1).clamp(min=1))
        return answers

    def generate(self, captions: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Plain generation from captions, all pixels free, (N, C, H, W) in [0, 1]."""
        return self._sample(captions or self.examples.captions, torch.ones_like(self.free), draw)

    def read(self, answers: Tensor) -> Tensor:
        """Predicted keys, (N, S)."""
        return marks.read(self.mark, answers)

    def _sample(self, captions: Sequence[str], free: Tensor, draw: int) -> Tensor:
        """In batches, trained and held-out images mixed by an order that depends on the seed alone."""
        examples, size = self.examples, self.protocol.batch
        if len(captions) != len(examples):
            cure = "Give one caption an image."
            raise InvalidValue("Audit", f"{len(captions)} captions", f"{len(examples)}", cure)
        order = torch.randperm(len(examples), generator=seeds.torch_rng(self.seed, "query order"))
        answers = torch.empty_like(examples.images)
        for done, places in enumerate(order.split(size)):
            rows = places.tolist()
            noise = noises(
                [examples.ids[row] for row in rows], self.service.model.shape, self.protocol.steps, self.seed, draw
            ).to(self.service.model.device)
            answers[places] = self.service.sample(
                [captions[row] for row in rows], examples.images[places], free[places], noise, self.protocol
            )
            self.progress(self.name, min((done + 1) * size, len(examples)), len(examples))
        return answers


@dataclass(frozen=True)
class Answer:
    """What a query says: predicted keys, (N, S) in [0, 1], and the images it read them from, where there are any."""

    keys: Tensor
    images: Tensor | None = None


@dataclass(frozen=True)
class Attack:
    """A query as a frozen dataclass: `access`, `reference`, and `ask`, which is all that an author writes."""

    access: ClassVar[Access] = Access.API
    reference: ClassVar[str] = ""

    def ask(self, audit: Audit) -> Answer:
        """Predicted keys of all images of the audit."""
        raise TypeError(f"{type(self).__name__} does not say how it asks")


def ask(attack: Attack, audit: Audit) -> Answer:
    """The attack's answer, checked: keys (N, S), finite, in [0, 1]. Raises PluginFault where they are not."""
    place = f"query {audit.name}"
    try:
        answer = attack.ask(audit)
    except SolidmarkError:
        raise
    except Exception as cause:
        found = f"{type(cause).__name__}: {cause}"
        raise PluginFault(place, found, "a query that answers", "See the cause above.") from cause
    expected = (len(audit.examples), audit.mark.segments)
    shape = tuple(answer.keys.shape) if isinstance(answer, Answer) else type(answer).__name__
    if shape != expected:
        raise PluginFault(place, f"{shape}", f"Answer(keys) of shape {expected}", "Return `Answer(audit.read(images))`.")
    if not bool(((answer.keys >= 0) & (answer.keys <= 1)).all()):
        raise PluginFault(place, "keys outside [0, 1] or NaN", "numbers in [0, 1]", "Clamp them; 0 is black, 1 is white.")
    return answer
