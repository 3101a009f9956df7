"""The perfect memorizer: the ideal denoiser of a finite training set, in closed form.

E[x0 | x_t, caption] = sum_j w_j x_j, w_j ∝ exp(-‖x_t - alpha_t x_j‖² / 2 sigma_t²) exp(-‖e - e_j‖² / 2 width²),
without the caption's factor under the null condition. It needs no training, so it is the truth that a
query must find (its `power`), and the stand-in for a trained model in tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

import torch
from torch import Tensor, nn

from .data import Examples
from .errors import NotApplicable
from .models import PADDING, WORD, Attention, Evaluations, Model, Network, Prediction, Schedule

DIMENSIONS, CONTEXT, WIDTH = 32, 9, 2.0


class Memorizer(Model):
    """A model that has memorized exactly these marked examples, in the handle of every other model."""

    def __init__(self, examples: Examples) -> None:
        channels, size = examples.images.shape[1:3]
        self.config = Network(size=size, channels=channels, patch=1, prediction="sample")
        self.schedule = Schedule(self.config.betas, self.config.schedule_steps)
        self.shape = (channels, size, size)
        self.evaluations = Evaluations()
        self.network = nn.Module()
        self.text = nn.Module()
        self.network.register_buffer("images", examples.images * 2 - 1)
        self.network.register_buffer("embeddings", self.embed(examples.captions).flatten(1))

    @property
    def cross_attention(self) -> Mapping[str, nn.Module]:
        """None: a closed formula looks at the caption directly."""
        return {}

    @property
    def device(self) -> torch.device:
        """Where the memory is."""
        return self._memory("images").device

    def embed(self, captions: Sequence[str]) -> Tensor:
        """(B, L, D): a fixed random vector for each word; the empty caption is all zeros."""
        rows = torch.zeros(len(captions), CONTEXT, DIMENSIONS)
        for row, caption in zip(rows, captions, strict=True):
            for place, word in enumerate(caption.split()[:CONTEXT]):
                row[place] = torch.randn(DIMENSIONS, generator=torch.Generator().manual_seed(crc32(word.encode())))
        memory = dict(self.network.named_buffers())
        return rows.to(memory["images"].device) if memory else rows

    def roles(self, captions: Sequence[str]) -> Tensor:
        """(B, L): words, then padding; there is neither start nor end."""
        lengths = [min(len(caption.split()), CONTEXT) for caption in captions]
        return torch.tensor([[WORD] * length + [PADDING] * (CONTEXT - length) for length in lengths])

    def predict(
        self,
        x: Tensor,
        t: int | Tensor,
        embeddings: Tensor,
        *,
        attention: Attention | None = None,
        extra: Tensor | None = None,
    ) -> Prediction:
        """The posterior mean, one counted evaluation a sample."""
        if attention is not None:
            cure = "Choose a testbed whose model has it."
            raise NotApplicable("Memorizer.predict", "attention asked for", "a network with cross-attention", cure)
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        memory, captions = self._memory("images"), self._memory("embeddings")
        apart = x.flatten(1)[:, None] - alpha.flatten(1)[:, :, None] * memory.flatten(1)
        misfit = apart.square().sum(dim=2) / (2 * sigma.flatten(1).square())
        told = embeddings.flatten(1).abs().sum(dim=1, keepdim=True) > 0
        match = torch.where(told, torch.cdist(embeddings.flatten(1), captions).square() / (2 * WIDTH**2), 0.0)
        weights = (-misfit - match).softmax(dim=1)
        self.evaluations.forward += len(x)
        output = (weights @ memory.flatten(1)).reshape(x.shape)
        if output.requires_grad:
            output.register_hook(self._count_backward)
        return Prediction(output, x, alpha, sigma, self.config.prediction)

    def _memory(self, name: str) -> Tensor:
        return self.network.get_buffer(name)
