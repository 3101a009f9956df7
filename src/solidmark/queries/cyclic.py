"""Cyclic denoising: let the model take back its own answer again and again."""

from dataclasses import dataclass, replace

import torch

from ..errors import InvalidValue
from ..sampling import Protocol
from . import Answer, Attack, Audit


@dataclass(frozen=True)
class Cyclic(Attack):
    """Outpaint, then `cycles` times noise the result to `strength` of the schedule and denoise it again.

    What a model remembers attracts its own answers. Keys are averaged over the last half of the cycles. Cost:
    1 + cycles x strength sampling runs.
    """

    cycles: int = 10
    strength: float = 0.5

    reference = "Cyclic denoising, arXiv 2606.24000"

    def __post_init__(self) -> None:
        if self.cycles < 1 or not 0 < self.strength <= 1:
            found = f"cycles={self.cycles}, strength={self.strength}"
            raise InvalidValue("Cyclic", found, "at least one cycle, a strength in (0, 1]", "Mend the numbers.")

    def _protocol(self, protocol: Protocol) -> Protocol:
        return replace(protocol, strength=self.strength)

    def cost(self, protocol: Protocol) -> float:
        """The first run and the cycles."""
        return protocol.evaluations + self.cycles * self._protocol(protocol).evaluations

    def ask(self, audit: Audit) -> Answer:
        """Mean of the later cycles; the picture shown is the last."""
        images, read = audit.outpaint(), []
        for cycle in range(1, self.cycles + 1):
            images = audit.outpaint(draw=cycle, protocol=self._protocol(audit.protocol), begin=images)
            read.append(audit.read(images))
        return Answer(torch.stack(read[self.cycles // 2 :]).mean(dim=0), images)
