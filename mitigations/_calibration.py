"""Normal queries: captions of the calibration set, put to the same service."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from solidmark.api import Attention, Examples, SamplingBatch, guide, says_something

from ._guidance_vector import guidance_norm, norms

COUNT = 256
"""The least number of normal queries that set a threshold."""
LEVEL_COUNT = 64
"""The least number of normal queries whose median is the unit of a dose."""
LEVEL_FEW = 16
"""The same where each normal query takes a whole run."""


def draw_normal_batch(batch: SamplingBatch, calibration: Examples, rng: Generator) -> SamplingBatch:
    """The same batch with other noise, and with a caption of the calibration set for each caption that has a word."""
    drawn = torch.randint(len(calibration), (len(batch.captions),), generator=rng).tolist()
    captions = [
        calibration.captions[index] if says_something(own) else own for index, own in zip(drawn, batch.captions, strict=True)
    ]
    noise = torch.randn(batch.noise.shape, generator=rng).to(batch.noise)
    return replace(batch, captions=captions, embeddings=batch.model.embed(captions), noise=noise)


def draw_normal_batches(
    batch: SamplingBatch, calibration: Examples, rng: Generator, count: int, each: int
) -> Iterator[SamplingBatch]:
    """As many normal batches, one at a time, as it takes for `count` queries where `each` of a batch count."""
    return (draw_normal_batch(batch, calibration, rng) for _ in range(math.ceil(count / each)))


def calibrate_guidance_norm(batch: SamplingBatch, calibration: Examples, rng: Generator, share: float) -> Tensor:
    """The threshold that `share` of at least COUNT normal queries exceed with their guidance norm at the first step."""
    batches = draw_normal_batches(batch, calibration, rng, COUNT, int(batch.conditional.sum()))
    return torch.quantile(torch.cat([guidance_norm(normal)[normal.conditional] for normal in batches]), 1 - share)


@torch.no_grad()
def normal_level(
    batch: SamplingBatch,
    calibration: Examples,
    rng: Generator,
    measure: Callable[[SamplingBatch], Tensor],
    *,
    by_runs: bool = False,
) -> Tensor:
    """The median of `measure(batch)`, (B,), over at least LEVEL_COUNT normal queries: the unit of an absolute dose.

    Where the measure takes a whole run of each (`by_runs`) it is over LEVEL_FEW or more. Sources state norms, sharpness and
    similarity as numbers of one model. As multiples of what normal captions have, they mean the same for another one: a
    memorized prompt starts above that level, whatever its size.
    """
    least = LEVEL_FEW if by_runs else LEVEL_COUNT
    batches = draw_normal_batches(batch, calibration, rng, least, int(batch.conditional.sum()))
    return torch.cat([measure(normal)[normal.conditional] for normal in batches]).median()


@torch.no_grad()
def normal_levels(batch: SamplingBatch, calibration: Examples, rng: Generator) -> dict[int, Tensor]:
    """The median guidance norm of normal queries at each step from t, in a run under plain guidance of LEVEL_FEW or more."""
    found = dict[int, list[Tensor]]()
    for normal in draw_normal_batches(batch, calibration, rng, LEVEL_FEW, int(batch.conditional.sum())):
        for step in sample_steps(normal, rng):
            found.setdefault(step.t, []).append(norms(step.vector)[normal.conditional])
    return {t: torch.cat(seen).median() for t, seen in found.items()}


@dataclass(frozen=True)
class Step:
    """A step from t: the sample after it, the clean image that it predicted, and the guidance vector, (B, C, H, W) each."""

    t: int
    x: Tensor
    clean: Tensor
    vector: Tensor


def sample_steps(batch: SamplingBatch, rng: Generator, last: Attention | None = None) -> Iterator[Step]:
    """Sample under plain guidance, without other mitigations, step by step.

    `last` is the attention of the conditional branch at the last step.
    """
    x, schedule = batch.start(batch.noise), batch.model.schedule
    for step, (t, to) in enumerate(zip(batch.times, batch.targets, strict=True)):
        solver_noise, observed_noise = (torch.randn(x.shape, generator=rng).to(x) for _ in range(2))
        unconditional = batch.model.predict(x, t, batch.unconditional).noise
        attention = last if step == len(batch.times) - 1 else None
        conditional = batch.model.predict(x, t, batch.embeddings, attention=attention).noise
        x, x0 = schedule.step(x, guide(unconditional, conditional, batch.guidance), t, to, batch.eta, solver_noise)
        yield Step(t, x, x0, conditional - unconditional)
        x, batch = batch.end_step(step, x, x0, observed_noise, to)
