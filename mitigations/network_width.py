"""A narrower denoiser: a reference for how much of a mitigation is plain lack of capacity."""

from dataclasses import dataclass, replace

from solidmark import Claim, Mitigation
from solidmark.models import Recipe

GROUP = 8
"""The networks normalise groups of so many channels, so that a width is a multiple of it."""


@dataclass(frozen=True)
class NetworkWidth(Mitigation):
    """Train a network whose widths are a `share` of the recipe's, rounded to multiples of 8. A control, not a claim.

    It does not apply where training goes on from a base model.
    """

    share: float = 0.5

    control = True
    reference = "On Memorization in Diffusion Models, arXiv 2310.02664"
    claims = (Claim("Wider networks memorize more: half the width remembers less.", "difference", below=0.0),)

    def __post_init__(self) -> None:
        self.expect(0 < self.share < float("inf"), "share", "a finite positive number")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The network's widths."""
        widths = tuple(GROUP * max(1, round(self.share * width / GROUP)) for width in recipe.network.widths)
        return replace(recipe, network=replace(recipe.network, widths=widths))

    def strengths(self) -> "list[NetworkWidth]":
        """Narrower and narrower."""
        return [NetworkWidth(share) for share in (0.75, 0.5, 0.25, 0.125)]
