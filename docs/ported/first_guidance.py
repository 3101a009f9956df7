"""Guidance in the first steps alone, as a mitigation of solidmark."""

from dataclasses import dataclass

from solidmark import Mitigation
from solidmark.api import Scale


@dataclass(frozen=True)
class FirstGuidance(Mitigation):
    """Guided for the first part of the steps; in the last `share` of them the caption alone."""

    share: float = 0.5

    def guidance(self, scale: Scale, step_fraction: float) -> Scale:
        """1 is the caption alone."""
        return scale if step_fraction < 1 - self.share else 1.0

    def settings(self) -> "list[FirstGuidance]":
        """A row each, weakest first."""
        return [FirstGuidance(share) for share in (0.2, 0.5, 0.8)]
