"""Caption only: does the caption unlock the key?"""

from dataclasses import dataclass

from . import Answer, Attack, Audit


@dataclass(frozen=True)
class CaptionOnly(Attack):
    """Plain generation from the caption, the mark read off: what any user could see. Cost: one sampling run."""

    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def ask(self, audit: Audit) -> Answer:
        """One draw with all pixels free."""
        images = audit.generate()
        return Answer(audit.read(images), images)
