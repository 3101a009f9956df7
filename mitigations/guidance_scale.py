"""Another guidance scale: the reference curve of all sampling-side methods."""

from dataclasses import dataclass

from solidmark import Mitigation


@dataclass(frozen=True)
class GuidanceScale(Mitigation):
    """Sample with classifier-free guidance `scale`: eps_u + scale (eps_c - eps_u).

    0 is unconditional, 1 plain conditional. A sampling-side method on this curve is plain lower (or higher) guidance. The
    default is the testbed's own scale, and so may change nothing.
    """

    scale: float = 3.0

    control = True
    reference_curve = True
    reference = "Classifier-Free Diffusion Guidance, arXiv 2207.12598"

    def __post_init__(self) -> None:
        self.expect(abs(self.scale) < float("inf"), "scale", "a finite number")

    def guidance(self, scale: object, step_fraction: float) -> float:
        """This scale in place of any other."""
        return self.scale

    def settings(self) -> "list[GuidanceScale]":
        """The sweep, in the order of the scale."""
        return [GuidanceScale(scale) for scale in (0.0, 1.0, 3.0, 7.0)]
