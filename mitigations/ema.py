"""Moving average of the weights (EMA): a reference for how much of a mitigation is a model of earlier steps."""

from dataclasses import dataclass, replace

from solidmark import Claim, Mitigation
from solidmark.models import Recipe


@dataclass(frozen=True)
class MovingAverage(Mitigation):
    """Average the weights with `decay` in place of the recipe's, 0 for none. A control: no one claims that it helps.

    The decay rises as (1 + n) / (10 + n) over the first steps n, so in a short training rates near 1 are the same.
    Published: 0.9999 in trainings a thousand times as long; the default averages over as large a share of this one.
    """

    decay: float = 0.99

    control = True
    reference = "On Memorization in Diffusion Models, arXiv 2310.02664"
    claims = (Claim("The moving average of the weights hardly changes memorization.", above=0.9, below=1.1),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.decay < 1, "decay", "a number in [0, 1)")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The decay of the average."""
        return replace(recipe, average=self.decay)

    def strengths(self) -> "list[MovingAverage]":
        """Longer and longer."""
        return [MovingAverage(decay) for decay in (0.0, 0.8, 0.9, 0.99)]
