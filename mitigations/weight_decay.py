"""Weight decay: a reference for how much plain regularisation explains of a mitigation."""

from dataclasses import dataclass, replace

from solidmark import Claim, Mitigation
from solidmark.api import Recipe


@dataclass(frozen=True)
class WeightDecay(Mitigation):
    """Train with AdamW's decoupled weight decay of `rate` in place of the recipe's. A control: no claim that it helps.

    The cited study decays by Adam's coupled term, a part of the gradient, so that its rates are not comparable. The claim is
    tested on this neighbour.
    """

    rate: float = 0.1

    control = True
    reference = "On Memorization in Diffusion Models, arXiv 2310.02664"
    claims = (Claim("But for extreme rates weight decay hardly changes memorization.", above=0.9, below=1.1),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.rate < float("inf"), "rate", "a finite number of at least 0")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with this weight decay."""
        return replace(recipe, weight_decay=self.rate)

    def settings(self) -> "list[WeightDecay]":
        """The sweep, weakest first: larger and larger rates."""
        return [WeightDecay(rate) for rate in (0.1, 1.0, 3.0, 10.0)]
