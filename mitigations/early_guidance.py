"""Early guidance: delayed guidance in reverse, as its control."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solidmark import Mitigation

if TYPE_CHECKING:
    from solidmark.api import Scale


@dataclass(frozen=True)
class EarlyGuidance(Mitigation):
    """The usual guidance scale first, 0 (unconditional) in the last `share` of the steps.

    w_t = w for t > tau, 0 for t <= tau: delayed guidance in reverse. Delayed guidance assumes that memorization is decided
    early in sampling. If so, this schedule keeps it. Where it removes more than delayed guidance at an equal share,
    memorization is decided late. Not a published method. Cost: none, and one evaluation less at each unguided step.
    """

    share: float = 0.5

    control = True
    reference = "Control of Classifier-Free Guidance inside the Attraction Basin May Cause Memorization, arXiv 2411.16738"

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")

    def guidance(self, scale: "Scale", step_fraction: float) -> "Scale":
        """The usual scale before the transition point, 0 after it."""
        return scale if step_fraction < 1 - self.share else 0.0

    def settings(self) -> "list[EarlyGuidance]":
        """The sweep, weakest first: more and more of the last steps without guidance."""
        return [EarlyGuidance(share) for share in (0.1, 0.2, 0.35, 0.5, 0.65)]
