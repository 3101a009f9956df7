"""Queries: what the auditor asks a model in order to learn keys. One file each, found by entry point.

A query sees an `Audit`: the images with blank marks, their captions, and a service to generate with; with
access to the weights, the model too. It never sees a key, so that the exact p-values of `scores` hold for
any query, however adaptive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor

from .. import keys as key_rules
from .. import marks, seeds
from ..data import Examples
from ..errors import InvalidValue, PluginFault, SolidmarkError
from ..marks import Mark
from ..models import Denoiser
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

    `others` are marked images of the same kind whose keys are no one's secret and that are not asked for: what
    an auditor has who owns similar data. `decoy_errors` collects |answer - truth| over the freed interior block,
    (N,) for each outpainting; `refused` the queries that the service would not answer, (N,) booleans for each
    round of answers. `spent` counts denoiser evaluations an image, at what they cost without mitigation.
    """

    examples: Examples
    mark: Mark
    protocol: Protocol
    service: Service
    seed: int
    name: str
    access: Access = Access.API
    others: Examples | None = None
    budget: float = float("inf")
    progress: Progress = silent
    decoy_errors: list[Tensor] = field(default_factory=list)
    refused: list[Tensor] = field(default_factory=list)
    spent: float = 0.0

    @property
    def model(self) -> Denoiser:
        """The bare weights; only with access to them."""
        if self.access is not Access.WEIGHTS:
            found, cure = f"access {self.access.value}", "Write `access = Access.WEIGHTS` into the class."
            raise InvalidValue(f"query {self.name}, audit.model", found, "access weights", cure)
        return self.service.model

    @property
    def keys(self) -> Tensor:
        """Planted numbers, (N, S), that are no one's keys: a query whose answers follow them has looked where it may not."""
        return torch.from_numpy(key_rules.planted(len(self.examples), self.mark.segments, self.seed)).float()

    @property
    def marked(self) -> Tensor:
        """(H, W) booleans: the mark, the same for all images."""
        return self.mark.masks(*self.examples.images.shape[-2:]).any(dim=0)

    @property
    def free(self) -> Tensor:
        """(N, 1, H, W) booleans: each image's mark and its decoy block, which no one tells apart."""
        marked = self.marked
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

    def outpaint(
        self,
        captions: Sequence[str] | None = None,
        draw: int = 0,
        *,
        protocol: Protocol | None = None,
        begin: Tensor | None = None,
        embeddings: Tensor | None = None,
        service: Service | None = None,
    ) -> Tensor:
        """Answers in [0, 1], (N, C, H, W), to "fill in the mark of these images"; other `draw`s, other noise.

        `protocol`, images to `begin` from, `embeddings` (N, ...) instead of captions and another `service` replace
        the audit's own.
        """
        free, images = self.free, self.examples.images
        answers = self._sample(captions, free, draw, protocol, begin, embeddings, service)
        decoy = (free & ~self.marked).expand_as(images)
        errors = torch.where(decoy, (answers - images).abs(), 0.0).flatten(1).sum(dim=1)
        self.decoy_errors.append(errors / decoy.flatten(1).sum(dim=1).clamp(min=1))
        return answers

    def generate(self, captions: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Plain generation from captions, all pixels free, (N, C, H, W) in [0, 1]."""
        return self._sample(captions, torch.ones_like(self.free), draw, None, None, None, None)

    def read(self, answers: Tensor) -> Tensor:
        """Predicted keys, (N, S)."""
        return marks.read(self.mark, answers)

    def painted(self, keys: Tensor) -> Tensor:
        """The asked images with these keys, (N, S), painted on their marks."""
        return marks.paint(self.mark, self.examples.images, keys)

    def batches(self) -> list[Tensor]:
        """Places of the images, trained and held-out ones mixed by an order that depends on the seed alone."""
        order = torch.randperm(len(self.examples), generator=seeds.torch_rng(self.seed, "query order"))
        return list(order.split(self.protocol.batch))

    def spend(self, evaluations: float) -> None:
        """Note denoiser evaluations an image. Raises PluginFault beyond the query's declared cost."""
        self.spent += evaluations
        if self.spent > self.budget * (1 + 1e-9):
            found, expected = f"{self.spent:.0f} denoiser evaluations an image", f"at most {self.budget:.0f}, as declared"
            raise PluginFault(f"query {self.name}", found, expected, "Declare its whole `cost`, or ask less.")

    def _sample(
        self,
        captions: Sequence[str] | None,
        free: Tensor,
        draw: int,
        protocol: Protocol | None,
        begin: Tensor | None,
        embeddings: Tensor | None,
        service: Service | None,
    ) -> Tensor:
        examples, protocol, service = self.examples, protocol or self.protocol, service or self.service
        captions = self.examples.captions if captions is None else captions
        if len(captions) != len(examples):
            cure = "Give one caption an image."
            raise InvalidValue("Audit", f"{len(captions)} captions", f"{len(examples)}", cure)
        self.spend(protocol.evaluations)
        answers, refused, done = torch.empty_like(examples.images), torch.zeros(len(examples), dtype=torch.bool), 0
        for places in self.batches():
            rows, device = places.tolist(), service.model.device
            noise = noises([examples.ids[row] for row in rows], service.model.shape, protocol.draws, self.seed, draw)
            answers[places] = service.sample(
                [captions[row] for row in rows],
                examples.images[places],
                free[places],
                noise.to(device),
                protocol,
                begin=None if begin is None else begin[places],
                embeddings=None if embeddings is None else embeddings[places.to(embeddings.device)],
            )
            refused[places] = service.refused[-1]
            done += len(rows)
            self.progress(self.name, done, len(examples))
        self.refused.append(refused)
        return answers


@dataclass(frozen=True)
class Answer:
    """What a query says: predicted keys, (N, S) in [0, 1], and the images it read them from, where there are any."""

    keys: Tensor
    images: Tensor | None = None


@dataclass(frozen=True)
class Attack:
    """A query as a frozen dataclass: `access`, `reference`, `cost` and `ask` are what an author writes.

    `learns` marks a query that trains on images that a mitigation was told to keep, so that it says nothing of those.
    """

    access: ClassVar[Access] = Access.API
    reference: ClassVar[str] = ""
    learns: ClassVar[bool] = False

    def cost(self, protocol: Protocol) -> float:
        """Denoiser evaluations an image, forward and backward, at most, where nothing is mitigated: its budget."""
        return protocol.evaluations

    def ask(self, audit: Audit) -> Answer:
        """Predicted keys of all images of the audit. Raises NotApplicable on a model that the query cannot ask."""
        raise TypeError(f"{type(self).__name__} does not say how it asks")


def ask(attack: Attack, audit: Audit) -> Answer:
    """The attack's answer, checked: keys (N, S), finite, in [0, 1], within budget. Raises PluginFault where not."""
    place = f"query {audit.name}"
    answer = _guarded(place, lambda: attack.ask(audit))
    expected = (len(audit.examples), audit.mark.segments)
    shape = tuple(answer.keys.shape) if isinstance(answer, Answer) else type(answer).__name__
    if shape != expected:
        raise PluginFault(place, f"{shape}", f"Answer(keys) of shape {expected}", "Return `Answer(audit.read(images))`.")
    if not bool(((answer.keys >= 0) & (answer.keys <= 1)).all()):
        raise PluginFault(place, "keys outside [0, 1] or NaN", "numbers in [0, 1]", "Clamp them; 0 is black, 1 is white.")
    return answer


def _guarded(place: str, asks: Callable[[], Answer]) -> Answer:
    try:
        return asks()
    except SolidmarkError:
        raise
    except Exception as cause:
        found = f"{type(cause).__name__}: {cause}"
        raise PluginFault(place, found, "a query that answers", "See the cause above.") from cause
