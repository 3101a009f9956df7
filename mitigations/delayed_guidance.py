"""Delayed guidance with a static transition point."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solidmark import Claim, Mitigation

from ._origins import STABLE_DIFFUSION

if TYPE_CHECKING:
    from solidmark.api import Scale


@dataclass(frozen=True)
class DelayedGuidance(Mitigation):
    """Guidance scale 0 (unconditional) in the first `share` of the steps, the usual scale afterwards.

    w_t = 0 for t > tau, w for t <= tau; `share` = 1 - tau / T. Published: tau = 500 of 1000 on LAION-10k
    (0.5), 600 to 700 on Imagenette. Steps are counted, which is the same under evenly spaced timesteps alone. Code and
    paper differ: where the timestep of a step is tau itself, the published script goes on with a schedule of 200 steps, so
    that with 50 evenly spaced ones the row of tau = 500 has 125 steps and the others 50. Here the count stays.
    """

    share: float = 0.5

    reference = "Classifier-Free Guidance inside the Attraction Basin May Cause Memorization, arXiv 2411.16738"
    claims = (
        Claim(
            "It takes away more than half of memorization (copy-detection similarity from 0.650 to 0.286).",
            below=0.5,
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")

    def guidance(self, scale: "Scale", step_fraction: float) -> "Scale":
        """0 before the transition point, the usual scale after it."""
        return 0.0 if step_fraction < self.share else scale

    def settings(self) -> "list[DelayedGuidance]":
        """The sweep, weakest first: later and later transition points."""
        return [DelayedGuidance(share) for share in (0.35, 0.5, 0.65, 0.8)]
