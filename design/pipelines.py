"""The tables of pipelines.md: solvers against our own sampler, one noise for known cells, and what encoding anew is worth.

python design/pipelines.py solvers     stock pipelines and our sampler, at equal steps, on latent-digits
python design/pipelines.py noise       one noise an image for known cells against a new one at each step
python design/pipelines.py renewals    how often known cells are encoded anew
python design/pipelines.py batches [TESTBED SEED]  what an image costs, and what is found, one at a time and many at once
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch
from torch import Tensor

from solidmark import marks, plugins
from solidmark.data import Examples, join
from solidmark.measurement import weights
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.models import Model
from solidmark.pipelines import ask
from solidmark.pipelines.quiet import quiet
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import Noises, Service, SolverConfig, noises
from solidmark.split import Split
from solidmark.store import Store, default_root

SEEDS = (0, 1, 2)
STEPS = 20
RATE = 0.025
BATCHES = (1, 4, 16, 64, 128)
SOLVERS = {
    "DDIM": "DDIMScheduler",
    "DDPM": "DDPMScheduler",
    "Euler": "EulerDiscreteScheduler",
    "DPM++ 2M": "DPMSolverMultistepScheduler",
    "UniPC": "UniPCMultistepScheduler",
    "Heun": "HeunDiscreteScheduler",
    "PNDM": "PNDMScheduler",
    "LMS": "LMSDiscreteScheduler",
}


def flow_twin(unet: Any, alphas_cumprod: Tensor) -> Any:
    """A copy of a denoiser of velocities that answers as a flow: asked at x = (1 - s) x0 + s n and time 1000 s, n - x0.

    Divided by √((1 - s)² + s²) such an x is one of the schedule, at the time of as much noise.
    """
    twin, levels = copy.deepcopy(unet), (1 - alphas_cumprod).sqrt()
    plain = twin.forward

    def forward(x: Tensor, t: Any, *given: Any, **named: Any) -> tuple[Tensor]:
        s = float(t) / 1000
        norm = ((1 - s) ** 2 + s**2) ** 0.5
        time = int((levels - s / norm).abs().argmin())
        b = float(levels[time])
        a = (1 - b * b) ** 0.5
        v = plain(x / norm, time, *given, **{**named, "return_dict": False})[0]
        return ((b * x / norm + a * v) - (a * x / norm - b * v),)

    twin.forward = forward
    return twin


class Flowing(diffusers.FlowMatchEulerDiscreteScheduler):
    """Flow matching with what Stable Diffusion's pipeline asks of a scheduler."""

    init_noise_sigma = 1.0

    def scale_model_input(self, x: Tensor, t: Any) -> Tensor:
        """x itself."""
        return x


FLOWS = {"flow-matching twin, Euler": Flowing}


@dataclass(frozen=True)
class World:
    """A testbed's unmitigated model of one seed, and as many held-out images as trained ones."""

    model: Model
    split: Split
    solvers: Mapping[str, SolverConfig]

    @classmethod
    def of(cls, testbed: str, seed: int) -> World:
        """The model from the store, or trained now."""
        _, bed = plugins.testbed(testbed)
        case = Case(testbed, bed, Composition(), seed, (("outpaint", Outpaint()),))
        return cls(weights.train_or_load(case, Workspace(Store(default_root())))[0], bed.split(seed), bed.solvers)

    @property
    def asked(self) -> Examples:
        """Trained images, then held-out ones."""
        return join([self.split.trained, self.split.held_out.take(range(len(self.split.trained)))])

    @property
    def mask(self) -> Tensor:
        """The mark, (2 N, 1, H, W)."""
        marked = self.split.mark_masks.any(dim=0)
        return marked.expand(len(self.asked), 1, *marked.shape)

    def own(self, solver: SolverConfig, captions: Sequence[str] | None = None, draws: int = 1) -> Score:
        """Our sampler's answers; with several draws their mean."""
        asked, found = self.asked, []
        canvas = torch.where(self.mask, marks.BLANK, self.split.mark.canvas(asked.images))
        for draw in range(draws):
            noise = noises(asked.ids, self.model.shape, solver.draws, self.split.seed, draw)
            words = list(asked.captions if captions is None else captions)
            images = Service(self.model, Composition(), self.split.seed).sample(words, canvas, self.mask, noise, solver)
            found.append(marks.read(self.split.mark, images))
        return self.score(torch.stack(found).mean(dim=0))

    def theirs(self, pipe: Any, every: int = 4, steps: int = STEPS) -> Score:
        """A pipeline's answers, as it is."""
        asked, whole = self.asked, len(self.asked)
        given = {"steps": steps, "guidance": 3.0, "batch": whole, "every": every, "seed": self.split.seed, "ids": asked.ids}
        answers = ask(pipe, self.split.mark.canvas(asked.images), self.split.mark, asked.captions, **given)
        return self.score(marks.read(self.split.mark, answers.images))

    def score(self, found: Tensor) -> Score:
        """M of trained and of held-out images, and how many of each are certified."""
        count, split = len(self.split.trained), self.split
        parts = (found[:count], split.trained_keys), (found[count:], split.held_out_keys[:count])
        read = [(a.double().numpy(), b.double().numpy()) for a, b in parts]
        m, held = (scores.memorization(*one).value for one in read)
        certified, wrong = (int(scores.certified(scores.combine(scores.p_values(*one)), RATE).sum()) for one in read)
        return Score(m, held, certified, wrong)


