"""Moving average of the weights (EMA): a reference for how much a model of earlier steps explains of a mitigation."""

from dataclasses import dataclass, replace

from solidmark import Claim, Mitigation
from solidmark.api import Recipe


@dataclass(frozen=True)
class MovingAverage(Mitigation):
    """Average the weights with `decay` in place of the recipe's, 0 for none. A control: there is no claim that it helps.

    The decay rises as (1 + n) / (10 + n) over the first steps n, so in a short training decays near 1 are the same.
    Published: from 0.99929 down to no average at all. The sweep does the same as far as 600 steps allow: its longest average
    is over a hundred steps, a larger share of the training.
    """

    decay: float = 0.99

    control = True
    reference = "On Memorization in Diffusion Models, arXiv 2310.02664"
    claims = (Claim("The moving average of the weights hardly changes memorization.", above=0.9, below=1.1),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.decay < 1, "decay", "a number in [0, 1)")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with this decay of the average."""
        return replace(recipe, ema_decay=self.decay)

    def settings(self) -> "list[MovingAverage]":
        """The sweep: longer and longer averages."""
        return [MovingAverage(decay) for decay in (0.0, 0.8, 0.9, 0.99)]
