"""Padding and end tokens of CLIP: mask the padding, or pad with another token and mask the end token."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import END, PADDING, NotApplicable, SamplingBatch

from ._guidance_vector import moved_share
from ._origins import STABLE_DIFFUSION

FILLER = "!"
"""The token that is padded with, as published."""


@dataclass(frozen=True)
class MaskedPadding(Mitigation):
    """Set the embeddings of the first `share` of a caption's padding tokens, those next to the end token, to zero.

    The tokenizer of Stable Diffusion 1 pads with the end token, so that a short caption has dozens of near copies of the
    embedding that CLIP was trained to put all of a caption into. Published: a share of 0.7; all of them often breaks the
    image. Only captions are masked here; whether the published code masks the null condition too is not known.

    On every testbed but Stable Diffusion 1 it is the idea alone: their encoders, as that of Stable Diffusion 2, have a
    padding token of their own, and are trained with the denoiser, so the fault that the method repairs is not there. A row
    shows what padding holds all the same. In latent space padding is causal, behind the end token; in pixels all tokens
    see all. The abstract and a public summary with settings and numbers were read, the paper's text was not. Cost: none.
    """

    share: float = 0.7

    needs = Needs.CAPTIONS
    fidelity = "unverified"
    stream = "solidmark.mitigations.clip_padding.MaskedPadding"
    reference = "Memorization In Stable Diffusion Is Unexpectedly Driven by CLIP Embeddings, arXiv 2605.02908"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "Copy-detection similarity to the memorized image falls from near 1 to 0.10.", below=0.2, origin=STABLE_DIFFUSION
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that masks embeddings before the first step."""
        return PaddingSampler(self, inner)

    def _padded(self, batch: SamplingBatch) -> Tensor:
        """The embeddings before anything is masked, (B, L, D)."""
        return batch.embeddings

    def _weights(self, roles: Tensor) -> Tensor:
        """What is left of the embedding of each token, (B, L)."""
        padding = roles == PADDING
        masked = padding & (padding.cumsum(dim=1) <= (self.share * padding.sum(dim=1, keepdim=True)).round())
        return 1 - masked.float()

    def settings(self) -> "list[MaskedPadding]":
        """The sweep, weakest first: more and more of the padding."""
        return [MaskedPadding(share) for share in (0.3, 0.5, 0.7, 1.0)]


@dataclass(frozen=True)
class ReplacedPadding(MaskedPadding):
    """Pad captions with the token "!" in place of the usual one; with `end` set the end token's embedding to zero, too.

    Published: both; without masking the end token similarity is 0.14. `end` is the share of that embedding that is taken
    away; `share` masks padding on top of it, which is ours. An encoder that has no token "!" takes its token for unknown
    words, in pixel space the one that "!" hashes to; in latent space it stands behind the end token. Stable Diffusion 2 pads
    with "!" already.
    """

    share: float = 0.0
    end: float = 1.0

    stream = "solidmark.mitigations.clip_padding.ReplacedPadding"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "Copy-detection similarity to the memorized image falls from near 1 to 0.08.", below=0.2, origin=STABLE_DIFFUSION
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect(0 <= self.end <= 1, "end", "a number in [0, 1]")

    def _padded(self, batch: SamplingBatch) -> Tensor:
        """The embeddings, moved by what padding with "!" changes, so that what others did to them stays."""
        captions = batch.captions
        return batch.embeddings + batch.model.embed(captions, padding=FILLER) - batch.model.embed(captions)

    def _weights(self, roles: Tensor) -> Tensor:
        """The same, with what is left of the end token."""
        return super()._weights(roles) * (1 - self.end * (roles == END))

    def settings(self) -> "list[MaskedPadding]":
        """The sweep, weakest first: "!" alone, the published default, and padding masked, too."""
        return [ReplacedPadding(end=0.0), ReplacedPadding(), ReplacedPadding(0.7), ReplacedPadding(1.0)]


class PaddingSampler(Sampler):
    """Changes the embeddings of the padding and of the end token, once a batch."""

    mitigation: MaskedPadding

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch with other embeddings. Raises NotApplicable where they are no sequences."""
        batch = self.inner.prepare(batch)
        if batch.embeddings.ndim != 3:
            found, cure = "a model without token sequences", "Choose a testbed with captions."
            raise NotApplicable(f"mitigation {self.family}", found, "one that is conditioned on tokens", cure)
        left = self.mitigation._weights(batch.model.roles(batch.captions)).to(batch.embeddings)
        changed = self.mitigation._padded(batch) * left[..., None]
        self.data.dose("embedding_change", moved_share(batch.embeddings, changed)[batch.conditional])
        return replace(batch, embeddings=torch.where(batch.conditional[:, None, None], changed, batch.embeddings))
