"""Prompt re-anchoring and semantic search (PRSS)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import COMMON_WORDS, NotApplicable, SamplingBatch

from ._calibration import calibrate_guidance_norm
from ._guidance_vector import norms as vector_norms
from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class ReAnchoring(Mitigation):
    """Guide a memorized caption e_p towards a paraphrase e_s and away from itself: eps(e_p) + s (eps(e_s) - eps(e_p)).

    A caption counts as memorized where m = ‖eps_c - eps_u‖ at the first step exceeds λ. The paraphrase is the first of
    `candidates` with m < λ, else the one with the lowest m. Other queries are guided as usual. Published: 25 candidates.

    Two parts are replaced at this scale. There a language model writes the paraphrases. Here the first `kept` words stay,
    as they name the class, and every other word is drawn at random. There λ is a number for Stable Diffusion. Here it is
    the value that a `share` of the captions of the calibration set exceed, so that this share of normal queries is
    rewritten without need. With one candidate the method is re-anchoring to a random rewording alone. The published
    variant that weights m by the attention to the end token is left out. At s = 3 the memorized caption has a weight of
    -2. In latent space the words that are drawn are a token each, which other unknown words are not. As every push away,
    this may reveal keys as the grays that are avoided (`avoided` in the record). Cost: two evaluations a query, one for
    each candidate tried, and four to calibrate in batches of 128.
    """

    share: float = 0.1
    candidates: int = 25
    kept: int = 1

    reference = "Enhancing Privacy-Utility Trade-offs to Mitigate Memorization in Diffusion Models, arXiv 2504.18032"
    stream = "solidmark.mitigations.prss.ReAnchoring"
    needs = Needs.CAPTIONS | Needs.CALIBRATION
    fidelity = "B"
    claims = (
        Claim(
            "Copy-detection similarity falls from 0.65 to 0.22, alignment from 0.30 to 0.27.",
            below=0.4,
            origin=STABLE_DIFFUSION,
            also=("by-content",),
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")
        self.expect(self.candidates >= 1, "candidates", "at least 1")
        self.expect(self.kept >= 0, "kept", "at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces memorized captions by paraphrases, and the null condition by the captions."""
        return AnchoringSampler(self, inner)

    def settings(self) -> "list[ReAnchoring]":
        """The sweep, weakest first: from few captions that count as memorized to all."""
        return [ReAnchoring(share) for share in (0.02, 0.1, 0.5, 1.0)]


class AnchoringSampler(Sampler):
    """Finds the memorized captions of a batch, and a paraphrase for each."""

    mitigation: ReAnchoring

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with memorized captions as null condition and paraphrases as captions.

        Raises NotApplicable for conditions without words.
        """
        batch = self.inner.prepare(batch)
        if batch.embeddings.ndim < 3:
            cure = "Choose a testbed with captions of words."
            raise NotApplicable(f"mitigation {self.family}", "a condition without words", "captions to paraphrase", cure)
        if not bool(batch.conditional.any()):
            return batch
        threshold = self._threshold(batch)
        null = self.model.predict(batch.start(batch.noise), batch.times[0], batch.unconditional).noise
        memorized = batch.conditional & (_guidance_norm(batch, null) >= threshold)
        return self._anchor(batch, memorized, null, threshold) if bool(memorized.any()) else batch

    def _threshold(self, batch: SamplingBatch) -> Tensor:
        """λ, 0 where all captions count as memorized."""
        if self.mitigation.share == 1:
            return batch.noise.new_zeros(())
        return calibrate_guidance_norm(batch, self.data.calibration, self.rng, self.mitigation.share)

    def _anchor(self, batch: SamplingBatch, memorized: Tensor, null: Tensor, threshold: Tensor) -> SamplingBatch:
        """The batch with a paraphrase for each memorized caption, which is its null condition."""
        best, norms = batch, torch.full_like(memorized, float("inf"), dtype=null.dtype)
        for _ in range(self.mitigation.candidates):
            candidate = self._reword(batch)
            candidate_norms = _guidance_norm(candidate, null)
            better = memorized & (norms >= threshold) & (candidate_norms < norms)
            norms = torch.where(better, candidate_norms, norms)
            best = _mix(best, candidate, better)
            if not bool((memorized & (norms >= threshold)).any()):
                break
        anchor = torch.where(memorized[:, None, None], batch.embeddings, batch.unconditional)
        return replace(best, unconditional=anchor)

    def _reword(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with a random rewording of each caption."""
        captions = [self._reword_caption(caption) for caption in batch.captions]
        return replace(batch, captions=captions, embeddings=self.model.embed(captions))

    def _reword_caption(self, caption: str) -> str:
        """The caption with its first words and random ones in place of the rest."""
        words = caption.split()
        drawn = torch.randint(len(COMMON_WORDS), (len(words),), generator=self.rng).tolist()
        return " ".join([*words[: self.mitigation.kept], *(COMMON_WORDS[index] for index in drawn[self.mitigation.kept :])])


def _guidance_norm(batch: SamplingBatch, null: Tensor) -> Tensor:
    """‖eps_c - eps_u‖ at the first step, (B,), where eps_u is `null`."""
    return vector_norms(batch.model.predict(batch.start(batch.noise), batch.times[0], batch.embeddings).noise - null)


def _mix(batch: SamplingBatch, other: SamplingBatch, chosen: Tensor) -> SamplingBatch:
    """The batch with the captions and embeddings of the other one where `chosen`, (B,) booleans."""
    pairs = zip(batch.captions, other.captions, chosen.tolist(), strict=True)
    captions = [new if take else old for old, new, take in pairs]
    embeddings = torch.where(chosen[:, None, None], other.embeddings, batch.embeddings)
    return replace(batch, captions=captions, embeddings=embeddings)
