"""The recipe: how a model is trained."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidValue
from .network import Network


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: numbers of the loop and the network's configuration.

    AdamW (arXiv 1711.05101) with linear warm-up and linear decay to `final_rate`; an exponential moving
    average of the weights; `t` = floor(T u^(1 / (1 + time_power))), so that its density grows as
    t^time_power; captions are dropped with probability `caption_dropout` (arXiv 2207.12598).
    """

    network: Network = Network()
    train_steps: int = 600
    batch: int = 32
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warm_up: float = 0.1
    final_rate: float = 0.01
    average: float = 0.95
    caption_dropout: float = 0.1
    time_power: float = 0.5

    def __post_init__(self) -> None:
        if self.train_steps < 1 or self.batch < 1 or self.learning_rate <= 0 or not 0 <= self.caption_dropout <= 1:
            expected = "train_steps and batch of at least 1, a positive learning_rate, caption_dropout in [0, 1]"
            raise InvalidValue("Recipe", repr(self), expected, "Mend the numbers.")

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        warm = max(1, round(self.warm_up * self.train_steps))
        rising = (step + 1) / warm
        falling = 1 - (1 - self.final_rate) * max(0, step - warm) / max(1, self.train_steps - warm)
        return self.learning_rate * min(rising, falling)
