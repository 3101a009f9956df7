"""The recipe: how a model is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..errors import InvalidValue
from ..provenance import ADDED
from .network import Network


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: the numbers of the loop and the network's configuration.

    `train_steps` steps of AdamW (arXiv 1711.05101) on batches of `batch` images. The learning rate rises linearly over
    the first `warmup_fraction` of the steps and falls linearly to `final_lr_fraction` of its peak. The weights are
    averaged exponentially with `ema_decay`. Timesteps are t = floor(T u^(1 / (1 + timestep_power))), u uniform, so that
    their density grows as t^timestep_power. Captions are dropped with probability `caption_dropout` (arXiv 2207.12598).
    With an `adapter_rank` above 0 only adapters of that rank are trained (see `Adapters`), and added in the end. A batch
    is worked through in `accumulate` parts, each with noise of its own, one after the other or on as many GPUs. With
    `checkpointing` what a backward pass needs is computed again in place of being kept: less memory, the same gradients.
    An `ema_decay` of 0 keeps no average. Raises InvalidValue for numbers out of range.
    """

    network: Network = Network()
    train_steps: int = 600
    batch: int = 32
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_fraction: float = 0.1
    final_lr_fraction: float = 0.01
    ema_decay: float = 0.95
    caption_dropout: float = 0.1
    timestep_power: float = 0.5
    adapter_rank: int = field(default=0, metadata=ADDED)
    accumulate: int = field(default=1, metadata=ADDED)
    checkpointing: bool = field(default=False, metadata=ADDED)

    def __post_init__(self) -> None:
        counts = min(self.train_steps, self.batch) >= 1
        if not (counts and 0 < self.learning_rate < math.inf and 0 <= self.caption_dropout <= 1):
            expected = "train_steps and batch of at least 1, a positive finite learning_rate, caption_dropout in [0, 1]"
            raise InvalidValue("Recipe", repr(self), expected, "Correct the numbers.")
        if self.adapter_rank < 0 or not 1 <= self.accumulate <= self.batch:
            found = f"adapter_rank={self.adapter_rank}, accumulate={self.accumulate}, batch={self.batch}"
            expected = "an adapter_rank of at least 0, accumulate from 1 to the batch"
            raise InvalidValue("Recipe", found, expected, "Correct the numbers.")

    @property
    def part(self) -> int:
        """How many samples are in memory at once with their gradients: the largest part of a batch."""
        return -(-self.batch // self.accumulate)

    @property
    def full_rate(self) -> float:
        """The learning rate of all weights: that of adapters is ten times as large, as is usual for them."""
        return self.learning_rate / 10 if self.adapter_rank else self.learning_rate

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        warm = max(1, round(self.warmup_fraction * self.train_steps))
        rising = (step + 1) / warm
        falling = 1 - (1 - self.final_lr_fraction) * max(0, step - warm) / max(1, self.train_steps - warm)
        return self.learning_rate * min(rising, falling)
