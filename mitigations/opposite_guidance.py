"""Opposite guidance: away from the caption first, towards it afterwards, with a static or dynamic transition."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from solidmark import Claim, Mitigation

from ._origins import STABLE_DIFFUSION
from .dynamic_transition import DynamicTransition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from solidmark.api import Scale


@dataclass(frozen=True)
class OppositeGuidance(Mitigation):
    """-`factor` times the usual guidance scale in the first `share` of the steps, the usual scale afterwards.

    w_t = -factor w for t > tau, w for t <= tau; `share` = 1 - tau / T. Published: scale -2 where w = 7.5, a factor of
    0.267, and tau = 650 of 1000, a share of 0.35. Code and paper differ: one of the two published scripts uses -w, a
    factor of 1. Cost: none.
    """

    share: float = 0.35
    factor: float = 0.267

    reference = "Classifier-Free Guidance inside the Attraction Basin May Cause Memorization, arXiv 2411.16738"
    claims = (
        Claim(
            "Copy-detection similarity falls from 0.650 to 0.381 at an equal prompt alignment.",
            below=0.6,
            origin=STABLE_DIFFUSION,
        ),
        "It leaves the attraction basin sooner than zero guidance (delayed guidance) does.",
        Claim(
            "It leaves less memorization than zero guidance for as long.",
            "difference",
            below=0.0,
            against="delayed-guidance(share=0.35)",
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")
        self.expect(0 <= self.factor < float("inf"), "factor", "a number of at least 0")

    def guidance(self, scale: "Scale", step_fraction: float) -> "Scale":
        """The opposite scale before the transition point, the usual one after it."""
        return -self.factor * scale if step_fraction < self.share else scale

    def settings(self) -> "list[OppositeGuidance]":
        """The sweep, weakest first: later and later transition points, in the end with the whole opposite scale."""
        return [
            OppositeGuidance(0.2),
            OppositeGuidance(0.35),
            OppositeGuidance(0.5),
            OppositeGuidance(0.65),
            OppositeGuidance(0.65, factor=1.0),
        ]


@dataclass(frozen=True)
class DynamicOppositeGuidance(DynamicTransition):
    """Opposite guidance until the first local minimum of ‖eps_c - eps_u‖, the usual scale afterwards.

    `dynamic-transition` with `before` = -0.267. Code and paper differ: the published script finds the transition in a
    separate run before sampling, by a cosine between consecutive latents, and changes the sign of its scale anew at every
    step. Here the transition is found while sampling, and the sign is kept until then, as in the paper.
    """

    before: float = -0.267

    claims: ClassVar[tuple[str | Claim, ...]] = (
        "It leaves the attraction basin sooner than zero guidance does: at t = 839, not 779.",
        Claim(
            "It leaves less than zero guidance until the same point.",
            "difference",
            below=0.0,
            against="dynamic-transition",
            origin=STABLE_DIFFUSION,
        ),
    )
    stream = "solidmark.mitigations.opposite_guidance.DynamicOppositeGuidance"
    form_of = "opposite-guidance"

    def settings(self) -> "Sequence[DynamicTransition]":
        """The sweep, weakest first: later and later latest points, and none."""
        return [DynamicOppositeGuidance(latest) for latest in (0.2, 0.35, 0.5, 0.65, 1.0)]
