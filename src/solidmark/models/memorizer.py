"""The perfect memorizer: the ideal denoiser of a finite training set, in closed form.

E[x0 | x_t, caption] = sum_j w_j x_j, w_j ∝ exp(-‖x_t - alpha_t x_j‖² / 2 sigma_t²) exp(-‖e - e_j‖² / 2 width²),
without the caption's factor under the null condition. It needs no training. It is the known truth that a query must
find (its `power`), and it replaces a trained model in tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from zlib import crc32

import torch
from torch import Tensor, nn

from ..data import Examples
from .attention import Attention
from .conditioning import PADDING, WORD
from .denoiser import Denoiser
from .network import Network
from .parts import Parts, schedule_of
from .space import Space

DIMENSIONS, CONTEXT, WIDTH = 32, 9, 2.0
"""Dimensions of a word's vector, words of a caption that count, and the width of the caption's kernel."""


class Memorizer(Denoiser):
    """A denoiser that has memorized exactly these marked examples, with the interface of every other one (`Denoiser`)."""

    def __init__(self, examples: Examples, network: Network | None = None, space: Space | None = None) -> None:
        """In pixels; or in the latent `space`, with the schedule of a latent `network`."""
        channels, size = examples.images.shape[1:3]
        config = replace(network or Network(size=size, channels=channels, patch=1), prediction="sample")
        space = space or Space()
        super().__init__(config, Parts(nn.Module(), nn.Module(), space, schedule_of(config)))
        self.network.register_buffer("images", space.encode(examples.images).detach().clone())
        self.network.register_buffer("embeddings", self.embed(examples.captions).flatten(1))

    @property
    def cross_attention(self) -> Mapping[str, nn.Module]:
        """Empty: a closed formula has no attention."""
        return {}

    def embed(self, captions: Sequence[str]) -> Tensor:
        """A fixed random vector for each word, (B, L, D). The empty caption is all zeros."""
        rows = torch.zeros(len(captions), CONTEXT, DIMENSIONS)
        for row, caption in zip(rows, captions, strict=True):
            for index, word in enumerate(caption.split()[:CONTEXT]):
                row[index] = torch.randn(DIMENSIONS, generator=torch.Generator().manual_seed(crc32(word.encode())))
        return rows.to(self.device)

    def roles(self, captions: Sequence[str]) -> Tensor:
        """WORD, then PADDING, (B, L). There is neither start nor end."""
        lengths = [min(len(caption.split()), CONTEXT) for caption in captions]
        return torch.tensor([[WORD] * length + [PADDING] * (CONTEXT - length) for length in lengths])

    def _output(
        self, x: Tensor, t: int | Tensor, embeddings: Tensor, attention: Attention | None, extra: Tensor | None
    ) -> Tensor:
        """The posterior mean of x0."""
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        memory, captions = self._memory("images"), self._memory("embeddings")
        difference = x.flatten(1)[:, None] - alpha.flatten(1)[:, :, None] * memory.flatten(1)
        misfit = difference.square().sum(dim=2) / (2 * sigma.flatten(1).square())
        conditional = embeddings.flatten(1).abs().sum(dim=1, keepdim=True) > 0
        match = torch.where(conditional, torch.cdist(embeddings.flatten(1), captions).square() / (2 * WIDTH**2), 0.0)
        weights = (-misfit - match).softmax(dim=1)
        return (weights @ memory.flatten(1)).reshape(x.shape)

    def _memory(self, name: str) -> Tensor:
        return self.network.get_buffer(name)