class Score(NamedTuple):
    """M, M of held-out images, and how many of each are certified."""

    m: float
    held_out: float
    certified: int
    wrong: int


def show(name: str, found: Sequence[Score]) -> None:
    """A line of a table: the mean over seeds, the range of M, certified images of each seed."""
    m, held = ([getattr(one, part) for one in found] for part in ("m", "held_out"))
    certified = ", ".join(str(one.certified) for one in found)
    wrong = sum(one.wrong for one in found)
    told = f"| {np.mean(m):.3f} | {min(m):.3f} to {max(m):.3f} | {certified} | {np.mean(held):.3f} | {wrong} |"
    print(f"| {name} {told}", flush=True)


def pipelines(model: Model) -> Iterator[tuple[str, Any]]:
    """Stock pipelines of the model, one a solver, and the flow-matching twin."""
    with quiet():
        for name, kind in SOLVERS.items():
            pipe = model.pipeline()
            pipe.scheduler = getattr(diffusers, kind).from_config(pipe.scheduler.config)
            yield name, pipe
        for name, kind in FLOWS.items():
            pipe = model.pipeline()
            pipe.unet = flow_twin(pipe.unet, pipe.scheduler.alphas_cumprod)
            pipe.scheduler = kind()
            yield name, pipe


def solvers() -> None:
    """Stock pipelines beside our sampler."""
    rows: dict[str, list[Score]] = {}
    for seed in SEEDS:
        world = World.of("latent-digits", seed)
        for eta in (0.0, 1.0):
            own = replace(world.solvers["fast"], eta=eta)
            rows.setdefault(f"our sampler, eta {eta:g}", []).append(world.own(own))
        for name, pipe in pipelines(world.model):
            rows.setdefault(name, []).append(world.theirs(pipe))
    for name, found in rows.items():
        show(name, found)


@contextmanager
def one_noise() -> Iterator[None]:
    """Inside, known cells of a run have the noise of x_T at each step."""
    before = Noises.observed
    Noises.observed = lambda self, step, round_=0: self.initial  # type: ignore[method-assign]  # an experiment
    try:
        yield
    finally:
        Noises.observed = before  # type: ignore[method-assign]


def noise() -> None:
    """One noise an image for known cells, against a new one at each step."""
    for testbed in ("digits", "latent-digits"):
        worlds = [World.of(testbed, seed) for seed in SEEDS]
        for solver in ("fast", "ddim"):
            for query, captions, draws in (("outpaint", None, 1), ("image-only", [""] * 128, 1), ("mean of 2", None, 2)):
                for label, way in (("new", nullcontext), ("one", one_noise)):
                    with way():
                        found = [world.own(world.solvers[solver], captions, draws) for world in worlds]
                    show(f"{testbed} | {solver} | {query} | {label}", found)


def renewals() -> None:
    """How often known cells are encoded anew: by our sampler and by the stock pipeline, both without noise."""
    worlds = [World.of("latent-digits", seed) for seed in SEEDS]
    for every in (0, 10, 5, 4, 2, 1):
        show(f"stock pipeline | {every}", [w.theirs(w.model.pipeline(), every) for w in worlds])
    for every in (0, 4):
        show(f"our sampler | {every}", [w.own(replace(w.solvers["ddim"], reencode=every)) for w in worlds])


def batches(testbed: str = "latent-digits", seed: str = "0") -> None:
    """Processor seconds an image, beside those of one at a time in the same round, M, and how far answers differ."""
    world = World.of(testbed, int(seed))
    asked, pipe, mark = world.asked, world.model.pipeline(), world.split.mark
    given: dict[str, Any] = {"steps": STEPS, "guidance": 3.0, "every": 4, "seed": world.split.seed, "ids": asked.ids}
    costs: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    answers: dict[int, Tensor] = {}
    for batch in BATCHES * 3:
        began = time.process_time()
        answers[batch] = ask(pipe, mark.canvas(asked.images), mark, asked.captions, batch=batch, **given).images
        costs[batch].append((time.process_time() - began) / len(asked))
    for batch, found in answers.items():
        times = np.median([one / other for one, other in zip(costs[1], costs[batch], strict=True)])
        apart, score = (found - answers[1]).abs().max(), world.score(marks.read(mark, found))
        print(f"| {batch} | {np.median(costs[batch]):.3f} | {times:.1f} | {score.m:.4f} | {score.certified} | {apart:.0e} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"solvers": solvers, "noise": noise, "renewals": renewals, "batches": batches}[sys.argv[1]](*sys.argv[2:])
