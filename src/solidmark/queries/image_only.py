"""Image only: does the image alone reveal the key?"""

from dataclasses import dataclass

from . import Answer, Attack, Audit


@dataclass(frozen=True)
class ImageOnly(Attack):
    """Outpaint with the null caption, so that only the image can reveal the key. Cost: one sampling run of one branch."""

    reference = "SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592"

    def ask(self, audit: Audit) -> Answer:
        """One draw without captions."""
        images = audit.outpaint([""] * len(audit.examples))
        return Answer(audit.read(images), images)
