"""Refusal: queries whose guidance is unusually strong at the first step are not answered."""

from dataclasses import dataclass, replace

from solidmark import Mitigation, Needs, Sampler
from solidmark.models import Query

from ._calibration import exceeded
from ._guidance_vector import strength


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
    stream = "solidmark.mitigations.refusal.Refusal"
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
        threshold = exceeded(query, self.data.calibration, self.rng, self.mitigation.share)
        return replace(query, refused=query.refused | (query.conditional & (strength(query) > threshold)))
