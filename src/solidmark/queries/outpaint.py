"""Outpainting: the query of the SolidMark paper."""

from dataclasses import dataclass

from . import Answer, Attack, Audit


@dataclass(frozen=True)
class Outpaint(Attack):
    """Show image and caption, ask for the mark, read its gray, through the mitigation's sampler.

    Cost: one sampling run. Known pixels are replaced at every step by the true ones at that step's noise level.
    """

    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def ask(self, audit: Audit) -> Answer:
        """One draw."""
        images = audit.outpaint()
        return Answer(audit.read(images), images)
