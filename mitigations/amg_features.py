"""Anti-memorization guidance (AMG) by features: away from the caption, the nearest image's caption, and that image."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from solidmark import Claim

from ._origins import STABLE_DIFFUSION
from .amg import AntiMemorization

if TYPE_CHECKING:
    from collections.abc import Sequence

LATENTS = 16384
"""Numbers of a latent of Stable Diffusion, for which the weight was published."""


@dataclass(frozen=True)
class FeatureAntiMemorization(AntiMemorization):
    """The same with similarity of features, sigma = E(x0) · E(n), which is positive, so that captions are guided as well.

    With s0 the guidance scale and y_n the caption of the nearest image, in this order:

        sigma > 0:    eps ← eps - s1 (eps_c - eps_u),       s1 = min(sigma / `despecified`, 1) (s0 - 1)
        sigma > λ_t:  eps ← eps - s2 (eps(y_n) - eps_u),    s2 = min(sigma / `deduplicated`, 1) (s0 - 1 - s1)
        sigma anew > λ_t:  eps ← eps + `dissimilarity` (numbers / 16,384) (sigma - `first`) e^((1000 - t) / 170)
                                       sqrt(1 - ᾱ_t) ∇_x sigma

    λ_t from `first` to `last` at a rate of 5. Published in AMG-sd: 100, 0.3, 0.4, 0.5 and 0.3, with 6.5 for s0 - 1. There E
    is a copy-detection network (SSCD) of the decoded image, and y_n is used where more than 20 of the 1,000 nearest
    captions are equal. Here E are the masked pixels, gray as 0, scaled to length 1, and y_n is that of the nearest image. In
    latent space they are the masked cells, whose 0 is no gray. So only the idea of similar features is left (fidelity C),
    and thresholds of SSCD are on for most pictures (`acted_on` in the record). Cost: a third forward where sigma > λ_t.
    """

    dissimilarity: float = 100.0
    first: float = 0.3
    last: float = 0.4
    despecified: float = 0.5
    deduplicated: float = 0.3

    BEND: ClassVar[float] = 5.0
    fidelity = "C"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "It eradicates memorization in Stable Diffusion: 0.00 % of images above the threshold, 44.85 % before.",
            measure="memorization",
            above=-0.1,
            below=0.1,
            origin=STABLE_DIFFUSION,
        ),
    )
    stream = "solidmark.mitigations.amg.FeatureAntiMemorization"
    form_of = "amg"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect(0 < self.despecified < float("inf"), "despecified", "a positive finite number")
        self.expect(0 < self.deduplicated < float("inf"), "deduplicated", "a positive finite number")

    def _triggered(self, similarity: Tensor) -> Tensor:
        """Always."""
        return torch.ones_like(similarity, dtype=torch.bool)

    def _weight(self, similarity: Tensor, t: int, steps: int, numbers: Tensor) -> Tensor:
        """The weight of the push, (B,)."""
        return self.dissimilarity * numbers / LATENTS * (similarity - self.first) * math.exp((1 - t / steps) * 1000 / 170)

    def _caption_weights(self, similarity: Tensor, near: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        """s1 and s2, (B,)."""
        s1 = (similarity / self.despecified).clamp(0, 1) * limit
        s2 = (similarity / self.deduplicated).clamp(0, 1) * (limit - s1)
        return s1, s2.where(near, 0.0)

    def _similarity(self, clean: Tensor, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The same with cosines for sigma."""
        weights, x = mask.expand_as(clean).flatten(1).to(clean.dtype), clean.flatten(1)
        lengths = (weights @ images.flatten(1).square().T).sqrt() * (weights * x).norm(dim=1, keepdim=True)
        cosines = (weights * x) @ images.flatten(1).T / lengths.clamp(min=1e-6)
        nearest = cosines.max(dim=1)
        return nearest.values, nearest.indices

    def settings(self) -> "Sequence[AntiMemorization]":
        """The sweep, weakest first: larger and larger weights of the push, in the end through the network."""
        weights = (30.0, 100.0, 1000.0, 10000.0)
        return [*map(FeatureAntiMemorization, weights), FeatureAntiMemorization(1000.0, through_network=True)]
