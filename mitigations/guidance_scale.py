"""Another guidance scale: the reference curve of all sampling-side methods."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solidmark import Mitigation

if TYPE_CHECKING:
    from solidmark.api import Scale


@dataclass(frozen=True)
class GuidanceScale(Mitigation):
    """Sample with classifier-free guidance `scale`: eps_u + scale (eps_c - eps_u).

    0 is unconditional, 1 plain conditional. A sampling-side method on this curve is plain lower (or higher) guidance. None
    is the solver's own scale, whatever that is, and changes nothing.
    """

    scale: float | None = None

    control = True
    reference_curve = True
    reference = "Classifier-Free Diffusion Guidance, arXiv 2207.12598"

    def __post_init__(self) -> None:
        self.expect(self.scale is None or abs(self.scale) < float("inf"), "scale", "None or a finite number")

    def guidance(self, scale: "Scale", step_fraction: float) -> "Scale":
        """This scale in place of any other."""
        return scale if self.scale is None else self.scale

    def settings(self) -> "list[GuidanceScale]":
        """The sweep, in the order of the scale where the solver's own is between 1 and 7."""
        return [GuidanceScale(scale) for scale in (0.0, 1.0, None, 7.0)]
