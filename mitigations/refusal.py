"""Refusal: do not answer queries whose guidance norm is unusually large at the first step."""

from dataclasses import dataclass, replace

from solidmark import Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._calibration import calibrate_guidance_norm
from ._guidance_vector import guidance_norm


@dataclass(frozen=True)
class Refusal(Mitigation):
    """Refuse a query whose ‖eps_c - eps_u‖ at the first step exceeds that of all but `share` of normal queries.

    The detection signal is that of Wen et al., with a threshold from calibration captions put to the same service: `share`
    of normal queries is refused by mistake. A refused query is answered by a blank image. M is over all queries, and a
    blank image is a guess without information. The record has the shares of trained, held-out and fresh queries that were
    refused. A refused fresh caption counts as a failure of utility. Where trained images are refused more often, an
    attacker learns which images were trained on, though not their keys. Not a published method, but the plainest use of a
    published signal: only the idea is that paper's (fidelity C). Cost: two evaluations a query, and four to calibrate in
    batches of 128.
    """

    share: float = 0.1

    needs = Needs.CALIBRATION | Needs.CAPTIONS
    fidelity = "C"
    reference = "Detecting, Explaining, and Mitigating Memorization in Diffusion Models, arXiv 2407.21720"
    stream = "solidmark.mitigations.refusal.Refusal"
    claims = ("The norm at the first step tells memorized prompts from others with an AUC of 0.96 or more.",)

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that refuses before the first step."""
        return RefusingSampler(self, inner)

    def settings(self) -> "list[Refusal]":
        """The sweep, weakest first: a larger and larger share of normal queries refused."""
        return [Refusal(share) for share in (0.02, 0.1, 0.25, 0.5)]


class RefusingSampler(Sampler):
    """Marks the queries that are to be refused."""

    mitigation: Refusal

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch, with queries refused that have a caption and a norm above the threshold."""
        batch = self.inner.prepare(batch)
        if not bool(batch.conditional.any()):
            return batch
        threshold = calibrate_guidance_norm(batch, self.data.calibration, self.rng, self.mitigation.share)
        large = batch.conditional & (guidance_norm(batch) > threshold)
        self.data.dose("acted_on", large)
        return replace(batch, refused=batch.refused | large)
