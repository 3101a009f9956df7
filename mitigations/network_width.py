"""A narrower denoiser: a reference for how much a plain lack of capacity explains of a mitigation."""

from dataclasses import dataclass, replace

from solidmark import Claim, Mitigation
from solidmark.api import Recipe

GROUP = 8
"""Channels of a group that the networks normalise. A width is a multiple of it."""


@dataclass(frozen=True)
class NetworkWidth(Mitigation):
    """Train a network whose widths are a `share` of the recipe's, rounded to multiples of 8. A control, not a claim.

    It does not apply where training starts from a base model. In latent space the denoiser alone is narrower, with the same
    autoencoder.
    """

    share: float = 0.5

    control = True
    reference = "On Memorization in Diffusion Models, arXiv 2310.02664"
    claims = (Claim("Wider networks memorize more: half the width remembers less.", "difference", below=0.0),)

    def __post_init__(self) -> None:
        self.expect(0 < self.share < float("inf"), "share", "a finite positive number")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with these widths."""
        widths = tuple(GROUP * max(1, round(self.share * width / GROUP)) for width in recipe.network.widths)
        return replace(recipe, network=replace(recipe.network, widths=widths))

    def settings(self) -> "list[NetworkWidth]":
        """The sweep, weakest first: narrower and narrower."""
        return [NetworkWidth(share) for share in (0.75, 0.5, 0.25, 0.125)]
