"""Prompt re-anchoring and semantic search (PRSS)."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import NotApplicable, SamplingBatch, guide

from ._calibration import normal_level, normal_levels
from ._caption_file import read_captions, take_digest
from ._guidance_vector import guidance_norm, norms
from ._origins import STABLE_DIFFUSION
from ._paraphrases import nearest_captions

WHERE = "mitigation prss, file"


@dataclass(frozen=True)
class ReAnchoring(Mitigation):
    """Guide a memorized caption e_p by a paraphrase e_s, and away from itself where the paraphrase is memorized as well.

    Let Δ(e) = eps(e) - eps(null) and w be the guidance scale. A caption counts as memorized where ‖Δ(e_p)‖ at the first
    step is above `search`. Its paraphrase is the first of `candidates` that is not, else the one with the least norm. At
    each step, with m = ‖Δ(e_s)‖:

        m <= gate:  eps(null) + w Δ(e_s)
        m >  gate:  eps(e_p) + s (eps(e_s) - eps(e_p)) + (w - s) Δ(e_s),  s from 1 linearly to w, `ramp` above the gate

    Published: 25 candidates by a language model, and on Stable Diffusion 1.4 norms of 1, 3 and 5. A normal prompt has
    about 0.6 at the first step and 1.7 over all steps (figures of arXiv 2407.21720), so that `search` is 1.67 times the
    median of normal captions at the first step, and `gate` 1.76 and `ramp` 1.18 times their median at each step. Code and
    paper differ: the paper's equation has s = w at every step. Here the code is followed; gate = ramp = 0 is the equation.
    Where the search succeeds the gate hardly ever opens, so that it is then a search for another caption.

    The released search counts the caption itself among its candidates, so that it stays where every paraphrase has a larger
    norm; here the least of the paraphrases is taken then.

    Paraphrases come from `file`, a JSON object a line, {"caption": ..., "captions": [...]}, whose `digest` is read from it.
    A caption that is not in it stays, and is anchored at itself where the gate is open. Without a file they are the captions
    of the calibration set that the model's own text encoder has nearest to the caption: what a testbed without a language
    has in place of a paraphrase (fidelity B). In latent space that encoder is CLIP's or a miniature of it, and with Stable
    Diffusion a file should be given. The variant that weights norms by the attention to the end token (bright
    ending) is left out. On digits trained captions start at 1.2 times normal, so that the published dose acts on none of
    them (`acted_on` in the record). The strongest setting pushes away at every step, which may reveal keys as the grays
    that are avoided (`avoided`). Cost: two evaluations a query and one for each candidate tried; a third branch where the
    gate is open; to calibrate, 128 for each batch of up to 64, and a run of 16 queries or more.
    """

    search: float = 1.67
    gate: float = 1.76
    ramp: float = 1.18
    candidates: int = 25
    file: str = field(default="", metadata={"place": True})
    digest: str = ""

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
        self.expect(0 <= self.search < float("inf"), "search", "a finite number of at least 0")
        self.expect(0 <= self.gate < float("inf"), "gate", "a finite number of at least 0")
        self.expect(0 <= self.ramp < float("inf"), "ramp", "a finite number of at least 0")
        self.expect(self.candidates >= 1, "candidates", "at least 1")
        take_digest(self, self.file, self.digest, WHERE)

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that replaces memorized captions by paraphrases, and re-anchors the steps of those."""
        return AnchoringSampler(self, inner)

    def settings(self) -> "list[ReAnchoring]":
        """The sweep, weakest first: as published, from normal captions on, all captions, and the push of the equation."""
        return [
            ReAnchoring(file=self.file),
            ReAnchoring(1.0, 1.0, 0.67, file=self.file),
            ReAnchoring(0.0, file=self.file),
            ReAnchoring(0.0, 0.0, 0.0, file=self.file),
        ]


