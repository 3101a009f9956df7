"""Queries: what an auditor asks a model in order to learn keys. One file each, found by entry point.

A query gets an `Audit`: the images with blank marks, their captions, and a service to generate with. With white-box
access it gets the model, too. It never gets a key, so the exact p-values of `scores` hold for any query, however
adaptive.
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
from ..errors import InvalidValue, PluginFault
from ..marks import Mark
from ..mitigation.guard import alone, plugin_code
from ..models import Denoiser
from ..progress import Progress, silent
from ..sampling import Drawing, Service, SolverConfig, draw, of_image

COMPANY = "utility"
"""The purpose of the noise of fresh captions."""
DECOY = 2
"""Side in pixels of the random block inside the image that is masked in addition to the mark, in latent space a cell."""


def decoy(seed: int, number: int, marked: Tensor, cell: int = 1) -> Tensor:
    """A block of unmarked pixels, drawn for the image of this number, (H, W) booleans; empty where none fits.

    Where x has cells of several pixels, the block is one of them: another would mask all cells that it touches.
    """
    side, step = max(DECOY, cell), cell
    fits = (~marked).unfold(0, side, step).unfold(1, side, step).flatten(2).all(dim=2).nonzero() * step
    block = torch.zeros_like(marked)
    if len(fits):
        rng = seeds.torch_rng(seed, "decoy", number)
        top, left = fits[int(torch.randint(len(fits), (), generator=rng))].tolist()
        block[top : top + side, left : left + side] = True
    return block


class Access(Enum):
    """How a query reaches the model: `black-box` by the mitigation's sampler, as a user does, `white-box` by the weights."""

    BLACK_BOX = "black-box"
    WHITE_BOX = "white-box"


@dataclass(frozen=True)
class _Request:
    """One round of sampling for all images: what replaces the audit's own captions, solver and service."""

    captions: Sequence[str] | None
    mask: Tensor
    draw: int
    solver: SolverConfig | None = None
    begin: Tensor | None = None
    embeddings: Tensor | None = None
    service: Service | None = None


@dataclass(frozen=True)
class Pictures:
    """One plain generation for each image of an audit: (N, C, H, W) in [0, 1], and which were refused, (N,) booleans."""

    images: Tensor
    refused: Tensor


@dataclass
class Company:
    """Fresh captions that are asked in the batches of an audit's first sampling, where nothing tells them from its images.

    `observed`, (F, C, H, W) in [0, 1], and `mask`, (F, 1, H, W), are as those of a batch; `numbers` name the noise of each.
    `answers`, (F, C, H, W), and `refused`, (F,) booleans, are there once they were asked.
    """

    captions: list[str]
    observed: Tensor
    mask: Tensor
    numbers: list[int]
    answers: Tensor | None = None
    refused: Tensor | None = None

    def __len__(self) -> int:
        return len(self.captions)

    def answered(self, answers: Tensor, refused: Tensor) -> None:
        """Take the answers."""
        self.answers, self.refused = answers, refused


