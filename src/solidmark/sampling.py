"""Sampling: classifier-free guidance, observed pixels put back at every step, and wrappers round both.

A query and plain generation are the same call. In plain generation the mask covers all pixels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import seeds
from .data import says_something
from .errors import InvalidValue, NotApplicable, PluginFault
from .marks import BLANK
from .mitigation import Sampler, WrapperContext
from .mitigation.composition import Composition
from .mitigation.guard import alone
from .mitigation.handout import HandedOut
from .mitigation.hooks import SAMPLING, Hooks, check_overrides, is_scale, signature
from .models import Evaluations, SamplingBatch, meter_work, metered
from .pipelines import Counts, Loaded, ask
from .provenance import ADDED
from .schema.record import Reports, SolverBlock

if TYPE_CHECKING:
    from .models import Denoiser


TOGETHER = 2**18
"""Numbers of x up to which both branches of guidance pass a network on a CPU in one call."""


@dataclass(frozen=True)
class SolverConfig:
    """The solver of a query. It is a part of every row and is never tuned for one.

    `steps` are steps of DDIM (arXiv 2010.02502). An `eta` of 1 is ancestral sampling on the visited timesteps.
    `guidance` is the classifier-free scale (arXiv 2207.12598). `batch` queries are sampled together, trained and
    held-out images mixed. With `rounds` above 1 each step is repeated, and fresh noise leads back in between (RePaint,
    arXiv 2201.09865). With `strength` below 1 sampling starts from a given image, noised to that share of the steps
    (SDEdit, arXiv 2108.01073). In latent space the observed latents are encoded anew after every `reencode` steps, never
    for 0; with `renew_all` the masked ones are replaced as well, as SolidMark does it (arXiv 2503.00592). Raises
    InvalidValue for numbers out of range.
    """

    name: str = "fast"
    steps: int = 25
    eta: float = 1.0
    guidance: float = 3.0
    batch: int = 128
    rounds: int = 1
    strength: float = 1.0
    reencode: int = field(default=0, metadata=ADDED)
    renew_all: bool = field(default=False, metadata=ADDED)

    def __post_init__(self) -> None:
        counts = min(self.steps, self.batch, self.rounds) >= 1 and self.reencode >= 0
        if not (counts and 0 <= self.eta <= 1 and 0 < self.strength <= 1 and math.isfinite(self.guidance)):
            expected = (
                "steps, batch and rounds of at least 1, reencode of at least 0, eta in [0, 1], strength in (0, 1], "
                "a finite guidance"
            )
            raise InvalidValue("SolverConfig", repr(self), expected, "Correct the numbers.")

    def as_block(self) -> SolverBlock:
        """The fields, for a record."""
        block: SolverBlock = {
            "name": self.name,
            "steps": self.steps,
            "eta": self.eta,
            "guidance": self.guidance,
            "batch": self.batch,
            "rounds": self.rounds,
            "strength": self.strength,
        }
        return {**block, "reencode": self.reencode, "renew_all": self.renew_all} if self.reencode else block

    @property
    def visited(self) -> int:
        """How many of the steps are taken."""
        return max(1, round(self.strength * self.steps))

    @property
    def draws(self) -> int:
        """Noise tensors that one image needs: x_T, and what each step needs (see `Noises`)."""
        return 1 + self.visited * self.draws_a_step

    @property
    def draws_a_step(self) -> int:
        """In each round one for the solver and one for the observed pixels, and one between two rounds for the way back."""
        return 3 * self.rounds - 1

    @property
    def evaluations(self) -> int:
        """Denoiser evaluations an image of one run: both branches, without mitigation."""
        return 2 * self.visited * self.rounds


LANES = 16
"""Numbers that torch draws together on a CPU: draws of a multiple are the same one after another as all at once."""
HELD = 2**26
"""Bytes of noise that a batch holds for a whole run; more is drawn step by step."""


class Drawing:
    """The noise of a run as it is needed: `drawing[:, i]` is draw i of all images, (B, *shape), each draw once and in order.

    The numbers are those of `noises`, without all of them in memory: for 128 images of 36 x 36 latents, 100 steps need
    half a gigabyte. `generators` has one an image.
    """

    def __init__(self, generators: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device) -> None:
        self._generators, self._shape, self._device, self._next = generators, shape, device, 0

    def __getitem__(self, index: tuple[slice, int]) -> Tensor:
        """Draw i. Raises IndexError for one that has gone by."""
        if index[1] < self._next:
            raise IndexError(f"draw {index[1]} after draw {self._next - 1}: each is taken once, in order")
        drawn = self._draw()
        while self._next <= index[1]:
            drawn = self._draw()
        return drawn.to(self._device)

    def _draw(self) -> Tensor:
        self._next += 1
        return torch.stack([torch.randn(self._shape, generator=generator) for generator in self._generators])


@dataclass(frozen=True)
class Noises:
    """The normal noise of one run by name, (B, C, H, W) each. `draws` are all of it, (B, config.draws, C, H, W)."""

    draws: Tensor | Drawing
    config: SolverConfig

    @property
    def initial(self) -> Tensor:
        """x_T."""
        return self.draws[:, 0]

    def solver(self, step: int, round_: int) -> Tensor:
        """The noise that the solver adds in this round of a step."""
        return self.draws[:, self._first(step, round_)]

    def observed(self, step: int, round_: int) -> Tensor:
        """The noise of the observed pixels in this round of a step."""
        return self.draws[:, self._first(step, round_) + 1]

    def renoise(self, step: int, round_: int) -> Tensor:
        """The noise that leads back to the beginning of the step, for another round."""
        return self.draws[:, self._first(step, round_) + 2]

    def _first(self, step: int, round_: int) -> int:
        return 1 + step * self.config.draws_a_step + 3 * round_


class BaseSampler(Sampler):
    """The innermost wrapper: classifier-free guidance, its scale changed by the `guidance` hooks."""

    inner: Any = None
    context: WrapperContext | None = None

    def __init__(self, model: Denoiser, hooks: Hooks) -> None:
        self.model, self._hooks, self.outer = model, hooks, self

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """As it is."""
        return batch

    def scale(self, unconditional: Tensor, conditional: Tensor, t: int, batch: SamplingBatch) -> Any:
        """The solver's scale, changed by the hooks."""
        return self._hooks.guidance(batch.guidance, batch.step_fraction(t))

    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """eps_u + w (eps_c - eps_u). A branch of weight zero is not evaluated where no wrapper needs it."""
        if not bool(batch.conditional.any()):
            noise = self.model.predict(x, t, batch.unconditional).noise
            self.outer.scale(noise, noise, t, batch)
            return noise
        if self.outer is self:  # no wrapper changes the scale, so it does not depend on the branches
            scale = self.scale(x, x, t, batch)
            if isinstance(scale, int | float) and scale in (0, 1):
                return self.model.predict(x, t, batch.embeddings if scale else batch.unconditional).noise
        conditional, unconditional = self._branches(x, t, batch)
        return guide(
            unconditional, conditional, self._checked(self.outer.scale(unconditional, conditional, t, batch), len(x))
        )

    def _branches(self, x: Tensor, t: int, batch: SamplingBatch) -> tuple[Tensor, Tensor]:
        """The noise under the captions and under the null condition. On a CPU small batches pass together, for less."""
        given, null = batch.embeddings, batch.unconditional
        small = x.device.type == "cpu" and x.numel() <= TOGETHER and self.model.config.precision == "float32"
        if small and given.shape == null.shape:
            conditional, unconditional = self.model.predict(torch.cat([x, x]), t, torch.cat([given, null])).noise.chunk(2)
            return conditional, unconditional
        return self.model.predict(x, t, given).noise, self.model.predict(x, t, null).noise

    def _checked(self, scale: Any, count: int) -> Any:
        """The scale. Raises PluginFault for what is neither a finite number nor `count` of them."""
        if not is_scale(scale) or (isinstance(scale, Tensor) and scale.numel() not in (1, count)):
            found = signature(scale) if isinstance(scale, Tensor) else repr(scale)[:80]
            where, expected = f"mitigation {self._hooks.label}, sampler, scale", f"a finite number, or ({count},) of them"
            raise PluginFault(where, found, expected, "Return one number, or one a query.")
        return scale

    def after(self, x: Tensor, x0: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """As it is."""
        return x


def guide(unconditional: Tensor, conditional: Tensor, scale: Any) -> Tensor:
    """eps_u + w (eps_c - eps_u) for one w or (B,) of them. Exactly one branch where w is the number 0 or 1."""
    if isinstance(scale, int | float) and scale in (0, 1):
        return conditional if scale else unconditional
    weights = torch.as_tensor(scale, device=conditional.device, dtype=conditional.dtype).reshape(-1, 1, 1, 1)
    return unconditional + weights * (conditional - unconditional)


class Service:
    """A model behind its sampling-side mitigations, as an honest provider offers it. Without them, the bare weights.

    `refused` has (B,) booleans for each call of `sample`: the queries that a wrapper refused to answer. Where a mitigation
    brings a diffusers `pipeline`, that answers, and `warnings` say what is to be known of its answers.
    """

    def __init__(
        self, model: Denoiser, composition: Composition, seed: int, *purpose: object, data: HandedOut | None = None
    ) -> None:
        self.model, self.composition = model, composition
        self.refused: list[Tensor] = []
        self.warnings: list[str] = []
        self._seed, self._hooks = seed, Hooks(composition, seed, SAMPLING, *purpose, data=data)

    @torch.no_grad()
    def sample(
        self,
        captions: list[str],
        observed: Tensor,
        mask: Tensor,
        noises: Tensor | Drawing,
        solver: SolverConfig,
        *,
        begin: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """Images in [0, 1], (B, C, H, W), that the model fills in where `mask` is True. The other pixels are `observed`.

        `observed` is (B, C, H, W) in [0, 1], `mask` (B, 1, H, W) booleans, `noises` (B, solver.draws, *shape). `begin`
        are the images to start from where the solver's strength is below 1. `embeddings` replace those of the captions.
        Raises PluginFault for what a wrapper may not return, and for an overridden method that was never called.
        """
        if self.pipeline is not None:
            if begin is not None or embeddings is not None or solver.rounds > 1 or solver.strength < 1:
                found, cure = "images to begin from, embeddings or steps back", "Ask by a query that needs none of them."
                raise NotApplicable(f"pipeline {self.composition.label}", found, "captions and given pixels", cure)
            return alone(self._ask_pipeline, self.pipeline, captions, observed, mask, noises, solver)
        noise = Noises(noises, solver)
        return alone(self._sample, captions, observed, mask, noise, solver, begin, embeddings)

    @property
    def doses(self) -> Reports:
        """What the mitigations really did to all queries so far, by family: means of what they say (`Data.dose`)."""
        return self._hooks.reported

    @cached_property
    def pipeline(self) -> Loaded | None:
        """The diffusers pipeline that answers in the place of the sampler below, where a mitigation brings one."""
        return self._hooks.pipeline(self.model)

    def _ask_pipeline(
        self,
        loaded: Loaded,
        captions: list[str],
        observed: Tensor,
        mask: Tensor,
        noises: Tensor | Drawing,
        solver: SolverConfig,
    ) -> Tensor:
        """The images as a pipeline fills them in, by as many steps, with as much guidance, each with noise of its own.

        What it computes is counted, by whichever network.
        """
        ids = [int.from_bytes(hashlib.sha256(one.cpu().numpy().tobytes()).digest()[:7]) for one in noises[:, 0]]
        with metered() as seen, torch.enable_grad():  # a mitigation may descend a loss; what samples says no_grad itself
            answers = ask(
                loaded,
                observed.cpu(),
                mask.cpu(),
                captions,
                steps=solver.steps,
                guidance=solver.guidance,
                batch=min(loaded.batch, len(captions)),
                every=solver.reencode,
                seed=self._seed,
                ids=ids,
            )
        self._count(answers.counts, seen)
        self.warnings += [text for text in answers.warnings if text not in self.warnings]
        self.refused.append(answers.refused)
        return answers.images

    def _count(self, counts: Counts, seen: Evaluations) -> None:
        """Count what a pipeline computed; what its networks have metered themselves is `seen` already."""
        own = self.model.evaluations
        found = {
            "forward": counts.denoiser,
            "backward": counts.backward,
            "encoded": counts.encoded,
            "decoded": counts.decoded,
        }
        for name, count in found.items():
            setattr(own, name, getattr(own, name) + max(count, getattr(seen, name)))
            meter_work(**{name: max(count - getattr(seen, name), 0)})

    def _sample(
        self,
        captions: list[str],
        observed: Tensor,
        mask: Tensor,
        noise: Noises,
        solver: SolverConfig,
        begin: Tensor | None,
        embeddings: Tensor | None,
    ) -> Tensor:
        """The images. No caller is above it, so that code which wrappers leave in a network does not see who asks."""
        batch = self._batch(captions, observed, mask, noise.initial, solver, embeddings)
        if begin is not None:
            started = self.model.schedule.add_noise(self.model.encode(begin), batch.noise, batch.times[0])
            batch = replace(batch, noise=started)
        wrapper = self._hooks.sampler(BaseSampler(self.model, self._hooks))
        batch = self._prepared(wrapper.prepare(batch), batch)
        x = batch.start(batch.noise)
        for step, (t, to) in enumerate(zip(batch.times, batch.targets, strict=True)):
            rounds = solver.rounds if to >= 0 else 1
            for round_ in range(rounds):
                x, x0 = self._step(wrapper, x, t, to, batch, noise.solver(step, round_))
                x, batch = batch.end_step(step, x, x0, noise.observed(step, round_), to)
                if round_ < rounds - 1:
                    x = self.model.schedule.back(x, to, t, noise.renoise(step, round_))
        check_overrides(wrapper)
        self.refused.append(batch.refused.cpu())
        images = self.model.decode(x)
        if batch.pixels is not None and batch.shown is not None:
            images = torch.where(batch.shown, batch.pixels, images)
        return torch.where(batch.refused[:, None, None, None], BLANK, images).cpu()

    def _step(
        self,
        wrapper: Sampler,
        x: Tensor,
        t: int,
        to: int,
        batch: SamplingBatch,
        solver_noise: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """One step from t to `to`: predict, solve, let the wrappers change the sample. The sample, and the solver's x0."""
        guided = self._check(wrapper.predict(x, t, batch), x, f"step from {t}")
        x, x0 = self.model.schedule.step(x, guided, t, to, batch.eta, solver_noise)
        return self._check(wrapper.after(x, x0, t, batch), x, f"step from {t}"), x0

    def _batch(
        self,
        captions: list[str],
        observed: Tensor,
        mask: Tensor,
        noise: Tensor,
        solver: SolverConfig,
        embeddings: Tensor | None,
    ) -> SamplingBatch:
        """The batch as wrappers see it: captions and embeddings changed by the hooks."""
        model = self.model
        captions = self._hooks.caption(captions, model.fits)
        present = torch.tensor([says_something(caption) for caption in captions])
        embeddings = self._hooks.condition(model.embed(captions) if embeddings is None else embeddings, present)
        times = model.schedule.times(solver.steps)[-solver.visited :]
        refused = torch.zeros(len(captions), dtype=torch.bool, device=noise.device)
        unconditional = model.embed([""] * len(captions))
        guidance, eta = solver.guidance, solver.eta
        mask, pixels = mask.to(noise.device), observed.to(noise.device)
        latent = model.space.factor > 1
        renews = solver.renew_all or not bool(mask.all())  # else there is nothing observed to encode anew
        return SamplingBatch(
            captions,
            embeddings,
            unconditional,
            noise,
            model.cells(mask),
            refused,
            times,
            guidance,
            eta,
            model,
            model.encode(observed),
            pixels=pixels if latent else None,
            shown=~mask if latent else None,
            reencode=solver.reencode if renews else 0,
            renew_all=solver.renew_all,
            steps=solver.steps,
        )

    def _prepared(self, changed: SamplingBatch, given: SamplingBatch) -> SamplingBatch:
        """The prepared batch. Raises PluginFault for another number of queries, or tensors that do not fit."""
        where, cure = f"mitigation {self.composition.label}, sampler, prepare", "Return `dataclasses.replace(batch, ...)`."
        if not isinstance(changed, SamplingBatch):
            raise PluginFault(where, type(changed).__name__, "a SamplingBatch", cure)
        for name in ("noise", "mask", "refused", "observed", "embeddings", "unconditional"):
            old, new = getattr(given, name), getattr(changed, name)
            rows = 1 if name in ("embeddings", "unconditional") else old.ndim  # a caption may have more or fewer tokens
            if not isinstance(new, Tensor) or new.shape[:rows] != old.shape[:rows] or not bool(new.isfinite().all()):
                found = f"{name} {signature(new)}"
                raise PluginFault(where, found, f"finite, {tuple(old.shape[:rows])}{', ...' if rows == 1 else ''}", cure)
        if len(changed.captions) != len(given.captions):
            raise PluginFault(where, f"{len(changed.captions)} captions", f"{len(given.captions)}", cure)
        return changed

    def _check(self, changed: Tensor, given: Tensor, step: str) -> Tensor:
        """The changed tensor. Raises PluginFault where its shape is another one, or a number is not finite."""
        if not isinstance(changed, Tensor) or changed.shape != given.shape or not bool(changed.isfinite().all()):
            where = f"mitigation {self.composition.label}, sampler, {step}"
            finite = ", finite" if isinstance(changed, Tensor) and bool(changed.isfinite().all()) else ""
            found, expected = f"{signature(changed)}{finite}", f"{signature(given)}, finite"
            raise PluginFault(where, found, expected, "Look at what the wrapper or its weights return.")
        return changed


def noises(ids: Sequence[int], shape: tuple[int, ...], draws: int, seed: int, *purpose: object) -> Tensor:
    """Normal noise of these images, (B, draws, *shape), from one stream an image: batches and devices change nothing."""
    return torch.stack([torch.randn((draws, *shape), generator=of_image(number, seed, *purpose)) for number in ids])


def of_image(number: int, seed: int, *purpose: object) -> torch.Generator:
    """The stream of one image's noise."""
    return seeds.torch_rng(seed, "query noise", *purpose, number)


def draw(
    generators: Sequence[torch.Generator], shape: tuple[int, ...], draws: int, device: torch.device
) -> Tensor | Drawing:
    """The noise of images whose streams these are, (B, draws, *shape): all at once, or as it is needed where it is much."""
    numbers = math.prod(shape)
    if numbers % LANES == 0 and 4 * len(generators) * draws * numbers > HELD:
        return Drawing(generators, shape, device)
    return torch.stack([torch.randn((draws, *shape), generator=generator) for generator in generators]).to(device)
