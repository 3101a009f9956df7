"""Refusal: queries whose guidance is unusually strong at the first step are not answered."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Mitigation, Needs, Sampler
from solidmark.sampling import Query

from ._calibration import normal

COUNT = 256
"""At least so many normal queries set the threshold."""


@dataclass(frozen=True)
class Refusal(Mitigation):
    """Refuse a query whose ‖eps_c - eps_u‖ at the first step exceeds that of all but `share` of normal queries.

    The detection signal of Wen et al., with a threshold from calibration captions put to the same service: `share` of
    normal queries is refused by mistake, which is what it costs. A refused query is answered by a blank image. M is of
    all queries, a blank one being a guess that knows nothing; the record tells how many trained, held-out and fresh
    queries were refused, and a refused fresh caption counts as a failure of utility. That trained images are
    refused more often tells an attacker who was trained on, though not their keys. Not a published
    method, but the plainest use of a published signal. Cost: two evaluations a query, and four to calibrate in batches
    of 128.
    """

    share: float = 0.1

    needs = Needs.CALIBRATION | Needs.CAPTIONS
    reference = "Detecting, Explaining, and Mitigating Memorization in Diffusion Models, arXiv 2407.21720"
    claims = ("The norm at the first step tells memorized prompts from others with an AUC of 0.96 or more.",)

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that refuses before the first step."""
        return Refusing(self, inner)

    def strengths(self) -> "list[Refusal]":
        """More and more of the normal queries refused."""
        return [Refusal(share) for share in (0.02, 0.1, 0.25, 0.5)]


class Refusing(Sampler):
    """Marks the queries that are to be refused."""

    mitigation: Refusal

    def prepare(self, query: Query) -> Query:
        """Those that have a caption and a larger norm than the threshold."""
        query = self.inner.prepare(query)
        if not bool(query.conditional.any()):
            return query
        rounds = math.ceil(COUNT / int(query.conditional.sum()))
        usual = (normal(query, self.data.calibration, self.rng) for _ in range(rounds))
        norms = torch.cat([_norms(one)[one.conditional] for one in usual])
        threshold = torch.quantile(norms, 1 - self.mitigation.share)
        return replace(query, refused=query.refused | (query.conditional & (_norms(query) > threshold)))


def _norms(query: Query) -> Tensor:
    """(B,): ‖eps_c - eps_u‖ at the first step."""
    x, t, model = query.start(query.noise), query.times[0], query.model
    apart = model.predict(x, t, query.embeddings).noise - model.predict(x, t, query.unconditional).noise
    norms: Tensor = apart.flatten(1).norm(dim=1)
    return norms
