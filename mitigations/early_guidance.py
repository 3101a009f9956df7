"""Early guidance: the reverse of delayed guidance, as its control."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solidmark import Mitigation

if TYPE_CHECKING:
    from solidmark.mitigation import Scale


@dataclass(frozen=True)
class EarlyGuidance(Mitigation):
    """The usual guidance scale first, 0 (unconditional) in the last `share` of the steps.

    w_t = w for t > tau, 0 for t <= tau: delayed guidance backwards. If memorization is decided early in sampling, as
    delayed guidance holds, this schedule keeps it; where it removes more than delayed guidance at an equal share, it is
    decided late. No published method. Cost: none, less an evaluation at each unguided step.
    """

    share: float = 0.5

    control = True
    reference = "Control of Classifier-Free Guidance inside the Attraction Basin May Cause Memorization, arXiv 2411.16738"

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")

    def guidance(self, scale: "Scale", progress: float) -> "Scale":
        """0 after the transition point."""
        return scale if progress < 1 - self.share else 0.0

    def strengths(self) -> "list[EarlyGuidance]":
        """More and more of the last steps without guidance."""
        return [EarlyGuidance(share) for share in (0.1, 0.2, 0.35, 0.5, 0.65)]
