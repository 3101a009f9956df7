"""Resampling: repeat each step after new noise, so that observed pixels and mark can agree."""

from dataclasses import dataclass, replace

from ..errors import InvalidValue
from ..sampling import SolverConfig
from . import Access, Answer, Attack, Audit


@dataclass(frozen=True)
class Resample(Attack):
    """Outpaint from the weights with each step repeated `rounds` times, and new noise between two rounds.

    With plain replacement the mark can settle on a wrong image before the observed pixels take effect. Cost: `rounds`
    sampling runs.
    """

    rounds: int = 4

    access = Access.WHITE_BOX
    reference = "RePaint: Inpainting using Denoising Diffusion Probabilistic Models, arXiv 2201.09865"

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InvalidValue("Resample.rounds", self.rounds, "at least 1", "Take one or more.")

    def _solver(self, solver: SolverConfig) -> SolverConfig:
        return replace(solver, rounds=self.rounds)

    def cost(self, solver: SolverConfig) -> float:
        """The cost of `rounds` runs."""
        return self._solver(solver).evaluations

    def ask(self, audit: Audit) -> Answer:
        """One draw."""
        images = audit.outpaint(solver=self._solver(audit.solver))
        return Answer(audit.read(images), images)
