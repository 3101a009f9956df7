"""Noise on the weights: the cost and the effect of an edit without a target."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator

from solidmark import Mitigation
from solidmark.api import Data, Model


@dataclass(frozen=True)
class WeightNoise(Mitigation):
    """θ ← θ + `scale` std(θ) n, n normal, for each matrix and kernel of denoiser and text encoder separately.

    A control: an edit without information on images or neurons. A targeted edit must forget more at the same utility.
    Biases and norms, which are vectors, stay as they are. Fisher forgetting is the same with more noise where a weight
    matters less to the retained images. Cost: none.
    """

    scale: float = 0.1

    control = True
    reference = "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks, arXiv 1911.04933"
    stream = "solidmark.mitigations.weight_noise.WeightNoise"

    def __post_init__(self) -> None:
        self.expect(0 <= self.scale < float("inf"), "scale", "a number of at least 0")

    @torch.no_grad()
    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model with noisy weights."""
        for weight in model.parameters():
            if weight.ndim > 1:
                noise = torch.randn(weight.shape, generator=rng).to(weight.device)
                weight.add_(self.scale * weight.std(correction=0) * noise)
        return model

    def settings(self) -> "Sequence[WeightNoise]":
        """The sweep, weakest first: more and more noise."""
        return [WeightNoise(scale) for scale in (0.03, 0.1, 0.2, 0.4, 0.8)]
