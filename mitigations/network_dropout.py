"""Dropout in the denoiser: a reference for how much plain regularisation explains of a mitigation."""

from dataclasses import dataclass, replace

from solidmark import Mitigation
from solidmark.api import Recipe


@dataclass(frozen=True)
class Dropout(Mitigation):
    """Train with dropout of `rate` in the residual blocks, without it at sampling. A control: a regulariser, not a claim.

    Published nowhere as a mitigation. The recipe of EDM, with which memorization is usually studied, has 0.13. In latent
    space it acts in the denoiser alone, never in the autoencoder.
    """

    rate: float = 0.1

    control = True
    reference = "Elucidating the Design Space of Diffusion-Based Generative Models, arXiv 2206.00364"

    def __post_init__(self) -> None:
        self.expect(0 <= self.rate < 1, "rate", "a number in [0, 1)")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with this dropout."""
        return replace(recipe, network=replace(recipe.network, dropout=self.rate))

    def settings(self) -> "list[Dropout]":
        """The sweep, weakest first: more and more dropout."""
        return [Dropout(rate) for rate in (0.05, 0.1, 0.2, 0.4)]