@dataclass
class Audit:
    """All that a query may use: N images whose mark is blank, their captions, the mark, the solver, and the service.

    `others` are marked images of the same kind that the query does not ask about and whose keys are not secret: an
    auditor may own similar data. `pictures` are what plain generation gave for the audit's captions where it was done
    before; `generate` then gives them again. `company` are fresh captions that are asked along. `decoy_errors` collects
    the mean |answer - truth| over the decoy block, (N,) for each outpainting. `refused` collects which images the service
    refused, (N,) booleans for each round of sampling. `spent` counts denoiser evaluations an image, at their cost without
    mitigation; `budget` is its limit.
    """

    examples: Examples
    mark: Mark
    solver: SolverConfig
    service: Service
    seed: int
    name: str
    access: Access = Access.BLACK_BOX
    others: Examples | None = None
    budget: float = float("inf")
    progress: Progress = silent
    pictures: Pictures | None = None
    company: Company | None = None
    decoy_errors: list[Tensor] = field(default_factory=list)
    refused: list[Tensor] = field(default_factory=list)
    spent: float = 0.0

    @property
    def model(self) -> Denoiser:
        """The bare weights. Raises InvalidValue without white-box access."""
        if self.access is not Access.WHITE_BOX:
            found, cure = f"access {self.access.value}", "Write `access = Access.WHITE_BOX` into the class."
            raise InvalidValue(f"query {self.name}, audit.model", found, "access white-box", cure)
        return self.service.model

    @property
    def keys(self) -> Tensor:
        """Planted numbers, (N, S), that are the keys of no image. A query whose answers follow them has peeked."""
        return torch.from_numpy(key_rules.planted(len(self.examples), self.mark.segments, self.seed)).float()

    @property
    def marked(self) -> Tensor:
        """The pixels of the mark, the same for all images, (H, W) booleans."""
        return self.mark.masks(*self.examples.images.shape[-2:]).any(dim=0)

    @property
    def mask(self) -> Tensor:
        """The pixels that the model fills in, (N, 1, H, W) booleans: the mark, and a decoy block for each image."""
        marked, cell = self.marked, self.service.model.space.factor
        rows = [(marked | decoy(self.seed, number, marked, cell))[None] for number in self.examples.ids]
        return torch.stack(rows) if rows else marked.new_empty(0, 1, *marked.shape)

    def outpaint(
        self,
        captions: Sequence[str] | None = None,
        draw: int = 0,
        *,
        solver: SolverConfig | None = None,
        begin: Tensor | None = None,
        embeddings: Tensor | None = None,
        service: Service | None = None,
    ) -> Tensor:
        """The images with their mask filled in by the service, (N, C, H, W) in [0, 1]. Each `draw` has its own noise.

        `captions`, `solver` and `service` replace the audit's own. `begin` are images to start from (see
        `SolverConfig.strength`). `embeddings`, (N, ...), replace those of the captions. Raises PluginFault where the
        budget is exceeded.
        """
        mask, images = self.mask, self.examples.images
        answers = self._sample(_Request(captions, mask, draw, solver, begin, embeddings, service))
        decoy = (mask & ~self.marked).expand_as(images)
        errors = torch.where(decoy, (answers - images).abs(), 0.0).flatten(1).sum(dim=1)
        self.decoy_errors.append(errors / decoy.flatten(1).sum(dim=1).clamp(min=1))
        return answers

    def generate(self, captions: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Images generated from captions alone, the mask covering all pixels, (N, C, H, W) in [0, 1].

        A case generates once: every query through the service that asks for the first draw of the audit's own captions
        gets the same pictures.
        """
        if self.pictures is not None and captions is None and draw == 0:
            self.spend(self.solver.evaluations)
            self.refused.append(self.pictures.refused.clone())
            return self.pictures.images.clone()
        return self._sample(_Request(captions, torch.ones_like(self.mask), draw))

    def read(self, answers: Tensor) -> Tensor:
        """The keys read from images, (N, S)."""
        return marks.read(self.mark, answers)

    def painted(self, keys: Tensor) -> Tensor:
        """The images with these keys, (N, S), painted on their marks."""
        return marks.paint(self.mark, self.examples.images, keys)

    def batches(self, company: int = 0) -> list[Tensor]:
        """Indices of the images in batches, trained and held-out ones mixed in an order that depends on the seed alone.

        Those of `company` more requests follow on the images'.
        """
        order = torch.randperm(len(self.examples) + company, generator=seeds.torch_rng(self.seed, "query order"))
        return list(order.split(self.solver.batch))

    def spend(self, evaluations: float) -> None:
        """Count denoiser evaluations an image. Raises PluginFault beyond the query's declared cost."""
        self.spent += evaluations
        if self.spent > self.budget * (1 + 1e-9):
            found, expected = f"{self.spent:.0f} denoiser evaluations an image", f"at most {self.budget:.0f}, as declared"
            raise PluginFault(f"query {self.name}", found, expected, "Declare its whole `cost`, or sample less.")

    def _sample(self, request: _Request) -> Tensor:
        examples, solver, service = self.examples, request.solver or self.solver, request.service or self.service
        captions = examples.captions if request.captions is None else request.captions
        if len(captions) != len(examples):
            cure = "Give one caption an image."
            raise InvalidValue("Audit", f"{len(captions)} captions", f"{len(examples)}", cure)
        self.spend(solver.evaluations)
        count, company = len(examples), self._company(request)
        captions = [*captions, *company.captions]
        observed = torch.cat([torch.where(request.mask, marks.BLANK, examples.images), company.observed])
        mask = torch.cat([request.mask, company.mask])
        answers, refused, done = torch.empty_like(observed), torch.zeros(len(observed), dtype=torch.bool), 0
        for indices in self.batches(len(company)):
            rows = indices.tolist()
            answers[indices] = service.sample(
                [captions[row] for row in rows],
                observed[indices],
                mask[indices],
                self._noises(rows, company, solver, request.draw, service),
                solver,
                begin=_rows_of(request.begin, indices),
                embeddings=_rows_of(request.embeddings, indices),
            )
            refused[indices] = service.refused[-1]
            done += len(rows)
            self.progress(self.name, done, len(observed))
        company.answered(answers[count:], refused[count:])
        self.refused.append(refused[:count])
        return answers[:count]

    def _company(self, request: _Request) -> Company:
        """The requests that are asked along: those of `company` once, then none."""
        alike = request.begin is None and request.embeddings is None
        if self.company is not None and self.company.answers is None and alike:
            return self.company
        images = self.examples.images[:0]
        return Company([], images, torch.ones_like(images[:, :1], dtype=torch.bool), [])

    def _noises(
        self, rows: list[int], company: Company, solver: SolverConfig, number: int, service: Service
    ) -> Tensor | Drawing:
        """The noise of a batch: each image has its own, whatever it is asked with."""
        count, ids = len(self.examples), self.examples.ids
        owners = [(ids[row], number) if row < count else (company.numbers[row - count], COMPANY) for row in rows]
        streams = [of_image(owner, self.seed, purpose) for owner, purpose in owners]
        return draw(streams, service.model.shape, solver.draws, service.model.device)


def _rows_of(tensor: Tensor | None, indices: Tensor) -> Tensor | None:
    return None if tensor is None else tensor[indices.to(tensor.device)]


@dataclass(frozen=True)
class Answer:
    """A query's answer: predicted keys, (N, S) in [0, 1], and the images that they were read from, where there are any."""

    keys: Tensor
    images: Tensor | None = None


@dataclass(frozen=True)
class Attack:
    """A query as a frozen dataclass. An author writes `access`, `reference`, `cost` and `ask`.

    `learns` marks a query that trains on the retained images of a forget list, so that it measures nothing on those.
    """

    access: ClassVar[Access] = Access.BLACK_BOX
    reference: ClassVar[str] = ""
    learns: ClassVar[bool] = False

    def cost(self, solver: SolverConfig) -> float:
        """The budget: at most so many denoiser evaluations an image, forward and backward, without mitigation."""
        return solver.evaluations

    def ask(self, audit: Audit) -> Answer:
        """Predicted keys of all images of the audit. Raises NotApplicable for a model that the query cannot ask."""
        raise TypeError(f"{type(self).__name__} does not define how it asks")


def ask(attack: Attack, audit: Audit) -> Answer:
    """The attack's answer, checked: keys of shape (N, S), finite, in [0, 1]. Raises PluginFault where it is not so."""
    where = f"query {audit.name}"
    answer = _guard(where, attack.ask, audit)
    expected = (len(audit.examples), audit.mark.segments)
    shape = tuple(answer.keys.shape) if isinstance(answer, Answer) else type(answer).__name__
    if shape != expected:
        raise PluginFault(where, f"{shape}", f"Answer(keys) of shape {expected}", "Return `Answer(audit.read(images))`.")
    if not bool(((answer.keys >= 0) & (answer.keys <= 1)).all()):
        raise PluginFault(where, "keys outside [0, 1] or NaN", "numbers in [0, 1]", "Clamp them; 0 is black, 1 is white.")
    return answer


def _guard(where: str, asks: Callable[..., Answer], *asked: Audit) -> Answer:
    """The answer; an exception of the query's own code becomes a PluginFault with its cause."""
    with plugin_code(where, "a query that answers"):
        return alone(asks, *asked)
