"""What normal queries look like: the calibration set's captions put to the same service."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Generator, Tensor

from solidmark.data import Examples, says_something
from solidmark.models import Query
from solidmark.sampling import guide

from ._guidance_vector import strength

COUNT = 256
"""At least so many normal queries set a threshold."""


def normal(query: Query, calibration: Examples, rng: Generator) -> Query:
    """The same request with other noise and, for each caption that has a word, one that nobody trains on or asks for."""
    drawn = torch.randint(len(calibration), (len(query.captions),), generator=rng).tolist()
    captions = [
        calibration.captions[place] if says_something(own) else own for place, own in zip(drawn, query.captions, strict=True)
    ]
    noise = torch.randn(query.noise.shape, generator=rng).to(query.noise.device)
    return replace(query, captions=captions, embeddings=query.model.embed(captions), noise=noise)


def exceeded(query: Query, calibration: Examples, rng: Generator, share: float) -> Tensor:
    """The strength of guidance at the first step that `share` of normal queries, of at least 256 asked, exceed."""
    rounds = math.ceil(COUNT / int(query.conditional.sum()))
    usual = (normal(query, calibration, rng) for _ in range(rounds))
    return torch.quantile(torch.cat([strength(one)[one.conditional] for one in usual]), 1 - share)


def sampled(query: Query, rng: Generator) -> Iterator[tuple[int, Tensor, Tensor]]:
    """A whole run under plain guidance, no other mitigation taking part: (t, the sample after the step from t, x0)."""
    x, schedule = query.start(query.noise), query.model.schedule
    for t, to in zip(query.times, [*query.times[1:], -1], strict=True):
        solver, replaced = (torch.randn(x.shape, generator=rng).to(x.device) for _ in range(2))
        unconditional = query.model.predict(x, t, query.unconditional).noise
        conditional = query.model.predict(x, t, query.embeddings).noise
        x, x0 = schedule.step(x, guide(unconditional, conditional, query.guidance), t, to, query.eta, solver)
        yield t, x, x0
        x = query.hold(x, replaced, to)
