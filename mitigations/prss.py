"""Prompt re-anchoring and semantic search (PRSS)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.errors import NotApplicable
from solidmark.models import Query

from ._calibration import exceeded
from ._guidance_vector import norms
from .random_token import WORDS


@dataclass(frozen=True)
class ReAnchoring(Mitigation):
    """Guide a memorized caption e_p towards a paraphrase e_s and away from itself: eps(e_p) + s (eps(e_s) - eps(e_p)).

    A caption counts as memorized where m = ‖eps_c - eps_u‖ at the first step exceeds λ; the paraphrase is the first of
    `candidates` with m < λ, else the one with the least. Other queries are guided as usual. Published: 25 candidates.
    Two parts are replaced at this scale. A language model wrote the paraphrases; here the first `kept` words stay, as
    they tell the class, and every other word is drawn at random. λ was a number for Stable Diffusion; here it is what
    all but `share` of the captions of the calibration set stay below, so `share` of normal queries is rewritten
    without need. With one candidate it is re-anchoring of a random rewording alone. The published variant that weighs
    m by the attention to the end token is left out. At s = 3 the memorized caption has a weight of -2: like all that
    pushes away, it may give keys away as the grays that are avoided (`avoided` in the record). Cost: two evaluations a
    query, one for each candidate tried, and four to calibrate in batches of 128.
    """

    share: float = 0.1
    candidates: int = 25
    kept: int = 1

    reference = "Enhancing Privacy-Utility Trade-offs to Mitigate Memorization in Diffusion Models, arXiv 2504.18032"
    stream = "solidmark.mitigations.prss.ReAnchoring"
    needs = Needs.CAPTIONS | Needs.CALIBRATION
    fidelity = "B"
    claims = (Claim("Copy-detection similarity falls from 0.65 to 0.22, alignment from 0.30 to 0.27.", below=0.4),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")
        self.expect(self.candidates >= 1, "candidates", "at least 1")
        self.expect(self.kept >= 0, "kept", "at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that replaces captions and their null by paraphrases and themselves."""
        return Anchored(self, inner)

    def strengths(self) -> "list[ReAnchoring]":
        """From the rarest memorized captions alone to all."""
        return [ReAnchoring(share) for share in (0.02, 0.1, 0.5, 1.0)]


class Anchored(Sampler):
    """Finds the memorized captions of a batch, and a paraphrase for each."""

    mitigation: ReAnchoring

    def prepare(self, query: Query) -> Query:
        """Memorized captions become the null, their paraphrases the captions. Raises NotApplicable without words."""
        query = self.inner.prepare(query)
        if query.embeddings.ndim < 3:
            cure = "Choose a testbed with captions of words."
            raise NotApplicable(f"mitigation {self.family}", "a condition without words", "captions to paraphrase", cure)
        if not bool(query.conditional.any()):
            return query
        least = self._threshold(query)
        null = self.model.predict(query.start(query.noise), query.times[0], query.unconditional).noise
        memorized = query.conditional & (_size(query, null) >= least)
        return self._anchored(query, memorized, null, least) if bool(memorized.any()) else query

    def _threshold(self, query: Query) -> Tensor:
        if self.mitigation.share == 1:
            return query.noise.new_zeros(())
        return exceeded(query, self.data.calibration, self.rng, self.mitigation.share)

    def _anchored(self, query: Query, memorized: Tensor, null: Tensor, least: Tensor) -> Query:
        best, sizes = query, torch.full_like(memorized, float("inf"), dtype=null.dtype)
        for _ in range(self.mitigation.candidates):
            tried = self._reworded(query)
            size = _size(tried, null)
            better = memorized & (sizes >= least) & (size < sizes)
            sizes = torch.where(better, size, sizes)
            best = _mixed(best, tried, better)
            if not bool((memorized & (sizes >= least)).any()):
                break
        anchor = torch.where(memorized[:, None, None], query.embeddings, query.unconditional)
        return replace(best, unconditional=anchor)

    def _reworded(self, query: Query) -> Query:
        captions = [self._other(caption) for caption in query.captions]
        return replace(query, captions=captions, embeddings=self.model.embed(captions))

    def _other(self, caption: str) -> str:
        words = caption.split()
        drawn = torch.randint(len(WORDS), (len(words),), generator=self.rng).tolist()
        return " ".join([*words[: self.mitigation.kept], *(WORDS[place] for place in drawn[self.mitigation.kept :])])


def _size(query: Query, null: Tensor) -> Tensor:
    """(B,): ‖eps_c - eps_u‖ at the first step."""
    return norms(query.model.predict(query.start(query.noise), query.times[0], query.embeddings).noise - null)


def _mixed(query: Query, other: Query, chosen: Tensor) -> Query:
    """The query with the captions and embeddings of the other where `chosen`, (B,)."""
    pairs = zip(query.captions, other.captions, chosen.tolist(), strict=True)
    captions = [theirs if take else own for own, theirs, take in pairs]
    return replace(
        query, captions=captions, embeddings=torch.where(chosen[:, None, None], other.embeddings, query.embeddings)
    )
