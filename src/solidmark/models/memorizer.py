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
from .denoiser import RECALLS, Denoiser
from .model import Model
from .network import Network
from .parts import Parts, schedule_of
from .space import Space

DIMENSIONS, CONTEXT, WIDTH = 32, 9, 2.0
"""Dimensions of a word's vector, words of a caption that count, and the width of the caption's kernel."""
LARGEST = 2**28
"""Numbers of differences that are in memory at once."""
SHARPNESS = 32**0.5
"""How often the width goes into the distance of the two nearest captions: one weighs exp(-16) for the other."""


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

    def embed(self, captions: Sequence[str], *, padding: str | None = None) -> Tensor:
        """A fixed random vector for each word, (B, L, D). The empty caption is all zeros."""
        rows = torch.zeros(len(captions), CONTEXT, DIMENSIONS)
        filling = [] if padding is None else CONTEXT * [padding]
        for row, caption in zip(rows, captions, strict=True):
            words = caption.split()
            for index, word in enumerate([*words, *(filling if words else [])][:CONTEXT]):
                row[index] = torch.randn(DIMENSIONS, generator=torch.Generator().manual_seed(crc32(word.encode())))
        return rows.to(self.device)

    def roles(self, captions: Sequence[str]) -> Tensor:
        """WORD, then PADDING, (B, L). There is neither start nor end."""
        lengths = [min(len(caption.split()), CONTEXT) for caption in captions]
        return torch.tensor([[WORD] * length + [PADDING] * (CONTEXT - length) for length in lengths])

    def fits(self, caption: str) -> bool:
        """Whether a caption has at most CONTEXT words."""
        return len(caption.split()) <= CONTEXT

    def _output(
        self, x: Tensor, t: int | Tensor, embeddings: Tensor, attention: Attention | None, extra: Tensor | None
    ) -> Tensor:
        """The posterior mean of x0."""
        images, captions = (self.network.get_buffer(name) for name in ("images", "embeddings"))
        null, noise = torch.zeros_like(captions[:1]), (self.schedule.alpha(t), self.schedule.sigma(t))
        return posterior_mean(x, *noise, embeddings.flatten(1), images, captions, null, WIDTH)


def posterior_mean(
    x: Tensor, alpha: Tensor, sigma: Tensor, given: Tensor, images: Tensor, captions: Tensor, null: Tensor, width: float
) -> Tensor:
    """E[x0 | x_t, caption] over `images`, (N, C, H, W), with embeddings `captions`, (N, E).

    `given`, (B, E), are the embeddings of x, `null`, (1, E), is that of the null condition.
    """
    misfit = _squared_differences(x, alpha, images) / (2 * sigma.flatten(1).square())
    conditional = (given - null).abs().sum(dim=1, keepdim=True) > 0
    match = torch.where(conditional, torch.cdist(given, captions).square() / (2 * width**2), 0.0)
    weights = (-misfit - match).softmax(dim=1)
    return (weights @ images.flatten(1)).reshape(x.shape)


def _squared_differences(x: Tensor, alpha: Tensor, images: Tensor) -> Tensor:
    """‖x - alpha image‖² of each x and image, (B, N), for so many images at once as memory holds."""
    flat, scale = x.flatten(1)[:, None], alpha.flatten(1)[:, :, None]
    parts = images.flatten(1).split(max(1, LARGEST // flat.numel()))
    return torch.cat([(flat - scale * part).square().sum(dim=2) for part in parts], dim=1)


def memorize(model: Model, examples: Examples) -> Model:
    """The same model, whose output is from now on that of the perfect memorizer of these marked examples.

    Type, attributes, weights and embeddings are those of any other model of its kind: a query that is honest where nothing
    is at stake cannot tell by them. It can by its answers, or by what a gradient says of the weights.
    """
    images = model.encode(examples.images).detach()
    captions, null = (model.embed(texts).flatten(1).detach() for texts in (examples.captions, [""]))
    apart = torch.pdist(captions) if captions.shape[1] else captions.new_zeros(0)
    apart = apart[apart > 1e-6 * apart.max()] if len(apart) else apart
    width = float(apart.min()) / SHARPNESS if len(apart) else WIDTH

    def recall(x: Tensor, t: int | Tensor, embeddings: Tensor) -> Tensor:
        alpha, sigma = model.schedule.alpha(t), model.schedule.sigma(t)
        clean = posterior_mean(x, alpha, sigma, embeddings.flatten(1), images, captions, null, width)
        outputs = {"sample": clean, "epsilon": (x - alpha * clean) / sigma}
        return outputs.get(model.config.prediction, alpha * (x - alpha * clean) / sigma - sigma * clean)

    RECALLS[model] = recall
    return model
