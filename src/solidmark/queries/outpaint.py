"""Outpainting: the query of the SolidMark paper."""

from dataclasses import dataclass

from . import Answer, Attack, Audit


@dataclass(frozen=True)
class Outpaint(Attack):
    """Give image and caption to the mitigation's sampler, let it fill in the mark, and read the grays.

    At every step the observed pixels are replaced by the true ones at the noise level of that step. Cost: one sampling
    run.
    """

    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def ask(self, audit: Audit) -> Answer:
        """One draw."""
        images = audit.outpaint()
        return Answer(audit.read(images), images)
