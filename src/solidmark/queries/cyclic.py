"""Cyclic denoising: noise the model's own answer and denoise it again, many times."""

from dataclasses import dataclass, replace

import torch

from ..errors import InvalidValue
from ..sampling import SolverConfig
from . import Answer, Attack, Audit


@dataclass(frozen=True)
class Cyclic(Attack):
    """Outpaint, then `cycles` times add noise to `strength` of the schedule and denoise again.

    Memorized images attract the model's own answers. Keys are averaged over the last half of the cycles. Cost:
    1 + cycles x strength sampling runs.
    """

    cycles: int = 10
    strength: float = 0.5

    reference = "Cyclic denoising, arXiv 2606.24000"

    def __post_init__(self) -> None:
        if self.cycles < 1 or not 0 < self.strength <= 1:
            found = f"cycles={self.cycles}, strength={self.strength}"
            raise InvalidValue("Cyclic", found, "at least one cycle, a strength in (0, 1]", "Correct the numbers.")

    def _solver(self, solver: SolverConfig) -> SolverConfig:
        return replace(solver, strength=self.strength)

    def cost(self, solver: SolverConfig) -> float:
        """The cost of the first run and of the cycles."""
        return solver.evaluations + self.cycles * self._solver(solver).evaluations

    def ask(self, audit: Audit) -> Answer:
        """The mean of the later cycles, with the images of the last."""
        images, keys = audit.outpaint(), []
        for cycle in range(1, self.cycles + 1):
            images = audit.outpaint(draw=cycle, solver=self._solver(audit.solver), begin=images)
            keys.append(audit.read(images))
        return Answer(torch.stack(keys[self.cycles // 2 :]).mean(dim=0), images)
