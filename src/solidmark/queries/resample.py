"""Resampling: go back and forth within each step, so that known pixels and mark can agree."""

from dataclasses import dataclass, replace

from ..errors import InvalidValue
from ..sampling import Protocol
from . import Access, Answer, Attack, Audit


@dataclass(frozen=True)
class Resample(Attack):
    """Outpaint from the weights with each step repeated `rounds` times, noised back in between.

    Plain replacement lets the mark commit to a wrong image before the known pixels have spoken. Cost: `rounds`
    sampling runs.
    """

    rounds: int = 4

    access = Access.WEIGHTS
    reference = "RePaint: Inpainting using Denoising Diffusion Probabilistic Models, arXiv 2201.09865"

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InvalidValue("Resample.rounds", self.rounds, "at least 1", "Ask for one or more.")

    def _protocol(self, protocol: Protocol) -> Protocol:
        return replace(protocol, rounds=self.rounds)

    def cost(self, protocol: Protocol) -> float:
        """As many runs as rounds."""
        return self._protocol(protocol).evaluations

    def ask(self, audit: Audit) -> Answer:
        """One draw."""
        images = audit.outpaint(protocol=self._protocol(audit.protocol))
        return Answer(audit.read(images), images)
