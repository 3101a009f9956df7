"""Sampling: classifier-free guidance, known pixels replaced step by step, links round it.

A query and plain generation are the same call; plain generation has all pixels free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import seeds
from .composition import Composition
from .data import says_something
from .doors import Doors, check_asked
from .errors import InvalidValue, PluginFault
from .mitigation import Handover, Sampler

if TYPE_CHECKING:
    from .models import Model


@dataclass(frozen=True)
class Protocol:
    """The solver of a query: part of every row, never tuned for one.

    `steps` of DDIM (arXiv 2010.02502) with `eta` = 1, which is ancestral sampling on the visited
    timesteps; `guidance` is the classifier-free scale (arXiv 2207.12598); `batch` queries are sampled
    together, trained and held-out images mixed.
    """

    name: str = "fast"
    steps: int = 25
    eta: float = 1.0
    guidance: float = 3.0
    batch: int = 128

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not 0 <= self.eta <= 1 or not math.isfinite(self.guidance):
            expected = "steps and batch of at least 1, eta in [0, 1], a finite guidance"
            raise InvalidValue("Protocol", repr(self), expected, "Mend the numbers.")


@dataclass(frozen=True)
class Query:
    """A batch of B queries as a sampler link sees it; a link's `prepare` may return one with other fields.

    `noise` is x_T, (B, C, H, W); `free` (B, 1, H, W) booleans, the pixels that the model fills in (no
    one is told which of them are mark); `refused` (B,) booleans: these are answered by a blank image.
    """

    captions: list[str]
    embeddings: Tensor
    unconditional: Tensor
    noise: Tensor
    free: Tensor
    refused: Tensor
    times: list[int]
    guidance: float
    eta: float
    model: Model = field(repr=False)
    known: Tensor = field(repr=False)

    @property
    def conditional(self) -> Tensor:
        """(B,) booleans: queries whose caption has a word."""
        return torch.tensor([says_something(caption) for caption in self.captions], device=self.noise.device)

    def start(self, noise: Tensor) -> Tensor:
        """x_T as the network will see it, known pixels in place."""
        return self.hold(noise, noise, self.times[0])

    def hold(self, x: Tensor, noise: Tensor, t: int) -> Tensor:
        """x with its known pixels replaced by the true ones at the noise level of t (-1: clean)."""
        known = self.known if t < 0 else self.model.schedule.add_noise(self.known, noise, t)
        return torch.where(self.free, x, known)

    def progress(self, t: int) -> float:
        """Share of the steps done when the step from t begins, 0 to below 1."""
        return self.times.index(t) / len(self.times)


class BaseSampler(Sampler):
    """The innermost link: classifier-free guidance with the `guidance` doors folded over its scale."""

    inner: Any = None
    handover: Handover | None = None

    def __init__(self, model: Model, doors: Doors) -> None:
        self.model, self._doors, self.outer = model, doors, self

    def prepare(self, query: Query) -> Query:
        """As it is."""
        return query

    def scale(self, unconditional: Tensor, conditional: Tensor, t: int, query: Query) -> Any:
        """The protocol's scale, through the doors."""
        return self._doors.guidance(query.guidance, query.progress(t))

    def predict(self, x: Tensor, t: int, query: Query) -> Tensor:
        """eps_u + w (eps_c - eps_u); a branch of weight zero is not evaluated where nobody looks at it."""
        if not bool(query.conditional.any()):
            noise = self.model.predict(x, t, query.unconditional).noise
            self.outer.scale(noise, noise, t, query)
            return noise
        if self.outer is self:  # nobody else asks for the scale, so it is known before the branches
            scale = self.scale(x, x, t, query)
            if isinstance(scale, int | float) and scale in (0, 1):
                return self.model.predict(x, t, query.embeddings if scale else query.unconditional).noise
        conditional = self.model.predict(x, t, query.embeddings).noise
        unconditional = self.model.predict(x, t, query.unconditional).noise
        return guide(unconditional, conditional, self.outer.scale(unconditional, conditional, t, query))

    def after(self, x: Tensor, x0: Tensor, t: int, query: Query) -> Tensor:
        """As it is."""
        return x


