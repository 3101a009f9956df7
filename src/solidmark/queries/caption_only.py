"""Caption only: does the caption alone reveal the key?"""

from dataclasses import dataclass

from . import Answer, Attack, Audit


@dataclass(frozen=True)
class CaptionOnly(Attack):
    """Generate from the caption alone and read the mark, as any user could. Cost: one sampling run."""

    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def ask(self, audit: Audit) -> Answer:
        """One draw, the mask covering all pixels."""
        images = audit.generate()
        return Answer(audit.read(images), images)
