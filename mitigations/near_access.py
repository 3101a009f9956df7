"""Near access-freeness (CP-Δ): answer by a mixture of two models, each of which saw half of the images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import Model, SamplingBatch, guide

from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class NearAccessFree(Mitigation):
    """Sample from p(y | c) ∝ sqrt(q1(y | c) q2(y | c)), where q1 and q2 are trained on disjoint halves of the images.

    Whatever one image is, one of both models never had access to it, and in KL divergence p is at most as far from that one
    as -2 log sum_y sqrt(q1 q2): a bound in bits on what access can give away. CP-Δ for the maximal divergence takes the
    smaller of both instead. Of a diffusion model the geometric mean is taken level by level, where it is the mean of the
    scores, and so of the noise predictions:

        eps = (1 - share) eps_0 + share (eps_1 + eps_2) / 2,    each guided as usual

    In latent space y is the latent, so that the bound is on latents, and both models share one autoencoder, which may have
    seen every image. `share` 1 is the method, less mixes in the model eps_0 of all images, which is ours, for the sweep. The
    mean of scores is the score of the mixture at each level, but not that of a diffusion of it, so that for several steps
    the bound is an approximation (arXiv 2403.18920 mixes scores so). Both sources were read in abstracts and summaries
    alone; a later paper shows that the property does not exclude verbatim copies (arXiv 2506.19881).

    The suite trains the halves, rows 0, 2, 4, … and 1, 3, 5, … of the training, with the baseline's recipe, and the row's
    cost of training has them; duplicates in both halves void the guarantee. Each half has its own text encoder, so
    embeddings that a query brings are not used. Cost: two trainings, and two sampling runs in place of one (three with a
    share below 1).
    """

    share: float = 1.0

    needs = Needs.HALVES
    fidelity = "unverified"
    costly = True
    stream = "solidmark.mitigations.near_access.NearAccessFree"
    reference = "On Provable Copyright Protection for Generative Models, arXiv 2302.10870"
    claims = (Claim("It does not generate the protected images that either model alone generates.", below=0.1,
                    origin=STABLE_DIFFUSION),)  # fmt: skip

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that asks both halves."""
        return MixingSampler(self, inner)

    def settings(self) -> "list[NearAccessFree]":
        """The sweep, weakest first: less and less of the model of all images."""
        return [NearAccessFree(share) for share in (0.25, 0.5, 0.75, 1.0)]


class MixingSampler(Sampler):
    """Has both halves, and the embeddings of the batch in each."""

    mitigation: NearAccessFree

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch as it is."""
        batch = self.inner.prepare(batch)
        empty = [""] * len(batch.captions)
        self.halves = [(half, half.embed(batch.captions), half.embed(empty)) for half in self.data.halves]
        return batch

    @torch.no_grad()
    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The mixture of guided predictions."""
        share = self.mitigation.share
        mixed = torch.stack([self._guided(*half, x, t, batch) for half in self.halves]).mean(dim=0)
        return mixed if share == 1 else torch.lerp(self.inner.predict(x, t, batch), mixed, share)

    def _guided(self, half: Model, words: Tensor, empty: Tensor, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """One half's prediction, by the scale of the whole chain."""
        unconditional = half.predict(x, t, empty).noise
        if not bool(batch.conditional.any()):
            self.outer.scale(unconditional, unconditional, t, batch)
            return unconditional
        conditional = half.predict(x, t, words).noise
        return guide(unconditional, conditional, self.outer.scale(unconditional, conditional, t, batch))
