"""Bright ending: where in the image the last step attends to the end token of a memorized caption."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from solidmark.api import END, Attention, Layer, SamplingBatch

from ._calibration import sample_steps
from ._guidance_vector import norms


class EndingAttention(Attention):
    """Reads the attention to the end token, by layer: (B, positions), the mean over heads. It changes nothing."""

    def __init__(self, batch: SamplingBatch) -> None:
        self.ends = (batch.model.roles(batch.captions) == END).to(batch.noise)[:, None, None]
        self.seen: dict[Layer, Tensor] = {}

    def probabilities(self, layer: Layer, probabilities: Tensor) -> Tensor:
        """The probabilities, (B, heads, positions, tokens), as they are."""
        self.seen[layer] = (probabilities.detach() * self.ends).sum(dim=-1).mean(dim=1)
        return probabilities

    def chosen(self) -> list[Tensor]:
        """The maps of the layers with the most positions, of the encoder where it has any."""
        layers = [layer for layer in self.seen if layer.block == "down"] or list(self.seen)
        size = max(layer.size for layer in layers)
        return [self.seen[layer] for layer in layers if layer.size == size]


@torch.no_grad()
def ending_map(batch: SamplingBatch, rng: Generator) -> Tensor:
    """The attention to the end token at the last step of a plain sampling run, (B, 1, H, W), at least 0.

    It is the mean over heads and over the layers of the highest resolution of the encoder, as published; networks that
    attend in the middle alone have one such layer, and its map is enlarged.
    """
    attention, shape = EndingAttention(batch), batch.noise.shape
    for _ in sample_steps(batch, rng, last=attention):
        pass
    mean = torch.stack(attention.chosen()).mean(dim=0)
    side = math.isqrt(mean.shape[1])
    return F.interpolate(mean.reshape(-1, 1, side, side), size=shape[2:], mode="bilinear")


def local_norms(vectors: Tensor, weights: Tensor) -> Tensor:
    """‖v ∘ m‖ / mean(m), (B,), of vectors (B, C, H, W) under the map m, (B, 1, H, W)."""
    return norms(vectors * weights) / weights.flatten(1).mean(dim=1).clamp(min=1e-12)