def guide(unconditional: Tensor, conditional: Tensor, scale: Any) -> Tensor:
    """eps_u + w (eps_c - eps_u) for one w or (B,) of them; exactly a branch where w is the number 0 or 1."""
    if isinstance(scale, int | float) and scale in (0, 1):
        return conditional if scale else unconditional
    weights = torch.as_tensor(scale, device=conditional.device, dtype=conditional.dtype).reshape(-1, 1, 1, 1)
    return unconditional + weights * (conditional - unconditional)


class Service:
    """A model behind its sampling-side mitigations: what an honest provider offers, or, without them, the bare weights."""

    def __init__(
        self, model: Model, composition: Composition, seed: int, *purpose: object, data: dict[str, Any] | None = None
    ) -> None:
        self.model, self.composition = model, composition
        self._doors = Doors(composition, seed, "sampling", *purpose, data=data)

    def sample(self, captions: list[str], known: Tensor, free: Tensor, noises: Tensor, protocol: Protocol) -> Tensor:
        """Images in [0, 1], (B, C, H, W), whose known pixels are those given.

        `noises` is (B, 2 steps + 1, *shape): x_T, then for each step the solver's and the known pixels'.
        """
        with torch.no_grad():
            query = self._query(captions, known, free, noises[:, 0], protocol)
        link = self._doors.sampler(BaseSampler(self.model, self._doors))
        with torch.no_grad():
            query = link.prepare(query)
            x, levels = query.start(query.noise), [*query.times[1:], -1]
            for step, (t, to) in enumerate(zip(query.times, levels, strict=True)):
                solver, replaced = noises[:, 2 * step + 1], noises[:, 2 * step + 2]
                guided = self._checked(link.predict(x, t, query), x, f"step {step}")
                x, x0 = self.model.schedule.step(x, guided, t, to, query.eta, solver)
                x = self._checked(link.after(x, x0, t, query), x, f"step {step}")
                x = query.hold(x, replaced, to)
        check_asked(link)
        blank = torch.full_like(x, 0.0)
        return self.model.decode(torch.where(query.refused[:, None, None, None], blank, x)).cpu()

    def _query(self, captions: list[str], known: Tensor, free: Tensor, noise: Tensor, protocol: Protocol) -> Query:
        model = self.model
        captions = self._doors.caption(captions)
        present = torch.tensor([says_something(caption) for caption in captions])
        embeddings = self._doors.condition(model.embed(captions), present)
        times = model.schedule.times(protocol.steps)
        refused = torch.zeros(len(captions), dtype=torch.bool, device=noise.device)
        unconditional = model.embed([""] * len(captions))
        guidance, eta = protocol.guidance, protocol.eta
        free = free.to(noise.device)
        return Query(
            captions, embeddings, unconditional, noise, free, refused, times, guidance, eta, model, model.encode(known)
        )

    def _checked(self, changed: Tensor, given: Tensor, step: str) -> Tensor:
        if changed.shape != given.shape or not bool(changed.isfinite().all()):
            finite = "finite" if bool(changed.isfinite().all()) else "not finite"
            place = f"mitigation {self.composition.label}, sampler, {step}"
            found, expected = f"{tuple(changed.shape)}, {finite}", f"{tuple(given.shape)}, finite"
            raise PluginFault(place, found, expected, "Look at what the link or its weights return.")
        return changed


def noises(ids: Sequence[int], shape: tuple[int, ...], steps: int, seed: int, *purpose: object) -> Tensor:
    """(B, 2 steps + 1, *shape) normal noise, one stream an image, so that batches and devices change nothing."""
    return torch.stack(
        [
            torch.randn((2 * steps + 1, *shape), generator=seeds.torch_rng(seed, "query noise", *purpose, number))
            for number in ids
        ]
    )
