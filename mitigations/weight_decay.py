"""Weight decay: a reference for how much of a mitigation is plain regularisation."""

from dataclasses import dataclass, replace

from solidmark import Claim, Mitigation
from solidmark.models import Recipe


@dataclass(frozen=True)
class WeightDecay(Mitigation):
    """Train with AdamW's decoupled weight decay of `rate` in place of the recipe's. A control: no one claims it helps."""

    rate: float = 0.1

    control = True
    reference = "On Memorization in Diffusion Models, arXiv 2310.02664"
    claims = (Claim("But for extreme rates weight decay hardly changes memorization.", above=0.9, below=1.1),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.rate < float("inf"), "rate", "a finite number of at least 0")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The optimizer's weight decay."""
        return replace(recipe, weight_decay=self.rate)

    def strengths(self) -> "list[WeightDecay]":
        """More and more."""
        return [WeightDecay(rate) for rate in (0.1, 1.0, 3.0, 10.0)]