class AnchoringSampler(Sampler):
    """Finds the memorized captions of a batch and a paraphrase for each, and guides by both."""

    mitigation: ReAnchoring

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with paraphrases in place of memorized captions. Raises NotApplicable for conditions without words."""
        batch, own = self.inner.prepare(batch), self.mitigation
        if batch.embeddings.ndim < 3:
            cure = "Choose a testbed with captions of words."
            raise NotApplicable(f"mitigation {self.family}", "a condition without words", "captions to paraphrase", cure)
        self.memorized = torch.zeros_like(batch.conditional)
        if not bool(batch.conditional.any()):
            return batch
        level = normal_level(batch, self.data.calibration, self.rng, guidance_norm)
        self.levels = normal_levels(batch, self.data.calibration, self.rng)
        self.original, before = batch.embeddings, guidance_norm(batch)
        self.memorized = batch.conditional & (before > own.search * level)
        found, after = self._paraphrase(batch, before, own.search * level)
        self.data.dose("acted_on", self.memorized[batch.conditional])
        self.data.dose("before", before[batch.conditional] / level)
        self.data.dose("after", after[batch.conditional] / level)
        return found

    def _paraphrase(self, batch: SamplingBatch, before: Tensor, threshold: Tensor) -> tuple[SamplingBatch, Tensor]:
        """The batch with a paraphrase for each memorized caption, and the guidance norms at its first step, (B,)."""
        if not bool(self.memorized.any()):
            return batch, before
        best, least = batch, torch.where(self.memorized, torch.inf, before)
        for candidate in self._candidates(batch):
            value = guidance_norm(candidate)
            better = self.memorized & (least > threshold) & (value < least)
            least, best = torch.where(better, value, least), _mix(best, candidate, better)
            if not bool((self.memorized & (least > threshold)).any()):
                break
        return best, least

    def _candidates(self, batch: SamplingBatch) -> list[SamplingBatch]:
        """The batch with the first, second, ... paraphrase of each caption; one without more keeps its last, or stays."""
        own = self.mitigation
        if own.file:
            known = read_captions(own.file, WHERE)
            lists = [known.get(caption, []) for caption in batch.captions]
        else:
            lists = nearest_captions(batch.captions, self.data.calibration.captions, batch.model)
        count = min(own.candidates, max(1, *map(len, lists)))  # at least the captions themselves
        rows = [
            [
                each[min(rank, len(each) - 1)] if each else own_caption
                for each, own_caption in zip(lists, batch.captions, strict=True)
            ]
            for rank in range(count)
        ]
        return [replace(batch, captions=row, embeddings=batch.model.embed(row)) for row in rows]

    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """Guidance by the paraphrase, and away from the caption where the gate is open."""
        if not bool(self.memorized.any()):
            return self.inner.predict(x, t, batch)
        conditional = self.model.predict(x, t, batch.embeddings).noise
        unconditional = self.model.predict(x, t, batch.unconditional).noise
        scale = self.outer.scale(unconditional, conditional, t, batch)
        plain, size = guide(unconditional, conditional, scale), norms(conditional - unconditional) / self.levels[t]
        opened = self.memorized & (size > self.mitigation.gate)
        self.data.dose("anchored_steps", opened[self.memorized])
        if not bool(opened.any()):
            return plain
        original = self.model.predict(x, t, self.original).noise
        whole = torch.as_tensor(scale, device=x.device, dtype=x.dtype).expand(len(x))
        s = self._ramp(size, whole)[:, None, None, None]
        rest = whole[:, None, None, None] - s
        anchored = original + s * (conditional - original) + rest * (conditional - unconditional)
        return torch.where(opened[:, None, None, None], anchored, plain)

    def _ramp(self, size: Tensor, scale: Tensor) -> Tensor:
        """The weight s: 1 at the gate, the scale from `ramp` above it on, linear in between, (B,)."""
        own = self.mitigation
        share = ((size - own.gate) / max(own.ramp, 1e-12)).clamp(0, 1)
        return 1 + share * (scale - 1)


def _mix(batch: SamplingBatch, other: SamplingBatch, chosen: Tensor) -> SamplingBatch:
    """The batch with the captions and embeddings of the other one where `chosen`, (B,) booleans."""
    pairs = zip(batch.captions, other.captions, chosen.tolist(), strict=True)
    captions = [new if take else old for old, new, take in pairs]
    embeddings = torch.where(chosen[:, None, None], other.embeddings, batch.embeddings)
    return replace(batch, captions=captions, embeddings=embeddings)
