"""Sampling: classifier-free guidance, known pixels replaced step by step, links round it.

A query and plain generation are the same call; plain generation has all pixels free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import seeds
from .data import says_something
from .errors import InvalidValue, PluginFault
from .mitigation import Handover, Sampler
from .mitigation.composition import Composition
from .mitigation.hooks import Doors, check_asked

if TYPE_CHECKING:
    from .models import Denoiser
from .models import Query


@dataclass(frozen=True)
class Protocol:
    """The solver of a query: part of every row, never tuned for one.

    `steps` of DDIM (arXiv 2010.02502) with `eta` = 1, which is ancestral sampling on the visited
    timesteps; `guidance` is the classifier-free scale (arXiv 2207.12598); `batch` queries are sampled
    together, trained and held-out images mixed. With `rounds` above 1 each step is repeated, going back
    by fresh noise in between (RePaint, arXiv 2201.09865); with `strength` below 1 sampling starts from
    a given image, noised to that share of the steps.
    """

    name: str = "fast"
    steps: int = 25
    eta: float = 1.0
    guidance: float = 3.0
    batch: int = 128
    rounds: int = 1
    strength: float = 1.0

    def __post_init__(self) -> None:
        counts = min(self.steps, self.batch, self.rounds) >= 1
        if not (counts and 0 <= self.eta <= 1 and 0 < self.strength <= 1 and math.isfinite(self.guidance)):
            expected = "steps, batch and rounds of at least 1, eta in [0, 1], strength in (0, 1], a finite guidance"
            raise InvalidValue("Protocol", repr(self), expected, "Mend the numbers.")

    @property
    def visited(self) -> int:
        """How many of the steps are taken."""
        return max(1, round(self.strength * self.steps))

    @property
    def draws(self) -> int:
        """Noise tensors that one image needs: x_T, and in each round the solver's, the known pixels', the way back's."""
        return 1 + self.visited * (3 * self.rounds - 1)

    @property
    def evaluations(self) -> int:
        """Denoiser evaluations an image of one run, both branches, without any mitigation."""
        return 2 * self.visited * self.rounds


class BaseSampler(Sampler):
    """The innermost link: classifier-free guidance with the `guidance` doors folded over its scale."""

    inner: Any = None
    handover: Handover | None = None

    def __init__(self, model: Denoiser, doors: Doors) -> None:
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
    """A model behind its sampling-side mitigations: what an honest provider offers, or, without them, the bare weights.

    `refused` notes (B,) booleans for each call of `sample`: the queries that a link refused to answer.
    """

    def __init__(
        self, model: Denoiser, composition: Composition, seed: int, *purpose: object, data: dict[str, Any] | None = None
    ) -> None:
        self.model, self.composition = model, composition
        self.refused: list[Tensor] = []
        self._doors = Doors(composition, seed, "sampling", *purpose, data=data)

    @torch.no_grad()
    def sample(
        self,
        captions: list[str],
        known: Tensor,
        free: Tensor,
        noises: Tensor,
        protocol: Protocol,
        *,
        begin: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """Images in [0, 1], (B, C, H, W), whose known pixels are those given.

        `noises` is (B, protocol.draws, *shape). `begin` are the images to start from where the protocol's
        strength is below 1; `embeddings` stand in for those of the captions.
        """
        noise = iter(noises.unbind(dim=1))
        query = self._query(captions, known, free, next(noise), protocol, embeddings)
        if begin is not None:
            query = replace(
                query, noise=self.model.schedule.add_noise(self.model.encode(begin), query.noise, query.times[0])
            )
        link = self._doors.sampler(BaseSampler(self.model, self._doors))
        query = link.prepare(query)
        x = query.start(query.noise)
        for t, to in zip(query.times, [*query.times[1:], -1], strict=True):
            for again in reversed(range(protocol.rounds if to >= 0 else 1)):
                x = self._stepped(link, x, t, to, query, next(noise), next(noise))
                if again:
                    x = self.model.schedule.back(x, to, t, next(noise))
        check_asked(link)
        self.refused.append(query.refused.cpu())
        blank = torch.full_like(x, 0.0)
        return self.model.decode(torch.where(query.refused[:, None, None, None], blank, x)).cpu()

    def _stepped(self, link: Sampler, x: Tensor, t: int, to: int, query: Query, solver: Tensor, replaced: Tensor) -> Tensor:
        """One step from t to `to`: predict, solve, let the links change the sample, put the known pixels back."""
        guided = self._checked(link.predict(x, t, query), x, f"step from {t}")
        x, x0 = self.model.schedule.step(x, guided, t, to, query.eta, solver)
        return query.hold(self._checked(link.after(x, x0, t, query), x, f"step from {t}"), replaced, to)

    def _query(
        self,
        captions: list[str],
        known: Tensor,
        free: Tensor,
        noise: Tensor,
        protocol: Protocol,
        given: Tensor | None,
    ) -> Query:
        model = self.model
        captions = self._doors.caption(captions)
        present = torch.tensor([says_something(caption) for caption in captions])
        embeddings = self._doors.condition(model.embed(captions) if given is None else given, present)
        times = model.schedule.times(protocol.steps)[-protocol.visited :]
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


def noises(ids: Sequence[int], shape: tuple[int, ...], draws: int, seed: int, *purpose: object) -> Tensor:
    """(B, draws, *shape) normal noise, one stream an image, so that batches and devices change nothing."""
    return torch.stack(
        [torch.randn((draws, *shape), generator=seeds.torch_rng(seed, "query noise", *purpose, number)) for number in ids]
    )
